"""What the occlusion maps P of a report's rows tell, over seeds and faces."""

# S seeds, F faces that have occluded and visible places

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from odnbench.metrics.intervals import FEWEST_FACES, Interval, mean_interval
from odnbench.reports.rows import Row, Tested
from odnbench.scoring.occlusion import SMALLEST_MAP, TRUTHS, OcclusionScore, Truth

# A report has an interval for each row, column and truth. The limits then vary by 3 % of the
# interval's half-width with the numbers drawn, and an interval takes a fifth of the usual time.
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Told:
    """How well 1 − P of one row's networks tells one truth on one column; means over seeds."""

    truth: Truth
    auroc: float  # over the places of all faces together
    average_precision: float
    calibration_error: float
    occluded_share: float  # of all places
    # Of the AUROC within a face, over seeds and faces; None for too few faces.
    within: Interval | None
    faces: int  # F

    @property
    def map_is(self) -> Literal["smaller", "larger", "unclear"]:
        """How P in the occluded places of a face compares with P in its visible ones.

        "smaller" is what the paper intends; "unclear" where the interval holds 0.5, or there is no
        interval.
        """
        if self.within is None or self.within.low <= 0.5 <= self.within.high:
            return "unclear"
        return "smaller" if self.within.low > 0.5 else "larger"


@dataclass(frozen=True)
class SmallMap:
    """A row whose occlusion map is too small for an AUROC."""

    row: Row
    cells: int


def told_by(trials: Iterable[Tested | None], column: str) -> dict[Truth, Told]:
    """Truth → what 1 − P tells of it on `column`, from what each seed's predictions give."""
    by_seed = [t.occlusion.get(column, {}) for t in trials if t is not None]
    return {
        truth: _over_seeds(truth, found)
        for truth in TRUTHS
        if (found := [scores[truth] for scores in by_seed if truth in scores])
    }


def _over_seeds(truth: Truth, scores: Sequence[OcclusionScore]) -> Told:
    pooled = [score.pooled for score in scores]
    by_face = [dict(zip(s.face_ids, s.aurocs.tolist(), strict=True)) for s in scores]
    # Truths do not depend on the seed, unless other occluders are pasted with each.
    common = [face for face in by_face[0] if all(face in aurocs for aurocs in by_face)]
    aurocs = np.array([[one[face] for face in common] for one in by_face])  # (S, F)
    return Told(
        truth,
        fmean(one.auroc for one in pooled),
        fmean(one.average_precision for one in pooled),
        fmean(one.calibration_error for one in pooled),
        fmean(one.occluded_share for one in pooled),
        _within_one(mean_interval(aurocs, resamples=_RESAMPLES))
        if len(common) >= FEWEST_FACES
        else None,
        len(common),
    )


def _within_one(found: Interval) -> Interval:
    """The interval, cut where an AUROC cannot be."""
    low, high = max(0.0, found.low), min(1.0, found.high)
    return Interval(found.estimate, low, high, found.level, found.seeds)


def small_maps(rows: Iterable[Row]) -> tuple[SmallMap, ...]:
    """The rows whose map P has fewer than SMALLEST_MAP cells."""
    return tuple(
        SmallMap(row, cells)
        for row in rows
        if row.has_map and (cells := row.trials[0].map_cells or 0) < SMALLEST_MAP
    )


def maps_tell(
    rows: Iterable[Row], columns: Iterable[str]
) -> dict[str, tuple[tuple[Row, Told], ...]]:
    """Column → what the map of each row tells there; columns without anything are left out."""
    held = [row for row in rows if row.has_map]
    found: dict[str, tuple[tuple[Row, Told], ...]] = {}
    for column in columns:
        lines = tuple(
            (row, told)
            for row in held
            for told in told_by([trial.clean for trial in row.trials], column).values()
        )
        if lines:
            found[column] = lines
    return found
