"""Where the faces of a picture are: boxes of a file, of a data set's own annotation, of a detector,
or the whole picture.

A network was trained on crops around one kind of box (`BoxRule.source`). A box of a file is of that
kind, whichever it is. The file is CSV with a header, or JSON with a list of objects that have the
same keys: `file`; `x`, `y`, `width`, `height`, or `x0`, `y0`, `x1`, `y1`, or `left`, `top`,
`right`, `bottom` as in the CSV of predictions; and `frame`, counted from 0, where boxes of a video
differ from frame to frame. Pixels are counted from 0, pixel centres at integers, in the picture as
it is shown. A picture has a row for each face; a row with an empty box stands for none.
"""

import csv
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.roots import find_root, not_found
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError, one_line
from odnbench.files.regular import read_file
from odnbench.files.text import decoded
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

_EDGES, _CORNERS = ("left", "top", "right", "bottom"), ("x0", "y0", "x1", "y1")
_SIDES = ("x", "y", "width", "height")
_EXPECTED = " or ".join(f"file and {', '.join(keys)}" for keys in (_SIDES, _CORNERS, _EDGES))


@dataclass(frozen=True)
class Located:
    """A face of which the box is known: what `window_of` takes."""

    face: Face
    score: float | None = None  # of the detector that found it


class Boxes(Protocol):
    """Where the faces of pictures are."""

    def describe(self) -> str:
        """Whose boxes these are, as a part of a line."""

    def annotated(self, path: Path) -> Sequence[Located] | None:
        """The faces of a picture file with annotated points, whose frame those points decide
        (orientation.py); None where its boxes refer to the picture as it is shown.
        """

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        """The faces of `picture` (H, W, 3), of the file `path`, or of a frame of that video."""


def with_box(name: str, box: Floats, rule: BoxRule, score: float | None = None) -> Located:
    """A face whose box of the kind that `rule` starts from is `box` (4,)."""
    face = Face(name, "given", None, box.reshape(2, 2), box=box, detector_box=box)
    return Located(face, score)


@dataclass(frozen=True)
class WholePicture:
    """The box of each picture's only face is the picture itself."""

    rule: BoxRule

    def describe(self) -> str:
        return "the whole picture"

    def annotated(self, path: Path) -> None:
        return None

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        height, width = picture.shape[:2]
        box = np.array([0.0, 0.0, width - 1, height - 1])
        return [with_box(path.name, box, self.rule)]


def annotated_faces(name: str, registry: Registry, data_root: Path | None) -> list[Face]:
    """The faces of a data set, or of a split as 300w/common.

    Raises OdnbenchError for a name that is unknown or absent, and for faulty annotations.
    """
    dataset = registry.get(Dataset, name.partition("/")[0])
    split = registry.split(name)[1] if "/" in name else None
    root = find_root(dataset, data_root)
    if root is None:
        raise OdnbenchError(not_found(dataset, data_root))
    archive, faults = open_archive(dataset, root), list[str]()
    parts = dataset.parts if split is None else split.parts
    faces = [face for part in parts for face in archive.faces(part, faults)]
    if faults:
        raise OdnbenchError("\n  ".join([f"{name}: faulty files:", *faults]))
    label = "" if split is None else split.label
    return [face for face in faces if not label or label in face.labels]


class AnnotatedBoxes:
    """The faces of a data set, found by the paths of their pictures."""

    def __init__(self, name: str, registry: Registry, data_root: Path | None):
        """See `annotated_faces`."""
        self.name = name
        self._faces: dict[str, list[Located]] = defaultdict(list)
        for face in annotated_faces(name, registry, data_root):
            if isinstance(face.image, Path):
                self._faces[os.path.realpath(face.image)].append(Located(face))

    def describe(self) -> str:
        return f"the annotation of {self.name}"

    def annotated(self, path: Path) -> Sequence[Located]:
        # Path.resolve raises where links lead round in a circle.
        return self._faces.get(os.path.realpath(path), ())

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        return self.annotated(path)


@dataclass(frozen=True)
class _Row:
    """A row of a file of boxes."""

    file: tuple[str, ...]  # the parts of the path
    frame: int | None  # None: every frame
    box: Floats | None  # (4,) left, top, right, bottom; None where it is empty


