"""Scores of predicted occlusion: flags of landmarks, or probabilities.

An AUROC over the points of all faces together mixes two questions: which places of a face are
occluded, and which faces have occluded places at all. A map that is darker on some faces than on
others changes it without telling one place from another. `face_aurocs` asks the first question
alone.
"""

# M points of all faces; N faces, K places of each

from dataclasses import dataclass

import numpy as np

from odnbench.arrays import Flags, Floats

# Number of equal bins of probability for the calibration error.
_BINS = 10


@dataclass(frozen=True)
class FlagScore:
    """Predicted against true occlusion flags, in percent; NaN for a share of no points."""

    precision_percent: float  # share of occluded points among the points predicted as occluded
    recall_percent: float  # share of points predicted as occluded among the occluded points
    called_percent: float  # share of points predicted as occluded among all points
    occluded_percent: float  # share of occluded points among all points


@dataclass(frozen=True)
class ProbabilityScore:
    """Predicted probabilities of occlusion against true flags; NaN where one class is absent."""

    # The chance that an occluded point has a higher probability than a visible one; 0.5 for
    # probabilities that say nothing.
    auroc: float
    # For probabilities that say nothing, this is `occluded_share`.
    average_precision: float
    # Expected calibration error: mean gap between probability and frequency over ten equal bins.
    calibration_error: float
    # Share of occluded points among all points.
    occluded_share: float


def score_flags(predicted: Flags, true: Flags) -> FlagScore:
    """Precision and recall over all points together. predicted, true: flags of the same shape."""
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
    """AUROC, average precision and calibration error over all points together.

    probability, true: arrays of the same shape. AUROC is computed from ranks (Mann & Whitney,
    1947); equal probabilities count half. Average precision is the mean, over the occluded points,
    of the precision of the points with that probability or a higher one.
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


def face_aurocs(probability: Floats, true: Flags, counted: Flags) -> Floats:
    """(N,) AUROC over the places of each face; NaN for a face without places of both kinds.

    probability, true, counted: (N, K). Places that are not counted are left out. Equal
    probabilities count half.
    """
    positive, negative = true & counted, ~true & counted
    # A place that is left out ranks above all others, where it changes no rank of theirs.
    rank = _mean_ranks(np.where(counted, probability, np.inf))  # (N, K)
    positives, negatives = positive.sum(axis=1), negative.sum(axis=1)
    # Pairs of an occluded and a visible place in which the occluded one has the larger probability.
    pairs = (rank * positive).sum(axis=1) - positives * (positives + 1) / 2
    possible = (positives * negatives).astype(np.float64)
    aurocs: Floats = pairs / np.where(possible > 0, possible, np.nan)
    return aurocs


def _mean_ranks(values: Floats) -> Floats:
    """(N, K) rank of each value in its row, from 1; equal values have the mean of their ranks."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    # Equal values of a row are a group; groups are counted over all rows.
    starts = np.ones(values.shape, np.bool_)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(starts).reshape(values.shape) - 1
    size = np.bincount(group.ravel())
    first = np.flatnonzero(starts) % values.shape[1]  # place of a group's first value in its row
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + (size + 1) / 2)[group], axis=1)
    return ranks


def _calibration(p: Floats, occluded: Flags) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015)."""
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    count = np.bincount(bins, minlength=_BINS)
    gap = np.bincount(bins, p - occluded, minlength=_BINS)  # per bin: Σ (probability − flag)
    return float(np.abs(gap[count > 0]).sum() / len(p))
