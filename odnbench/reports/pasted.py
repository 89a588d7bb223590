"""What pasted occluders do: the test faces with occluders on them against the same faces without.

A pasted occluder hides what was visible a moment ago, on faces that are otherwise the same. So the
difference between the two errors is due to the occluders alone, which the difference between a data
set's hard and easy faces is not.
"""

# S seeds, N faces

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from odnbench.metrics.intervals import FEWEST_FACES, Interval, mean_interval
from odnbench.metrics.significance import Comparison
from odnbench.reports.occlusion import Told, told_by
from odnbench.reports.rows import Measured, Row, compared_with, errors_of, nme_interval
from odnbench.scoring.occlusion import Truth
from odnbench.scoring.scores import Score


@dataclass(frozen=True)
class PastedLine:
    """One row on one column, with occluders pasted on the faces."""

    row: Row
    nme: Measured  # in percent
    # Of the error with occluders less that without, in percentage points, over the same seeds and
    # faces; None for too few faces, and where faces differ.
    rise: Interval | None
    # With the reference, on the pasted faces; None for the reference itself.
    comparison: Comparison | None
    told: Mapping[Truth, Told]

    @property
    def landmarks(self) -> Told | None:
        """What P tells of the landmarks under the occluders."""
        return self.told.get("covered landmarks") or self.told.get("landmarks")

    @property
    def cells(self) -> Told | None:
        """What P tells of its cells under the occluders."""
        return self.told.get("cells")


def pasted_lines(
    rows: Iterable[Row], reference: Row | None, columns: Iterable[str]
) -> dict[str, tuple[PastedLine, ...]]:
    """Column → a line for each row whose trials predicted pasted faces of the column."""
    rows = list(rows)
    found: dict[str, tuple[PastedLine, ...]] = {}
    for column in columns:
        scores = {row.title: s for row in rows if (s := row.pasted_scores_of(column))}
        compared = {} if reference is None else compared_with(reference.title, scores)
        lines = tuple(
            _line(row, column, scores[row.title], compared.get(row.title))
            for row in rows
            if row.title in scores
        )
        if lines:
            found[column] = lines
    return found


def _line(
    row: Row, column: str, scores: Sequence[Score], comparison: Comparison | None
) -> PastedLine:
    errors = errors_of(scores)
    assert errors is not None
    number = Measured(tuple(score.nme_percent for score in scores), nme_interval(errors))
    told = told_by([trial.pasted for trial in row.trials], column)
    return PastedLine(row, number, _rise(row.scores_of(column), scores), comparison, told)


def _rise(clean: Sequence[Score], pasted: Sequence[Score]) -> Interval | None:
    """Interval of 100 times the mean of pasted − clean errors; seeds and faces are paired."""
    if [score.face_ids for score in clean] != [score.face_ids for score in pasted]:
        return None
    if len(clean[0].face_ids) < FEWEST_FACES:
        return None
    rises = np.stack([p.terms - c.terms for p, c in zip(pasted, clean, strict=True)])  # (S, N)
    found = mean_interval(rises)
    return Interval(
        100 * found.estimate, 100 * found.low, 100 * found.high, found.level, found.seeds
    )
