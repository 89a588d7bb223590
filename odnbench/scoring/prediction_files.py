"""Predicted landmarks of any tool, read from the files that people have.

.parquet     predictions.parquet of a trial folder (formats/parquet.py)
.csv, .tsv   a column that names faces, and columns x0, y0, x1, y1, … (formats/table.py)
.json        SPIGA's records (formats/records.py), COCO's annotations and results (formats/coco.py)
.txt         COFW68's four lines for each face (formats/cofw68.py)

Pixels are counted from 0 in all of them but COFW68's text, which counts from 1. Text is UTF-8, or
UTF-16 with a byte-order mark. The same formats serve as ground truth (`--truth`), for which a
trial's file gives its annotations.
"""

# N faces, L landmarks

import os
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError, one_line, some, unknown
from odnbench.files.text import decoded
from odnbench.scoring.formats.arrays import flags_in_thirds, landmarks_of, unusable
from odnbench.scoring.formats.content import Content

FORMATS = (".csv", ".json", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True)
class PredictionFile:
    """The landmarks of faces as a file gives them; image frame, pixels counted from 0."""

    path: Path
    face_ids: tuple[str, ...]  # (N,) ids or file names
    points: Floats  # (N, L, 2)
    occluded: Flags | None = None  # (N, L) as predicted
    boxes: Floats | None = None  # (N, 4), NaN for a face without one
    title: str = ""
    # Row → what keeps the face from being scored, as the end of a sentence that begins with its id.
    faults: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()  # how the file was read, where that is not plain
    first_pixel: int = 0  # as the file counts them; `points` are counted from 0
    # Number of a picture → its name, in annotations of COCO.
    pictures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    numbered: bool = False  # whether `face_ids` are such numbers

    @property
    def name(self) -> str:
        """The name of the file in tables."""
        return self.title or one_line(self.path.stem)

    def told(self, row: int) -> str:
        """The fault of a row as a sentence."""
        return f"face {one_line(self.face_ids[row])}{self.faults[row]}"


def read_prediction_files(
    paths: Sequence[Path], *, allow_partial: bool = False
) -> list[PredictionFile]:
    """Reads each of `paths`. Files of the same name are told apart by their suffixes, or else by
    as many of their folders as that takes.

    Raises OdnbenchError for a file that is given twice, and where `read_prediction_file` does.
    """
    resolved = [Path(os.path.realpath(path)) for path in paths]  # Path.resolve refuses loops
    for path, real in zip(paths, resolved, strict=True):
        if resolved.count(real) > 1:
            raise OdnbenchError(f"{one_line(path)}: the file is given twice")
    files = [read_prediction_file(path, allow_partial=allow_partial) for path in paths]
    names = _distinct_names(resolved)
    return [replace(file, title=name) for file, name in zip(files, names, strict=True)]


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each of `paths`, of which no two are the same, as short as that allows."""

    def name_of(path: Path, length: int) -> str:
        # Stem, name, folder and stem, folder and name, …
        parts = [*path.parts[-1 - length // 2 : -1], path.name if length % 2 else path.stem]
        return one_line("/".join(parts))

    lengths = [0] * len(paths)
    while True:
        names = list(map(name_of, paths, lengths))
        doubled = [index for index, name in enumerate(names) if names.count(name) > 1]
        if not doubled:
            return names
        for index in doubled:
            lengths[index] += 1


def read_prediction_file(
    path: Path, *, truth: bool = False, allow_partial: bool = False
) -> PredictionFile:
    """Reads `path` in the format of its suffix.

    truth: whether the file is of annotations, so that those in a trial's file are taken instead of
    its predictions, and a landmark that COCO marks as not annotated is none. Raises OdnbenchError
    for an unknown suffix, a malformed file, and, unless `allow_partial`, a face that is there twice
    or without finite landmarks; with it such faces are in `faults`.
    """
    try:
        file = _checked(path, _read(path, truth=truth), truth=truth)
    except OSError as error:
        raise OdnbenchError(f"{one_line(path)}: {error.strerror or error}") from error
    except OdnbenchError as error:
        raise OdnbenchError(f"{one_line(path)}: {error}") from error
    if file.faults and not allow_partial:
        told = "; ".join(file.told(row) for row in list(file.faults)[:5])
        more = f" (and {len(file.faults) - 5} more)" if len(file.faults) > 5 else ""
        raise OdnbenchError(
            f"{one_line(path)}: {told}{more}; mend the file, or leave such faces out with "
            "`odnbench score --allow-partial`"
        )
    return file


def _read(path: Path, *, truth: bool) -> Content:
    """What the file holds. The readers are imported here, because they import large libraries."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise unknown("format of predictions", suffix, FORMATS)
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
        raise OdnbenchError("it is no file of predictions but a folder, a pipe or a device")
    if suffix == ".parquet":
        from odnbench.scoring.formats.parquet import read_parquet

        return read_parquet(path, truth=truth)
    try:
        text = decoded(path.read_bytes())
    except ValueError as error:
        raise OdnbenchError(str(error)) from error
    if "\0" in text:
        raise OdnbenchError("it is damaged: it holds NUL bytes")
    if suffix == ".json":
        from odnbench.scoring.formats.records import read_records

        return read_records(text)
    if suffix == ".txt":
        from odnbench.scoring.formats.cofw68 import read_cofw68

        return read_cofw68(text)
    from odnbench.scoring.formats.table import read_table

    return read_table(text)


