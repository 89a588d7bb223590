"""Smooth measures of a matrix's rank, from its singular values."""

# k singular values

import numpy as np

from odnbench.arrays import Floats


def effective_rank(singular_values: Floats) -> float:
    """exp(−Σ p log p) with p = σ / Σσ (Roy & Vetterli, EUSIPCO 2007). singular_values σ (k,).

    It is k for k equal singular values, and 0 for a matrix of zeros.
    """
    total = singular_values.sum()
    if not total > 0:
        return 0.0
    p = singular_values[singular_values > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def stable_rank(singular_values: Floats) -> float:
    """‖M‖²_F / ‖M‖²₂ = Σσ² / max σ² (Rudelson & Vershynin, JACM 2007). singular_values σ (k,).

    It is at most the rank, hardly changed by small singular values, and 0 for a matrix of zeros.
    """
    largest = singular_values.max(initial=0.0)
    return float((singular_values**2).sum() / largest**2) if largest > 0 else 0.0
