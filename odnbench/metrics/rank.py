"""How many directions a matrix really uses, from its singular values."""

# k singular values

import numpy as np

from odnbench.arrays import Floats


def effective_rank(singular_values: Floats) -> float:
    """exp of the entropy of σ / Σσ (Roy & Vetterli, EUSIPCO 2007): k equal values give k. 0 for a
    matrix of zeros. singular_values (k,).
    """
    total = singular_values.sum()
    if not total > 0:
        return 0.0
    p = singular_values[singular_values > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def stable_rank(singular_values: Floats) -> float:
    """‖M‖²_F / ‖M‖²₂ (Rudelson & Vershynin, JACM 2007): at most the rank, and steadier."""
    largest = singular_values.max(initial=0.0)
    return float((singular_values**2).sum() / largest**2) if largest > 0 else 0.0
