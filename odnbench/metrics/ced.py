"""Cumulative error distribution (CED), failure rate and area under the curve."""

# N faces

import numpy as np

from odnbench.arrays import Floats


def failure_rate(nme: Floats, threshold: float) -> float:
    """FR@threshold: the share of faces with an NME above the threshold. nme (N,)."""
    return float((nme > threshold).mean())


def area_under_ced(nme: Floats, threshold: float) -> float:
    """AUC@threshold in [0, 1]: the area under the CED from 0 to `threshold`, over `threshold`.

    It is mean(max(0, threshold − nme)) / threshold, so no step size changes its digits. nme (N,).
    """
    return float(np.maximum(0.0, threshold - nme).mean() / threshold)


def ced(nme: Floats, thresholds: Floats) -> Floats:
    """Share of faces with an NME of at most each threshold. nme (N,), thresholds (T,) → (T,)."""
    counts = np.searchsorted(np.sort(nme), thresholds, side="right")
    shares: Floats = counts / len(nme)
    return shares
