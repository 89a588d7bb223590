"""Ground truth for predictions that odnbench did not make.

The annotations of a data set serve without its pictures; a file in one of the formats of
prediction_files.py serves where the data set is not on the machine.
"""

# N faces, L landmarks

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.roots import find_root, not_found
from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.predictions import Predictions
from odnbench.scoring.names import Folders, Name
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.scores import is_in_split


@dataclass(frozen=True)
class Truth:
    """The annotation of one split, among those of the other faces of its parts."""

    split: str
    scheme: str
    official: int  # number of faces of the whole split; 0 where it is not known
    rendered: bool
    face_ids: tuple[str, ...]  # (N,) ids
    points: Floats  # (N, L, 2)
    occluded: Flags | None  # (N, L)
    boxes: Floats | None  # (N, 4)
    # (N,) which of them are in the split; None: all. The others show which pictures have several
    # faces.
    members: Flags | None = None
    # Row → what keeps the face from being scored, as the end of a sentence that begins with its id.
    faults: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    first_pixel: int = 0  # as the annotation counts them; `points` are counted from 0
    # (N,) by which predictions find the faces, where ids hold more; empty: the ids.
    names: tuple[str, ...] = ()
    # Number of a picture → its name, in annotations of COCO.
    pictures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def truth_of(split: str, registry: Registry, data_root: Path | None) -> Truth:
    """The annotations of `split` below `data_root`; no picture is needed.

    Raises OdnbenchError for an absent data set, and for faulty annotations, all of which it lists.
    """
    dataset, members = registry.split(split)
    root = find_root(dataset, data_root)
    if root is None:
        raise OdnbenchError(
            f"{not_found(dataset, data_root)}, or give the annotations as a file: --truth"
        )
    archive = open_archive(dataset, root)
    faults: list[str] = []
    ids, points, occluded, boxes, inside = [], [], [], [], []
    for part in members.parts:
        for face in archive.faces(part, faults):
            inside.append(not members.label or members.label in face.labels)
            ids.append(face.id)
            points.append(face.points)
            occluded.append(face.occluded)
            boxes.append(face.box)
    if faults:
        raise OdnbenchError("\n  ".join([f"{split}: faulty files:", *faults]))
    if not any(inside):
        raise OdnbenchError(f"{split}: none of its faces is in {root}")
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
        np.array(inside, np.bool_),
    )


def truth_in_file(
    split: str, registry: Registry, file: PredictionFile, *, allow_partial: bool = False
) -> Truth:
    """The faces of `split` in a file of annotations, found by the file names of their pictures.

    Raises OdnbenchError where the file holds none of the faces, or more than the split has. Where
    names do not tell the split, the file must hold just its faces, or, with `allow_partial`, some
    of them.
    """
    dataset, members = registry.split(split)
    if members.label:
        raise OdnbenchError(f"{split}: a file of annotations does not tell who is in it")
    patterns = [dataset.parts[part].pattern for part in members.parts]
    names, folders = list(map(Name.of, file.face_ids)), Folders(dataset, members.parts)
    count = len(names)
    if all(patterns):
        chosen = np.array(
            [
                any(re.fullmatch(pattern, name.stem) for pattern in patterns)
                and not folders.contradict(name, Name.of(name.stem))
                for name in names
            ],
            np.bool_,
        )
    else:
        chosen = np.full(count, count == members.faces or (allow_partial and count < members.faces))
    if not chosen.any() or chosen.sum() > members.faces:
        found = f"{chosen.sum()} faces" if chosen.any() else "no face"
        partial = (
            ", or say with --allow-partial that they are some of it"
            if count < members.faces and not all(patterns)
            else ""
        )
        raise OdnbenchError(
            f"{one_line(file.path)}: it holds {found} of {split}, which has {members.faces}, as "
            f"far as the names of its {count} tell; give the annotations of that split alone"
            f"{partial}"
        )
    rows = np.flatnonzero(chosen).tolist()
    return Truth(
        split,
        dataset.scheme,
        members.faces,
        False,
        _ids(file, rows),
        file.points[rows],
        None if file.occluded is None else file.occluded[rows],
        None if file.boxes is None else file.boxes[rows],
        faults={i: file.faults[row] for i, row in enumerate(rows) if row in file.faults},
        first_pixel=file.first_pixel,
        names=tuple(file.face_ids[row] for row in rows),
        pictures=file.pictures,
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
        predictions.occluded[chosen] if dataset.flags or rendered else None,
        predictions.boxes[chosen],
    )


def _ids(file: PredictionFile, rows: Sequence[int]) -> tuple[str, ...]:
    """An id for each face: its name, and its box too where several faces are in one picture."""
    names = [file.face_ids[row] for row in rows]
    count = Counter(names)
    if file.boxes is None:
        return tuple(names)
    return tuple(
        f"{name}/{','.join(f'{side:g}' for side in file.boxes[row])}" if count[name] > 1 else name
        for name, row in zip(names, rows, strict=True)
    )
