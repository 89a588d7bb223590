"""The numbers of one trial under its protocol, per column of a report."""

# N faces, L landmarks

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from odnbench.metrics.ced import area_under_ced, failure_rate
from odnbench.metrics.nme import Floats, nme_per_face
from odnbench.registry import Registry
from odnbench.specs import Coverage, Trial
from odnbench.trials import Predictions


@dataclass(frozen=True)
class Score:
    """Errors of one trial on one split. `nme` (N,) is a fraction, the summaries are in percent."""

    column: str  # "300w/challenging"
    coverage: Coverage
    faces: tuple[str, ...]  # (N,) ids
    nme: Floats
    failure_percent: float  # FR at the protocol's threshold
    auc_percent: float  # AUC at the same threshold

    @property
    def nme_percent(self) -> float:
        """Mean over faces."""
        return float(self.nme.mean()) * 100

    @property
    def standard_error_percent(self) -> float:
        """Of the mean over faces; says nothing about seeds."""
        return (
            float(self.nme.std(ddof=1) / np.sqrt(len(self.nme))) * 100 if len(self.nme) > 1 else 0.0
        )


def scores(
    predictions: Predictions, trial: Trial, registry: Registry, columns: Iterable[str]
) -> list[Score]:
    """A score for each of `columns` (splits) of which a face was predicted."""
    nme = nme_per_face(
        predictions.predicted,
        predictions.true,
        trial.protocol,
        trial.scheme,
        occluded=predictions.occluded,
        boxes=predictions.boxes,
    )
    threshold = trial.protocol.failure_percent / 100
    part_of_face = np.array(predictions.parts)
    found = []
    for column in columns:
        dataset, split = registry.split(column)
        counted = np.isin(part_of_face, [f"{dataset.name}/{part}" for part in split.parts])
        counted &= np.isfinite(nme)
        if split.label:
            counted &= [split.label in held.split() for held in predictions.labels]
        chosen, ids = nme[counted], tuple(np.array(predictions.ids)[counted])
        if len(chosen):
            coverage = Coverage(column, len(chosen), split.faces, trial.rendered)
            failures, area = failure_rate(chosen, threshold), area_under_ced(chosen, threshold)
            found.append(Score(column, coverage, ids, chosen, failures * 100, area * 100))
    return found
