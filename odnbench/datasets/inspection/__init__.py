"""Inspection of data sets: their faults, and the pictures that the network will see."""
