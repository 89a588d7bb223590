"""Ground truth for predictions that odnbench did not make, and the pairing of both by face.

The annotations of a data set serve without its pictures; a file in one of the formats of
prediction_files.py serves where the data set is not on the machine.
"""

# N faces, L landmarks

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.datasets.archives.archive import find_root, open_archive
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.predictions import Predictions
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.scores import is_in_split

_MOST_NAMED = 5  # faces that one error names


@dataclass(frozen=True)
class Truth:
    """The annotation of one split."""

    split: str
    scheme: str
    official: int  # number of faces of the whole split; 0 where it is not known
    rendered: bool
    face_ids: tuple[str, ...]  # (N,) ids
    points: Floats  # (N, L, 2)
    occluded: Flags | None  # (N, L)
    boxes: Floats | None  # (N, 4)


def truth_of(split: str, registry: Registry, data_root: Path | None) -> Truth:
    """The annotations of `split` below `data_root`; no picture is needed.

    Raises OdnbenchError for an absent data set, and for faulty annotations, all of which it lists.
    """
    dataset, members = registry.split(split)
    root = find_root(dataset, data_root)
    if root is None:
        raise OdnbenchError(
            f"{dataset.name} is not below {data_root or 'any data root'}; give --data-root, or the "
            "annotations as a file: --truth"
        )
    archive = open_archive(dataset, root)
    faults: list[str] = []
    ids, points, occluded, boxes = [], [], [], []
    for part in members.parts:
        for face in archive.faces(part, faults):
            if members.label and members.label not in face.labels:
                continue
            ids.append(face.id)
            points.append(face.points)
            occluded.append(face.occluded)
            boxes.append(face.box)
    if faults:
        raise OdnbenchError("\n  ".join([f"{split}: faulty files:", *faults]))
    if not ids:
        raise OdnbenchError(f"{split}: none of its faces is below {data_root}")
    whole = sum(archive.official(part) for part in members.parts)
    return Truth(
        split,
        dataset.scheme,
        members.faces if not archive.rendered else 0 if members.label else whole,
        bool(archive.rendered),
        tuple(ids),
        np.array(points),
        None if any(flags is None for flags in occluded) else np.array(occluded, np.bool_),
        None if any(box is None for box in boxes) else np.array(boxes, np.float64),
    )


def truth_in_file(split: str, registry: Registry, file: PredictionFile) -> Truth:
    """The faces of `split` in a file of annotations, found by the file names of their pictures.

    Raises OdnbenchError where the file holds none of the faces, or more than the split has.
    """
    dataset, members = registry.split(split)
    if members.label:
        raise OdnbenchError(f"{split}: a file of annotations does not tell who is in it")
    patterns = [dataset.parts[part].pattern for part in members.parts]
    if all(patterns):
        chosen = np.array([_matches_any(patterns, face) for face in file.face_ids], np.bool_)
    else:  # names do not tell the split, so the file must hold just its faces
        chosen = np.full(len(file.face_ids), len(file.face_ids) == members.faces)
    if not chosen.any() or chosen.sum() > members.faces:
        found = f"{chosen.sum()} faces" if chosen.any() else "no face"
        raise OdnbenchError(
            f"{file.path}: it holds {found} of {split}, which has {members.faces}, as far as the "
            f"names of its {len(file.face_ids)} tell; give the annotations of that split alone"
        )
    return Truth(
        split,
        dataset.scheme,
        members.faces,
        False,
        tuple(np.array(file.face_ids)[chosen]),
        file.points[chosen],
        None if file.occluded is None else file.occluded[chosen],
        None if file.boxes is None else file.boxes[chosen],
    )


def truth_in_predictions(
    split: str, predictions: Predictions, trial: Trial, registry: Registry
) -> Truth | None:
    """The annotations of `split` in a trial's predictions; None if they hold none of its faces."""
    dataset, members = registry.split(split)
    chosen = is_in_split(split, predictions, registry)
    if not chosen.any():
        return None
    rendered = trial.tested_on_rendered(split)
    return Truth(
        split,
        dataset.scheme,
        int(chosen.sum()) if rendered else members.faces,
        rendered,
        tuple(np.array(predictions.ids)[chosen]),
        predictions.true[chosen],
        predictions.occluded[chosen],
        predictions.boxes[chosen],
    )


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


def pair(
    truth: Truth, predicted: PredictionFile, landmarks: int, *, allow_partial: bool = False
) -> Paired:
    """The faces of `truth` with their predictions.

    Faces are matched by id, else by file name where that name is unique. Raises OdnbenchError that
    names faces without prediction, unless `allow_partial`, and for points of another scheme.
    """
    for what, points in (
        (f"{truth.split}, ground truth", truth.points),
        (str(predicted.path), predicted.points),
    ):
        if points.shape[1] != landmarks:
            raise OdnbenchError(
                f"{what}: {points.shape[1]} landmarks, but scheme {truth.scheme} has {landmarks}"
            )
    row_of = {name: row for row, names in enumerate(_names(predicted.face_ids)) for name in names}
    rows = np.array(
        [next((row_of[n] for n in names if n in row_of), -1) for names in _names(truth.face_ids)]
    )
    both = np.flatnonzero(rows >= 0)
    if not len(both):
        raise OdnbenchError(
            f"{predicted.path}: it holds no face of {truth.split}: it names faces like "
            f"'{predicted.face_ids[0]}', the ground truth like '{truth.face_ids[0]}'"
        )
    missing = [truth.face_ids[i] for i in np.flatnonzero(rows < 0)]
    if missing and not allow_partial:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise OdnbenchError(
            f"{predicted.path}: no prediction for {', '.join(missing[:_MOST_NAMED])}{more} of "
            f"{truth.split}; --allow-partial scores the other {len(both)}"
        )
    found = rows[both]
    total = truth.official or len(truth.face_ids)
    return Paired(
        tuple(truth.face_ids[i] for i in both),
        predicted.points[found],
        truth.points[both],
        None if predicted.occluded is None else predicted.occluded[found],
        None if truth.occluded is None else truth.occluded[both],
        None if truth.boxes is None else truth.boxes[both],
        Coverage(truth.split, len(both), total, truth.rendered, whole=len(both) == total),
    )


def _names(face_ids: Sequence[str]) -> list[list[str]]:
    """The names of each face: its id, and the stem of its file name where the stem is unique."""
    stems = [_stem(face) for face in face_ids]
    count = Counter(stems)
    return [
        [face, *([stem] if count[stem] == 1 else [])]
        for face, stem in zip(face_ids, stems, strict=True)
    ]


def _stem(face: str) -> str:
    """The stem of the picture in an id or a file name: "0/image00002.jpg/17" → "image00002"."""
    picture = re.match(r"(.*?\.(?:jpe?g|png))(?:/|$)", face, re.IGNORECASE)
    return PurePosixPath(picture[1] if picture else face).stem.replace(" ", "").lower()


def _matches_any(patterns: Sequence[str], face: str) -> bool:
    return any(re.fullmatch(pattern, _stem(face)) for pattern in patterns)
