"""Which prediction belongs to which face.

1. A face's picture is that with which the prediction's name has the longest path in common, counted
   from the file name on (names.py). One that could be several pictures is nobody's; so is one in a
   folder of another part of the data set.
2. Where a picture has one face and one prediction, they belong together. Otherwise ids that hold a
   box or a row decide ("a.jpg/12,30,118,160"), or else boxes: faces and predictions are assigned
   such that the boxes overlap most (Kuhn, 1955), and those that overlap too little stay alone.

All faces of the parts are looked at, also where only some of them are scored: a picture with two
faces has two, even if a subset holds one of them.
"""

# N faces, M predictions

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from odnbench.arrays import Floats, Rows
from odnbench.errors import one_line
from odnbench.scoring.names import Name

# Intersection over union below which a box is that of another face.
_LEAST_OVERLAP = 0.3


@dataclass(frozen=True)
class Named:
    """Faces by name, with the boxes that are known of them."""

    ids: Sequence[str]
    names: Sequence[Name]
    boxes: Floats  # (N, 4) left, top, right, bottom; NaN where it is not known

    @classmethod
    def of(cls, ids: Sequence[str], boxes: Floats | None) -> "Named":
        """The faces `ids` with their boxes (N, 4)."""
        known = np.full((len(ids), 4), np.nan) if boxes is None else boxes
        return cls(ids, [Name.of(face) for face in ids], known)


@dataclass
class Match:
    """Which prediction each face has."""

    rows: Rows  # (N,) the prediction, -1 for none
    why_none: dict[int, str]  # face → why it has none, where more is known than that


def match(
    true: Named, predicted: Named, contradict: Callable[[Name, Name], bool] = lambda _, __: False
) -> Match:
    """The prediction of each face of `true`.

    contradict: whether the folders of a predicted name exclude a true one.
    """
    found = Match(np.full(len(true.ids), -1, np.intp), {})
    pictures: dict[str, dict[tuple[str, ...], list[int]]] = {}  # stem → picture → its faces
    for face, name in enumerate(true.names):
        pictures.setdefault(name.parts[-1], {}).setdefault(name.parts, []).append(face)
    claims: dict[tuple[str, ...], list[tuple[int, int]]] = {}  # picture → (agreement, prediction)
    for row, name in enumerate(predicted.names):
        told = one_line(predicted.ids[row])
        near: list[tuple[int, tuple[str, ...]]] = []
        for picture, faces in pictures.get(name.parts[-1], {}).items():
            if contradict(name, true.names[faces[0]]):
                why = f"the folders of '{told}' are those of another part of the data set"
                found.why_none |= dict.fromkeys(faces, why)
            else:
                near.append((name.agreement(true.names[faces[0]]), picture))
        agreement = max((agreement for agreement, _ in near), default=0)
        nearest = [picture for agreed, picture in near if agreed == agreement]
        if len(nearest) > 1:
            why = f"'{told}' may be one of {len(nearest)} pictures; name it with its folders"
            for picture in nearest:
                found.why_none |= dict.fromkeys(pictures[name.parts[-1]][picture], why)
        elif nearest:
            claims.setdefault(nearest[0], []).append((agreement, row))
    for picture, claimed in claims.items():
        most = max(agreement for agreement, _ in claimed)
        rows = [row for agreement, row in claimed if agreement == most]
        _settle(found, true, predicted, pictures[picture[-1]][picture], rows)
    return found


def _settle(
    found: Match, true: Named, predicted: Named, faces: Sequence[int], rows: Sequence[int]
) -> None:
    """Gives the `faces` of one picture their predictions among `rows`."""
    tails = {true.names[face].tail: face for face in faces if true.names[face].tail}
    by_id: dict[int, int] = {}
    for row in rows:
        if (face := tails.get(predicted.names[row].tail)) is not None:
            if face in by_id:
                found.why_none[face] = f"it has the predictions of {len(rows)} lines; keep one"
            by_id[face] = row
    for face, row in by_id.items():
        found.rows[face] = row if face not in found.why_none else -1
    left = [face for face in faces if face not in by_id]
    # A tail that no face of the picture has is that of a face of another part.
    free = [row for row in rows if not (tails and predicted.names[row].tail)]
    if not left or not free:
        return
    if len(left) == len(free) == 1 and not by_id:
        found.rows[left[0]] = free[0]
        return
    overlap = _overlap(true.boxes[left], predicted.boxes[free])  # (faces, predictions)
    if np.isnan(overlap).any():
        many = f"{len(faces)} faces" if len(faces) > 1 else f"{len(rows)} predictions"
        example = f", or by ids like '{one_line(true.ids[left[0]])}'" if tails else ""
        why = f"its picture has {many}; tell them apart by the boxes of the faces{example}"
        found.why_none |= dict.fromkeys(left, why)
        return
    for index, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
        if overlap[index, column] >= _LEAST_OVERLAP:
            found.rows[left[index]] = free[column]
        else:
            found.why_none[left[index]] = "no box of its picture's predictions is near its own"


def _overlap(boxes: Floats, others: Floats) -> Floats:
    """(N, 4) and (M, 4) → (N, M) intersection over union; NaN where a box is not known."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (boxes, others)]
    either = areas[0][:, None] + areas[1][None] - both
    overlap: Floats = both / np.where(either > 0, either, 1.0)
    return overlap
