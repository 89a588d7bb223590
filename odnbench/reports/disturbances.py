"""What disturbances of the test faces do to each row: its error at each level, and over all levels.

The area under the curve of errors over levels, by the trapezoidal rule, divided by the range of the
levels, is a weighted mean of the errors at the levels. It is computed for each face and seed, so
that its interval and its tests are those of any mean error.
"""

# S seeds, N faces

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from odnbench.arrays import Floats
from odnbench.metrics.significance import Comparison
from odnbench.plan.disturbances import KINDS, Disturbance, Kind
from odnbench.reports.occlusion import Told, told_by
from odnbench.reports.rows import (
    Measured,
    Row,
    compared_errors,
    compared_with,
    errors_of,
    nme_interval,
)
from odnbench.scoring.occlusion import Truth
from odnbench.scoring.scores import Score

# A report has an interval and a test for each row, column and level; those of areas have all draws.
# The limits vary by 5 % of an interval's half-width with the numbers drawn, and p is .001 at least.
_DRAWS = 1_000


@dataclass(frozen=True)
class AtLevel:
    """One row on the faces of one column at one level."""

    level: float
    amount: float  # what was achieved, in the mean over faces
    nme: Measured  # in percent
    # With the reference at this level, p corrected over the rows; None for the reference itself.
    comparison: Comparison | None
    told: Mapping[Truth, Told]  # by the map P

    @property
    def map_tells(self) -> Told | None:
        """What P tells of landmarks under occluders, or where no masks are known, of those that are
        flagged.
        """
        return self.told.get("covered landmarks") or self.told.get("landmarks")


@dataclass(frozen=True)
class DisturbedRow:
    """One row on the faces of one column at every level that all of its seeds have predicted."""

    row: Row
    levels: tuple[AtLevel, ...]
    # Area under the curve over the range of levels, in percent; None unless there is every level
    # for the same faces.
    area: Measured | None
    area_comparison: Comparison | None
    lacks: tuple[float, ...] = ()  # levels that not all seeds have predicted


@dataclass(frozen=True)
class Bench:
    """The rows on one column under one kind of disturbance."""

    kind: str
    levels: tuple[float, ...]
    rows: tuple[DisturbedRow, ...]

    @property
    def about(self) -> Kind:
        """The kind in words."""
        return KINDS[self.kind]

    @cached_property
    def incomplete(self) -> tuple[DisturbedRow, ...]:
        """The rows that lack levels."""
        return tuple(row for row in self.rows if row.lacks)


def benches(
    rows: Sequence[Row],
    reference: Row | None,
    columns: Iterable[str],
    levels: Mapping[str, tuple[float, ...]],
) -> dict[str, dict[str, Bench]]:
    """Column → kind → bench, of the kinds and levels that a plan asks for."""
    return {
        column: {kind: _bench(rows, reference, column, kind, levels[kind]) for kind in levels}
        for column in columns
        if levels
    }


def trapezoid(levels: Sequence[float]) -> Floats:
    """A weight for each of `levels`, by which the weighted mean of a curve's values there is the
    area under the curve over the range of the levels.
    """
    widths = np.diff(levels) / (levels[-1] - levels[0])
    weights: Floats = (np.append(widths, 0) + np.append(0, widths)) / 2
    return weights


def _bench(
    rows: Sequence[Row], reference: Row | None, column: str, kind: str, levels: tuple[float, ...]
) -> Bench:
    scores = {
        (row.title, level): row.disturbed_scores_of(column, Disturbance(kind, level))
        for row in rows
        for level in levels
    }
    compared = {
        level: compared_with(
            reference.title, {row.title: scores[row.title, level] for row in rows}, draws=_DRAWS
        )
        for level in levels
        if reference is not None
    }
    areas = {
        row.title: _area([scores[row.title, level] for level in levels], levels) for row in rows
    }
    by_area = _compared_areas(reference, areas, compared.get(levels[0], {}))
    return Bench(
        kind,
        levels,
        tuple(
            DisturbedRow(
                row,
                tuple(
                    _at_level(row, column, Disturbance(kind, level), found, compared.get(level, {}))
                    for level in levels
                    if (found := scores[row.title, level])
                ),
                _measured_area(areas[row.title]),
                by_area.get(row.title),
                tuple(level for level in levels if not scores[row.title, level]),
            )
            for row in rows
        ),
    )


def _at_level(
    row: Row,
    column: str,
    disturbance: Disturbance,
    scores: Sequence[Score],
    compared: Mapping[str, Comparison],
) -> AtLevel:
    errors = errors_of(scores)
    assert errors is not None
    tested = [
        trial.disturbed[disturbance] if disturbance.level else trial.clean for trial in row.trials
    ]
    return AtLevel(
        disturbance.level,
        fmean(one.amounts.get(column, 0.0) for one in tested),
        Measured(tuple(s.nme_percent for s in scores), nme_interval(errors, draws=_DRAWS)),
        compared.get(row.title),
        told_by(tested, column) if row.has_map else {},
    )


def _area(scores: Sequence[Sequence[Score]], levels: Sequence[float]) -> Floats | None:
    """(S, N) areas under the curves of seeds and faces, from the scores of each seed at each level;
    None unless all levels have the same seeds and faces.
    """
    if len({tuple(score.face_ids for score in found) for found in scores}) > 1 or not scores[0]:
        return None
    stacked = np.stack([np.stack([score.terms for score in found]) for found in scores])
    areas: Floats = np.tensordot(trapezoid(levels), stacked, 1)
    return areas


def _measured_area(areas: Floats | None) -> Measured | None:
    if areas is None:
        return None
    return Measured(tuple((100 * areas.mean(axis=1)).tolist()), nme_interval(areas))


def _compared_areas(
    reference: Row | None, areas: Mapping[str, Floats | None], alike: Collection[str]
) -> dict[str, Comparison]:
    """Row → the comparison of its area with the reference's. alike: the rows that can be compared
    with the reference.
    """
    found = {title: area for title, area in areas.items() if area is not None}
    if reference is None or reference.title not in found:
        return {}
    kept = {t: area for t, area in found.items() if t in alike or t == reference.title}
    return compared_errors(reference.title, kept)
