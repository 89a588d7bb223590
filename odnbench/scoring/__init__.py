"""Predictions of any tool against the truth, under a protocol."""