class GivenBoxes:
    """The boxes of a file, for pictures whose paths end as the file names them."""

    def __init__(self, path: Path, rule: BoxRule, pictures: Iterable[Path]):
        """pictures: all that are to be predicted. Raises OdnbenchError for a file that cannot be
        read as one of boxes, and for a name in it that two of the pictures bear.
        """
        self.path, self.rule = path, rule
        self._rows: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
        for row in _rows_of(path):
            self._rows[row.file].append(row)
        named: dict[tuple[str, ...], Path] = {}
        for picture in dict.fromkeys(picture.absolute() for picture in pictures):
            name = self._name_of(picture)
            if name and (other := named.setdefault(name, picture)) != picture:
                raise OdnbenchError(
                    f"{one_line(path)}: {one_line('/'.join(name))} may be {one_line(other)} or "
                    f"{one_line(picture)}; give more of its path"
                )
        self.unused = ["/".join(name) for name in self._rows if name not in named]

    def describe(self) -> str:
        return f"the boxes of {self.path.name}"

    def annotated(self, path: Path) -> None:
        return None

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        rows = self._rows.get(self._name_of(path.absolute()), ())
        own = [row for row in rows if row.frame in (None, frame)]
        return [with_box(path.name, row.box, self.rule) for row in own if row.box is not None]

    def _name_of(self, picture: Path) -> tuple[str, ...]:
        """The longest name of the file that `picture` ends with; () where there is none."""
        ends = (picture.parts[start:] for start in range(len(picture.parts)))
        return next((end for end in ends if end in self._rows), ())


def _rows_of(path: Path) -> list[_Row]:
    """The rows of a file of boxes; see the head of this module."""
    try:
        text = decoded(read_file(path))
        records = _records(text, is_json=path.suffix.lower() == ".json")
        rows = [_row(record, where) for where, record in records]
    except (ValueError, RecursionError, csv.Error) as error:
        raise OdnbenchError(f"{one_line(path)}: cannot be read as boxes: {error}") from error
    if not rows:
        raise OdnbenchError(f"{one_line(path)}: it holds no box; expected {_EXPECTED}")
    return rows


def _records(text: str, *, is_json: bool) -> list[tuple[str, Mapping[str, Any]]]:
    """The records of the text, each with its place; ValueError where it has none."""
    if not is_json:
        lines = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        return [(f"line {lines.line_num}", line) for line in lines]
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"it must be a list of objects with the keys {_EXPECTED}")
    return [(f"object {number}", each) for number, each in enumerate(found, 1)]


def _row(record: Mapping[str, Any], where: str) -> _Row:
    """The box of a record; ValueError that names what is wrong at the place `where`."""
    keys = next((keys for keys in (_EDGES, _CORNERS, _SIDES) if record.keys() >= {*keys}), None)
    if keys is None or not isinstance(record.get("file"), str) or not record["file"].strip():
        raise ValueError(f"{where} must have {_EXPECTED}")
    if keys is _CORNERS and "x2" in record:
        raise ValueError(f"{where} has points x0, y0 to x2, y2, and no box; expected {_EXPECTED}")
    empty, box = all(record[key] in (None, "") for key in keys), None
    try:
        frame = None if record.get("frame") in (None, "") else _whole(record["frame"])
        numbers = [] if empty else [float(record[key]) for key in keys]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where} has something else where a number belongs") from None
    if not empty:
        a, b, c, d = numbers
        box = np.array([a, b, a + c, b + d] if keys is _SIDES else numbers)
        if not all(map(math.isfinite, box)) or (box[2:] <= box[:2]).any():
            raise ValueError(f"{where} has a box without area: {a:g} {b:g} {c:g} {d:g}")
    parts = Path(record["file"].strip().replace("\\", "/")).parts
    return _Row(tuple(part for part in parts if part != "."), frame, box)


def _whole(value: Any) -> int:
    """A whole number, also where it is written as 2.0; ValueError for another one."""
    if not (number := float(value)).is_integer():
        raise ValueError(value)
    return int(number)


def follow(before: Sequence[Floats], now: Sequence[Floats], least: float = 0.3) -> list[int | None]:
    """For each box (4,) of a frame, which box of the frame before is the same face: the one that
    it overlaps most, by at least `least` of their union; None where there is none.
    """
    pairs = sorted(
        ((overlap(box, old), i, j) for i, box in enumerate(now) for j, old in enumerate(before)),
        reverse=True,
    )
    found: list[int | None] = [None] * len(now)
    for share, i, j in pairs:
        if share >= least and found[i] is None and j not in found:
            found[i] = j
    return found


def overlap(one: Floats, other: Floats) -> float:
    """Intersection over union of two boxes (4,)."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(np.prod(np.maximum(sides, 0.0)))
    areas = sum(float(np.prod(box[2:] - box[:2])) for box in (one, other))
    return common / (areas - common) if areas > common else 0.0


Finder = Callable[[Bytes], Sequence[Located]]


@dataclass(frozen=True)
class FoundBoxes:
    """The boxes that a detector finds, turned into those of a rule."""

    name: str
    finder: Finder

    def describe(self) -> str:
        return f"boxes found by {self.name}"

    def annotated(self, path: Path) -> None:
        return None

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        found = self.finder(picture)
        return [replace(one, face=replace(one.face, id=path.name)) for one in found]