def _checked(path: Path, content: Content, *, truth: bool) -> PredictionFile:
    """The file, with the faces named that cannot be scored."""
    if not content.faces:
        raise OdnbenchError("it holds no face")
    found = landmarks_of(content.faces, content.landmarks, triples=content.is_coco)
    occluded, notes = _flags(content, found.points.shape), list(content.notes)
    faults = {**unusable(found.points), **found.faults}
    if found.thirds is not None and not np.isnan(found.thirds).all():
        flags, note = flags_in_thirds(found.thirds, is_coco=content.is_coco)
        occluded = flags if occluded is None else occluded
        notes.append(note)
        if truth and flags is not None and content.is_coco:
            absent = (found.thirds == 0).any(axis=1)
            faults |= {
                row: ": a landmark is not annotated (v = 0)"
                for row in np.flatnonzero(absent).tolist()
                if row not in faults
            }
    boxes = _boxes(content)
    faults |= _twice(content.faces, boxes)
    return PredictionFile(
        path,
        tuple(content.faces),
        found.points,
        occluded,
        boxes,
        faults=dict(sorted(faults.items())),
        notes=tuple(notes),
        first_pixel=content.first_pixel,
        pictures=content.pictures,
        numbered=content.numbered,
    )


def _flags(content: Content, shape: tuple[int, ...]) -> Flags | None:
    """(N, L) flags of occlusion that the file gives beside the landmarks."""
    if content.occluded is None:
        return None
    lengths = {len(row) if row is not None else 0 for row in content.occluded}
    if lengths != {shape[1]}:
        raise OdnbenchError(
            f"occlusion is given for {some([str(n) for n in sorted(lengths)])} landmarks of "
            f"{shape[1]}"
        )
    return np.array(content.occluded, np.bool_)


def _boxes(content: Content) -> Floats | None:
    """(N, 4) left, top, right, bottom; None where no face has a box."""
    if content.boxes is None:
        return None
    rows = [[np.nan] * 4 if box is None or len(box) != 4 else box for box in content.boxes]
    boxes = np.array(rows, np.float64)
    return boxes if np.isfinite(boxes).all(axis=1).any() else None


def _twice(faces: Sequence[str], boxes: Floats | None) -> dict[int, str]:
    """Row → fault, for each face that is there twice; faces of one picture differ in their box."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, face in enumerate(faces):
        rows[face, "" if boxes is None else str(boxes[row])].append(row)
    told = " is there twice; keep one of them, or give the boxes of several faces of a picture"
    return {row: told for same in rows.values() if len(same) > 1 for row in same}
