"""The numbers of one set of predictions under a protocol, per column of a table."""

# N faces, L landmarks

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError
from odnbench.metrics.intervals import FEWEST_FACES, Interval, mean_interval
from odnbench.metrics.nme import mean_terms, nme_per_face, points_per_face
from odnbench.metrics.summaries import mean_percent
from odnbench.plan.entries import Metric
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.predictions import Predictions

FOREIGN_BOX = "the tool's own"  # how another tool crops is not in its predictions


@dataclass(frozen=True)
class Score:
    """Errors on one split. `nme` (N,) is a fraction, the summaries are in percent."""

    column: str  # "300w/challenging"
    coverage: Coverage
    protocol: Protocol
    face_ids: tuple[str, ...]  # (N,) ids
    nme: Floats  # of each face
    points: Floats  # (N,) how many of each face the protocol counts

    @property
    def terms(self) -> Floats:
        """(N,) numbers whose mean is the NME of the split, averaged as the protocol says."""
        return mean_terms(self.nme, self.points, self.protocol)

    @property
    def nme_percent(self) -> float:
        """NME of the split."""
        return mean_percent(self)

    @cached_property
    def interval(self) -> Interval | None:
        """95 % interval of the NME over faces, as a fraction; None where faces are too few, or
        errors differ on few of them alone.

        The spread between seeds is not part of the interval.
        """
        found = mean_interval(self.terms[None]) if len(self.nme) >= FEWEST_FACES else None
        if found is None or not found.tells(found.estimate):
            return None
        return replace(found, low=max(0.0, found.low))


@dataclass(frozen=True)
class Value:
    """The value of a metric for a score, in the metric's unit."""

    metric: Metric
    threshold_percent: float | None  # None where the metric has no thresholds
    value: float


def values_of(
    score: Score, registry: Registry, thresholds_percent: Sequence[float] | None = None
) -> list[Value]:
    """The value of every metric, in the order of the registry.

    A metric that has thresholds gives a value for each of `thresholds_percent`, by default the
    thresholds of the score's protocol.
    """
    if thresholds_percent is None:
        thresholds_percent = score.protocol.thresholds_percent
    found = []
    for name, metric in registry.all(Metric).items():
        if not metric.per_threshold:
            found.append(Value(metric, None, _number(registry, name, errors=score)))
        for t in thresholds_percent if metric.per_threshold else ():
            number = _number(registry, name, errors=score, threshold_percent=t)
            found.append(Value(metric, t, number))
    return found


def main_values(score: Score, registry: Registry) -> dict[str, float]:
    """Metric → value, at the protocol's main threshold where the metric has thresholds."""
    values = values_of(score, registry, [score.protocol.failure_percent])
    return {value.metric.name: value.value for value in values}


def _number(registry: Registry, metric: str, **arguments: Any) -> float:
    number = registry.build(Metric, metric, **arguments)
    if not isinstance(number, int | float | np.number):
        raise OdnbenchError(f"metric '{metric}' must return a number, got {number!r}")
    return float(number)


def differ_in(one: Score, other: Score) -> str:
    """Why errors of two scores are of unlike measures; "" where they are of one.

    How another tool crops is not known (FOREIGN_BOX), so that it cannot be said to differ.
    """
    mine, others = one.protocol, other.protocol
    if FOREIGN_BOX in (mine.box, others.box):
        mine = replace(mine, box=others.box)
    return mine.differs_from(others)


def is_in_split(column: str, predictions: Predictions, registry: Registry) -> Flags:
    """(N,) whether each predicted face belongs to the split `column`."""
    dataset, split = registry.split(column)
    chosen: Flags = np.isin(predictions.parts, [f"{dataset.name}/{part}" for part in split.parts])
    if split.label:
        chosen &= [split.label in held.split() for held in predictions.labels]
    return chosen


def scores(
    predictions: Predictions, trial: Trial, registry: Registry, columns: Iterable[str]
) -> list[Score]:
    """A score of `trial` under its own protocol for each of `columns`."""
    return scores_under(trial.protocol, predictions, trial, registry, columns)


def scores_under(
    protocol: Protocol,
    predictions: Predictions,
    trial: Trial,
    registry: Registry,
    columns: Iterable[str],
) -> list[Score]:
    """A score for each of `columns` (splits) of which a face was predicted.

    A face of which `protocol` counts no point is left out. So is a column whose data set does not
    say which points are occluded, if the protocol counts only visible or only occluded points.
    """
    scheme = trial.scheme
    nme = nme_per_face(
        predictions.predicted,
        predictions.true,
        protocol,
        scheme,
        occluded=predictions.occluded,
        boxes=predictions.boxes,
    )
    points = points_per_face(len(nme), protocol, scheme, predictions.occluded)
    found = []
    for column in columns:
        dataset, split = registry.split(column)
        if protocol.visibility != "all" and not dataset.flags:
            continue
        chosen = is_in_split(column, predictions, registry)
        counted = chosen & np.isfinite(nme)
        ids = tuple(np.array(predictions.ids)[counted])
        if ids:
            rendered = trial.tested_on_rendered(column)
            coverage = Coverage(column, int(chosen.sum()), split.faces, rendered)
            found.append(Score(column, coverage, protocol, ids, nme[counted], points[counted]))
    return found
