"""Scores of any tool's predictions: files against ground truth, under one protocol.

scored = score_files(files, truth_of("cofw68/test", registry, data_root), protocol, registry)
"""

# N faces, L landmarks

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from odnbench.datasets.rendering.pose import yaw_degrees
from odnbench.errors import OdnbenchError, unknown
from odnbench.metrics.breakdown import Group, breakdown
from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.metrics.nme import (
    cannot_normalise,
    counted_points,
    mean_terms,
    nme_per_face,
    point_errors,
    points_per_face,
    reference_length_px,
)
from odnbench.metrics.occlusion import FlagScore, score_flags
from odnbench.metrics.significance import Comparison, compare
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.scoring.pairing import Paired, pair, told
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.remarks import copies_flags, remarks
from odnbench.scoring.scores import FOREIGN_BOX, Score, Value, values_of
from odnbench.scoring.truth import Truth

Compared = tuple[Comparison, ...]  # with the reference, one for each other file


@dataclass(frozen=True)
class ScoredFile:
    """One file of predictions on one split under one protocol."""

    name: str
    score: Score
    values: tuple[Value, ...]  # of every metric
    paired: Paired
    scheme: Scheme
    notes: tuple[str, ...] = ()  # what readers of the numbers must know, for people

    @property
    def flags(self) -> FlagScore | None:
        """How well the file predicts occlusion; None where the file or the truth has no flags, and
        where the flags are copied from the truth.
        """
        predicted, true = self.paired.predicted_occluded, self.paired.occluded
        if predicted is None or true is None or copies_flags(self.paired):
            return None
        return score_flags(predicted, true)

    @cached_property
    def groups(self) -> list[Group]:
        """Errors by groups of landmarks and faces: mean distances over the normaliser."""
        paired, protocol = self.paired, self.score.protocol
        errors = point_errors(
            paired.predicted, paired.true, protocol, self.scheme, boxes=paired.boxes
        )
        try:
            yaw = yaw_degrees(paired.true, self.scheme.name)
        except ValueError:  # a user's own scheme, on which yaw cannot be measured
            yaw = None
        counted = (
            np.ones(errors.shape, np.bool_)
            if protocol.visibility == "all"
            else counted_points(protocol, paired.occluded)
        )
        return breakdown(errors, counted, self.scheme, paired.occluded, yaw)


def score_files(
    files: Sequence[PredictionFile],
    truth: Truth,
    protocol: Protocol,
    registry: Registry,
    *,
    allow_partial: bool = False,
    box: str = FOREIGN_BOX,
) -> list[ScoredFile]:
    """Scores every file on `truth` under `protocol`, with `box` as its box rule.

    Raises OdnbenchError for a protocol of another point scheme, and, unless `allow_partial`, for
    faces without a usable prediction or annotation, and faces that cannot be normalised.
    """
    if protocol.scheme != truth.scheme:
        raise OdnbenchError(
            f"protocol '{protocol.name}' has {protocol.scheme} points, {truth.split} has "
            f"{truth.scheme}"
        )
    scheme = registry.get(Scheme, protocol.scheme)
    protocol = replace(protocol, box=box)
    return [
        _score(file, truth, protocol, scheme, registry, allow_partial=allow_partial)
        for file in files
    ]


def _score(
    file: PredictionFile,
    truth: Truth,
    protocol: Protocol,
    scheme: Scheme,
    registry: Registry,
    *,
    allow_partial: bool,
) -> ScoredFile:
    paired = pair(truth, file, scheme.points, registry, allow_partial=allow_partial)
    length = reference_length_px(paired.true, protocol, scheme, paired.boxes)
    if reasons := cannot_normalise(length, protocol):
        bad = {paired.face_ids[row]: why for row, why in reasons.items()}
        left = len(paired.face_ids) - len(bad)
        if not (allow_partial and left):
            cure = f"; --allow-partial scores the other {left}" if left else ""
            raise OdnbenchError(f"{truth.split}: {told(bad, truth.split)}{cure}")
        paired = paired.without(reasons)
    nme = nme_per_face(
        paired.predicted, paired.true, protocol, scheme, paired.occluded, paired.boxes
    )
    counted = ~np.isnan(nme)  # NaN for a face of which the protocol counts no point
    face_ids = tuple(face for face, kept in zip(paired.face_ids, counted, strict=True) if kept)
    if not face_ids:
        raise OdnbenchError(f"protocol {protocol.name} counts no point of {paired.coverage.split}")
    points = points_per_face(len(nme), protocol, scheme, paired.occluded)[counted]
    score = Score(paired.coverage.split, paired.coverage, protocol, face_ids, nme[counted], points)
    seen = remarks(
        paired, score, predicted_first_pixel=file.first_pixel, true_first_pixel=truth.first_pixel
    )
    values = tuple(values_of(score, registry))
    return ScoredFile(file.name, score, values, paired, scheme, (*file.notes, *seen))


def compare_files(scored: Sequence[ScoredFile], reference: str) -> Compared:
    """Compares every other file with the one named `reference`, on faces that all files have.

    Empty where there are too few such faces. Raises OdnbenchError for an unknown name.
    """
    names = [one.name for one in scored]
    if reference not in names:
        raise unknown("file", reference, names)
    common = set.intersection(*(set(s.score.face_ids) for s in scored))
    if len(common) < FEWEST_FACES:
        return ()
    errors = {}
    for one in scored:
        score = one.score
        kept = [face in common for face in score.face_ids]
        terms = mean_terms(score.nme[kept], score.points[kept], score.protocol)
        errors[one.name] = terms[None]  # (1, N)
    return compare(errors, reference)
