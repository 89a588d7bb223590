"""The numbers of one set of predictions under a protocol, per column of a table."""

# N faces, L landmarks

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.metrics.ced import area_under_ced, failure_rate
from odnbench.metrics.intervals import Interval, mean_interval
from odnbench.metrics.nme import mean_terms, nme_per_face, points_per_face
from odnbench.metrics.occlusion import ProbabilityScore, score_probabilities
from odnbench.plan.registry import Registry
from odnbench.plan.specs import Coverage, Protocol, Trial
from odnbench.results.predictions import Predictions


@dataclass(frozen=True)
class Score:
    """Errors on one split. `nme` (N,) is a fraction, the summaries are in percent."""

    column: str  # "300w/challenging"
    coverage: Coverage
    protocol: Protocol
    faces: tuple[str, ...]  # (N,) ids
    nme: Floats  # of each face
    points: Floats  # (N,) that the protocol counts

    @property
    def terms(self) -> Floats:
        """(N,) whose mean is the NME of the set, as the protocol averages."""
        return mean_terms(self.nme, self.points, self.protocol)

    @property
    def nme_percent(self) -> float:
        """NME of the set."""
        return float(self.terms.mean()) * 100

    @property
    def median_percent(self) -> float:
        """Median over faces."""
        return float(np.median(self.nme)) * 100

    @property
    def failure_percent(self) -> float:
        """FR at the protocol's main threshold."""
        return self.failures_percent(self.protocol.failure_percent)

    @property
    def auc_percent(self) -> float:
        """AUC at the protocol's main threshold."""
        return self.area_percent(self.protocol.failure_percent)

    def failures_percent(self, threshold_percent: float) -> float:
        """Share of faces with an NME above the threshold."""
        return failure_rate(self.nme, threshold_percent / 100) * 100

    def area_percent(self, threshold_percent: float) -> float:
        """Area under the CED up to the threshold."""
        return area_under_ced(self.nme, threshold_percent / 100) * 100

    def interval(self) -> Interval | None:
        """95 % of the mean over faces like these, as a fraction; says nothing about seeds. None for
        a single face.
        """
        return None if len(self.nme) < 2 else mean_interval(self.terms[None])


def faces_of(column: str, predictions: Predictions, registry: Registry) -> Flags:
    """(N,) which predicted faces belong to the split `column`."""
    dataset, split = registry.split(column)
    chosen: Flags = np.isin(predictions.parts, [f"{dataset.name}/{part}" for part in split.parts])
    if split.label:
        chosen &= [split.label in held.split() for held in predictions.labels]
    return chosen


def occlusion_scores(
    predictions: Predictions, registry: Registry, columns: Iterable[str]
) -> dict[str, dict[str, ProbabilityScore]]:
    """Column → "landmarks": how well 1 − P at the landmarks tells occluded ones; "cells": how well
    1 − P tells cells of which occluders cover more than half. Nothing where P, flags or masks are
    not there.
    """
    found: dict[str, dict[str, ProbabilityScore]] = {}
    occlusion = predictions.occlusion
    for column in columns if occlusion is not None else ():
        assert occlusion is not None
        chosen = faces_of(column, predictions, registry)
        pairs = {"landmarks": (occlusion.landmarks, predictions.occluded)}
        if occlusion.covered is not None:
            pairs["cells"] = (occlusion.cells, occlusion.covered > 0.5)
        for name, (probability, true) in pairs.items():
            flags = true[chosen]
            if flags.any() and not flags.all():
                score = score_probabilities(probability[chosen], flags)
                found.setdefault(column, {})[name] = score
    return found


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

    A face of which `protocol` counts no point is left out, and so is a column whose data set does
    not say which points are occluded, where the protocol must know.
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
        chosen = faces_of(column, predictions, registry)
        counted = chosen & np.isfinite(nme)
        ids = tuple(np.array(predictions.ids)[counted])
        if ids:
            rendered = trial.tested_on_rendered(column)
            coverage = Coverage(column, int(chosen.sum()), split.faces, rendered)
            found.append(Score(column, coverage, protocol, ids, nme[counted], points[counted]))
    return found
