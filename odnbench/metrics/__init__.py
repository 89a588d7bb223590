"""Errors, curves and scores; NumPy alone."""
