"""Predictions and ground truth of the same faces."""

# N faces, L landmarks

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError, one_line, some
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage
from odnbench.scoring.matching import Match, Named, match
from odnbench.scoring.names import Folders
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.truth import Truth

_MOST_REASONS = 5  # that one line tells
_NO_PREDICTION = ": no prediction"


@dataclass(frozen=True)
class Paired:
    """Predictions and ground truth of the same faces, in the order of the ground truth."""

    face_ids: tuple[str, ...]  # (N,) ids of the ground truth
    predicted: Floats  # (N, L, 2)
    true: Floats  # (N, L, 2)
    predicted_occluded: Flags | None  # (N, L)
    occluded: Flags | None  # (N, L)
    boxes: Floats | None  # (N, 4)
    coverage: Coverage
    # Id → why the face is left out, as the end of a sentence that begins with the id.
    left_out: Mapping[str, str] = field(default_factory=dict)

    def without(self, reasons: Mapping[int, str]) -> "Paired":
        """The faces whose row is not in `reasons`: row → why it is left out."""
        kept = np.array([row for row in range(len(self.face_ids)) if row not in reasons], np.intp)
        covered = replace(self.coverage, faces=len(kept), whole=self.coverage.whole and not reasons)
        told = {self.face_ids[row]: why for row, why in reasons.items()}
        return Paired(
            tuple(self.face_ids[row] for row in kept),
            self.predicted[kept],
            self.true[kept],
            None if self.predicted_occluded is None else self.predicted_occluded[kept],
            None if self.occluded is None else self.occluded[kept],
            None if self.boxes is None else self.boxes[kept],
            covered,
            {**self.left_out, **told},
        )


def pair(
    truth: Truth,
    predicted: PredictionFile,
    landmarks: int,
    registry: Registry,
    *,
    allow_partial: bool = False,
) -> Paired:
    """The faces of `truth` with their predictions, found as matching.py says.

    Raises OdnbenchError that names faces without a usable prediction or annotation, unless
    `allow_partial`, and for points of another scheme.
    """
    _check_landmarks(truth, predicted, landmarks)
    dataset, split = registry.split(truth.split)
    found = match(
        Named.of(truth.names or truth.face_ids, _boxes_of(truth.points, truth.boxes)),
        Named.of(_names_of(predicted, truth), predicted.boxes),
        Folders(dataset, split.parts).contradict,
    )
    members = list(range(len(truth.face_ids)))
    if truth.members is not None:
        members = np.flatnonzero(truth.members).tolist()
    left_out: dict[str, str] = {}
    kept: list[int] = []
    for face in members:
        if why := _why_not(face, truth, predicted, found):
            left_out[truth.face_ids[face]] = why
        else:
            kept.append(face)
    if not kept:
        raise OdnbenchError(_no_face(truth, predicted, members, found))
    if left_out and not allow_partial:
        raise OdnbenchError(
            f"{one_line(predicted.path)}: {told(left_out, truth.split)}; --allow-partial scores "
            f"the other {len(kept)}"
        )
    rows = found.rows[kept]  # of the predictions
    total = truth.official or len(members)
    return Paired(
        tuple(truth.face_ids[i] for i in kept),
        predicted.points[rows],
        truth.points[kept],
        None if predicted.occluded is None else predicted.occluded[rows],
        None if truth.occluded is None else truth.occluded[kept],
        None if truth.boxes is None else truth.boxes[kept],
        Coverage(truth.split, len(kept), total, truth.rendered, whole=len(kept) == total),
        left_out,
    )


def told(left_out: Mapping[str, str], split: str, most: int = _MOST_REASONS) -> str:
    """Who is left out and why, in one line with at most `most` reasons. left_out: see `Paired`."""
    missing = [face for face, why in left_out.items() if why == _NO_PREDICTION]
    parts = [f"no prediction for {some(missing)} of {split}"] if missing else []
    others = [(face, why) for face, why in left_out.items() if why != _NO_PREDICTION]
    parts += [f"face {one_line(face)}{why}" for face, why in others[:most]]
    if len(others) > most:
        parts.append(f"and {len(others) - most} more")
    return "; ".join(parts)


def _why_not(face: int, truth: Truth, predicted: PredictionFile, found: Match) -> str:
    """What keeps a face from being scored; "" where nothing does."""
    if face in truth.faults:
        return f" of the annotation{truth.faults[face]}"
    row = int(found.rows[face])
    if row >= 0:
        return predicted.faults.get(row, "")
    return f": {found.why_none[face]}" if face in found.why_none else _NO_PREDICTION


def _no_face(truth: Truth, predicted: PredictionFile, members: Sequence[int], found: Match) -> str:
    """The error for a file of which no face can be scored."""
    head = f"{one_line(predicted.path)}: it holds no face of {truth.split}"
    example, true = one_line(predicted.face_ids[0]), one_line(truth.face_ids[members[0]])
    reasons = {face: _why_not(face, truth, predicted, found) for face in members}
    known = {truth.face_ids[f]: why for f, why in reasons.items() if why != _NO_PREDICTION}
    if known:
        return f"{head} that can be scored: {told(known, truth.split, most=1)}"
    if predicted.numbered:
        return (
            f"{head}: it numbers pictures as COCO does, like {example}; give the annotations that "
            "hold their names with --truth"
        )
    return f"{head}: it names faces like '{example}', the ground truth like '{true}'"


def _check_landmarks(truth: Truth, predicted: PredictionFile, landmarks: int) -> None:
    """Raises OdnbenchError for points of another scheme."""
    for what, points in (
        (f"{truth.split}, ground truth", truth.points),
        (one_line(predicted.path), predicted.points),
    ):
        if points.shape[1] not in (0, landmarks):  # 0: no face has any, which its faults tell
            raise OdnbenchError(
                f"{what}: {points.shape[1]} landmarks, but scheme {truth.scheme} has {landmarks}"
            )


def _names_of(predicted: PredictionFile, truth: Truth) -> Sequence[str]:
    """Names of the predicted faces; for numbers of pictures, the names that the truth has."""
    if not (predicted.numbered and truth.pictures):
        return predicted.face_ids
    return [truth.pictures.get(number, number) for number in predicted.face_ids]


def _boxes_of(points: Floats, boxes: Floats | None) -> Floats:
    """(N, 4) annotated boxes, the tight box of the landmarks where there is none."""
    tight = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    return tight if boxes is None else np.where(np.isnan(boxes), tight, boxes)
