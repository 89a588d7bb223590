"""Errors of a trial by part of the face and by occlusion, per column of a table."""

# N faces, L landmarks

from collections.abc import Iterable

import numpy as np

from odnbench.metrics.breakdown import Group, breakdown
from odnbench.metrics.nme import counted_points, point_errors
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.predictions import Predictions
from odnbench.scoring.scores import is_in_split


def grouped_errors(
    predictions: Predictions, trial: Trial, registry: Registry, columns: Iterable[str]
) -> dict[str, tuple[Group, ...]]:
    """Column (split) → mean distances over the normaliser, by groups of points.

    Groups by occlusion are left out where no point of the column is flagged as occluded.
    """
    errors = point_errors(
        predictions.predicted, predictions.true, trial.protocol, trial.scheme,
        boxes=predictions.boxes,
    )  # fmt: skip
    counted = counted_points(trial.protocol, predictions.occluded)
    found = {}
    for column in columns:
        chosen = is_in_split(column, predictions, registry)
        occluded = predictions.occluded[chosen]
        flags = occluded if occluded.any() else None
        if chosen.any():
            told = breakdown(errors[chosen], counted[chosen], trial.scheme, flags, None)
            found[column] = tuple(told)
    return found


def mean_group(seeds: Iterable[Iterable[Group]], by: str, name: str) -> float | None:
    """The mean over seeds of the error of a group, in percent; None unless every seed has it."""
    found = [
        [group.nme for group in seed if (group.by, group.name) == (by, name)] for seed in seeds
    ]
    return 100 * float(np.mean(found)) if found and all(found) else None
