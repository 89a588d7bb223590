"""Errors, curves, scores and tests: arrays in, numbers out. NumPy and SciPy alone."""
