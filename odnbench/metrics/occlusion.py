"""How well occlusion is told: flags of landmarks, and the probabilities behind them."""

# M points of all faces

from dataclasses import dataclass

import numpy as np

from odnbench.arrays import Flags, Floats

_BINS = 10  # of the calibration


@dataclass(frozen=True)
class FlagScore:
    """Predicted against true occlusion flags, in percent; NaN where there is nothing to count."""

    precision_percent: float  # of the points called occluded, those that are
    recall_percent: float  # of the occluded points, those called so
    called_percent: float  # of all points, those called occluded
    occluded_percent: float  # of all points, those that are


@dataclass(frozen=True)
class ProbabilityScore:
    """Predicted probabilities of occlusion against true flags; NaN where one class is absent."""

    auroc: float  # chance that an occluded point has the higher probability; 0.5 tells nothing
    average_precision: float
    calibration_error: float  # mean gap between probability and frequency over ten equal bins
    occluded_share: float  # what average_precision is by chance


def score_flags(predicted: Flags, true: Flags) -> FlagScore:
    """Precision and recall over all points together; arrays of one shape."""
    hits = float((predicted & true).sum())
    called, occluded = float(predicted.sum()), float(true.sum())
    nan = float("nan")
    return FlagScore(
        100 * hits / called if called else nan,
        100 * hits / occluded if occluded else nan,
        100 * float(predicted.mean()),
        100 * float(true.mean()),
    )


def score_probabilities(probability: Floats, true: Flags) -> ProbabilityScore:
    """AUROC, average precision and calibration over all points together; arrays of one shape.

    AUROC by ranks (Mann & Whitney, 1947), ties counted half. Average precision is the mean over the
    occluded points of the precision at their probability, ties together.
    """
    p, occluded = probability.ravel().astype(np.float64), true.ravel()
    positives = int(occluded.sum())
    negatives = len(p) - positives
    share = positives / len(p)
    if not positives or not negatives:
        return ProbabilityScore(float("nan"), float("nan"), _calibration(p, occluded), share)
    # Points of the same probability are a group; groups are counted from the lowest probability.
    order = np.argsort(p)
    starts = np.diff(p[order], prepend=-np.inf) != 0  # (M,) in sorted order
    group = np.empty(len(p), np.int64)  # (M,) of each point
    group[order] = np.cumsum(starts) - 1
    size = np.bincount(group)
    hits = np.bincount(group[occluded], minlength=len(size))  # occluded points of each group
    rank = np.cumsum(size) - (size - 1) / 2  # mean rank of a group's points, from 1
    own = group[occluded]
    auroc = (rank[own].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    at_least = np.cumsum(size[::-1])[::-1]  # points with this group's probability or more
    hits_at_least = np.cumsum(hits[::-1])[::-1]
    precision = hits_at_least[own] / at_least[own]
    return ProbabilityScore(float(auroc), float(precision.mean()), _calibration(p, occluded), share)


def _calibration(p: Floats, occluded: Flags) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015)."""
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    count = np.bincount(bins, minlength=_BINS)
    gap = np.bincount(bins, p - occluded, minlength=_BINS)  # sum of probability less frequency
    return float(np.abs(gap[count > 0]).sum() / len(p))
