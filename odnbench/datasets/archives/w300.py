"""300W, Sagonas et al., ICCVW 2013, in the layout of the official archives: a .pts file beside each
picture.

Copies differ: one more level of folders (afw/afw, 300W/01_Indoor), upper-case names, jpg in place
of png, mirrored pictures that some tools leave behind (`*_mirror.*`, which are not part of the data
set and are left out). `bounding_boxes_*.mat`, which not every copy has, holds for each picture the
box of a face detector and the box of the annotation. A copy may have been rescaled:
`raw_300W_release.mat`, where it is in the root, holds all annotations of the original pictures,
rounded to whole pixels, and so tells the scale of each face's picture.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from unicodedata import normalize

import numpy as np
import scipy.io

from odnbench.arrays import Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.matlab import names_of, numbers, read_matlab
from odnbench.datasets.archives.pts import read_pts, write_pts
from odnbench.datasets.faces import LARGEST_PX, Face
from odnbench.datasets.pictures import SUFFIXES, UNREADABLE_SUFFIXES, write_picture
from odnbench.errors import OdnbenchError

_POINTS = 68
_BOX_FOLDER = "Bounding Boxes"
_ORIGINALS = "raw_300W_release.mat"
# A scale is measured to 0.1 %: a smaller departure from 1 is the rounding of _ORIGINALS.
_LEAST_RESCALING = 0.005


class W300(Archive):
    """Each part is a folder. Ids are "helen/testset/296814969_3", the third face of a picture."""

    def files(self, part: str) -> list[Path]:
        """See Archive."""
        listing = self._listing(part)
        pictures = [path for paths in listing.pictures.values() for path in paths]
        others = [self._box_file(part), self._originals_file()] if listing.annotations else []
        paths = [path for _, path in listing.annotations]
        return [*pictures, *paths, *(path for path in others if path)]

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """See Archive."""
        listing = self._listing(part)
        faults += self.tree.faults(self.dataset.parts[part].source)
        box_file = self._box_file(part)
        try:
            boxes = {} if box_file is None else _read_boxes(box_file)
        except OdnbenchError as error:  # most box rules need no box, so the faces are of use
            faults.append(str(error))
            boxes = {}
        try:
            originals = self._originals
        except OdnbenchError as error:  # faces are of use without their scale
            faults.append(str(error))
            originals = {}
        seen: dict[str, Path] = {}
        for stem, path in listing.annotations:
            try:
                points = read_pts(path, _POINTS)
                picture = listing.picture_of(stem, path)
            except OdnbenchError as error:
                faults.append(str(error))
                continue
            identity = f"{self.dataset.parts[part].source}/{normalize('NFC', path.stem)}"
            if identity in seen:
                faults.append(f"{path}: the same face is also at {seen[identity]}")
                continue
            seen[identity] = path
            detector, annotated = boxes.get(_key(path.stem), (None, None))
            yield Face(
                id=identity,
                part=f"{self.dataset.name}/{part}",
                image=picture,
                points=points,
                box=annotated,
                detector_box=detector,
                group=_group(identity),
                scale=_scale(points, originals.get(_key(identity))),
            )

    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """See Archive. Pictures are written as png."""
        (self.root / _BOX_FOLDER).mkdir(parents=True)
        for part, drawn in faces.items():
            folder = self.root / self.dataset.parts[part].source
            folder.mkdir(parents=True)
            cells = []
            for index, face in enumerate(drawn):
                path = folder / f"image_{index:04d}.png"
                assert face.image is not None and not isinstance(face.image, Path)
                assert face.box is not None and face.detector_box is not None
                write_picture(face.image, path)
                write_pts(path.with_suffix(".pts"), face.points)
                boxes = {
                    "imgName": path.name,
                    "bb_detector": face.detector_box[None] + 1,  # MATLAB counts pixels from 1
                    "bb_ground_truth": face.box[None] + 1,
                }
                cells.append(boxes)
            row = np.empty((1, len(cells)), object)
            row[0] = cells
            scipy.io.savemat(
                self.root / _BOX_FOLDER / self._box_name(part), {"bounding_boxes": row}
            )

    @cache  # noqa: B019  an archive lives as long as a command
    def _listing(self, part: str) -> "_Listing":
        """The files of the part's folder, or of its folders where names differ in case alone."""
        listing = _Listing()
        for folder in self.tree.find_all(self.dataset.parts[part].source):
            for place, names in self.tree.below(folder).items():
                for name in names:
                    stem, dot, suffix = name.rpartition(".")
                    if name.startswith(".") or stem.endswith("_mirror"):  # "._a.pts" of macOS
                        continue
                    path = f"{place}/{normalize('NFC', stem)}"
                    if suffix.lower() == "pts":
                        listing.annotations.append((path, Path(place, name)))
                    elif (kind := dot + suffix.lower()) in (*SUFFIXES, *UNREADABLE_SUFFIXES):
                        kept = listing.pictures if kind in SUFFIXES else listing.others
                        kept.setdefault(path, []).append(Path(place, name))
                        listing.spellings.setdefault(path.lower(), set()).add(path)
        listing.annotations.sort()
        return listing

    def _box_name(self, part: str) -> str:
        return f"bounding_boxes_{self.dataset.parts[part].source.replace('/', '_')}.mat"

    def _box_file(self, part: str) -> Path | None:
        return self.tree.find(self._box_name(part), depth=1)

    def _originals_file(self) -> Path | None:
        return self.tree.find(_ORIGINALS, depth=1)

    @cached_property
    def _originals(self) -> dict[str, Floats]:
        """Key of a face's id → (68, 2), its points in the original picture; empty where the file is
        not there.

        Raises OdnbenchError for a file of another structure.
        """
        path = self._originals_file()
        if path is None:
            return {}
        variables = read_matlab(path)
        points = numbers(path, variables, "data", (None, 2 * _POINTS))
        names = names_of(path, variables, "nameList", len(points))
        shapes = points.reshape(-1, 2, _POINTS).transpose(0, 2, 1)
        # "HELEN68/trainset/100032540_1.jpg" is the face "helen/trainset/100032540_1".
        keys = [_key(name.replace("68/", "/", 1).rpartition(".")[0]) for name in names]
        return dict(zip(keys, shapes, strict=True))


@dataclass
class _Listing:
    """The files of a part. A stem is a path without suffix, in the Unicode form NFC."""

    pictures: dict[str, list[Path]] = field(default_factory=dict)  # of a stem
    others: dict[str, list[Path]] = field(default_factory=dict)  # in formats that are not read
    annotations: list[tuple[str, Path]] = field(default_factory=list)  # stem and file, in order
    spellings: dict[str, set[str]] = field(default_factory=dict)  # stem in lower case → stems

    def picture_of(self, stem: str, annotation: Path) -> Path | None:
        """The picture of `annotation`, or None where there is none.

        Raises OdnbenchError where there are several: nothing tells on which the points were made.
        """
        if stem not in self.pictures and stem not in self.others:  # a.pts beside A.JPG
            (stem, *more) = sorted(self.spellings.get(stem.lower(), {stem}))
            if more:
                raise OdnbenchError(
                    f"{annotation}: {stem} and {more[0]} differ only in upper and lower case: keep "
                    "one, or name the annotation like its picture"
                )
        found = self.pictures.get(stem) or self.others.get(stem, [])
        if len(found) > 1:
            raise OdnbenchError(
                f"{annotation}: {' and '.join(path.name for path in found)} stand beside it: keep "
                "the picture that the points were made on"
            )
        return found[0] if found else None


def _read_boxes(path: Path) -> dict[str, tuple[Floats, Floats]]:
    """Key of a picture's name → (detector box, annotated box), 0-based left, top, right, bottom.

    Raises OdnbenchError for a file of another structure.
    """
    cells = read_matlab(path).get("bounding_boxes")
    boxes = {}
    try:
        for cell in cells.ravel():  # type: ignore[union-attr]
            entry = cell[0, 0]
            name = str(entry["imgName"][0])
            found = [
                np.asarray(entry[key], np.float64) for key in ("bb_detector", "bb_ground_truth")
            ]
            if not all(box.shape == (1, 4) and (np.abs(box) <= LARGEST_PX).all() for box in found):
                raise ValueError(f"the boxes of {name} are not four numbers each")
            boxes[_key(Path(name).stem)] = (found[0][0] - 1, found[1][0] - 1)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise OdnbenchError(
            f"{path}: expected cells of imgName, bb_detector, bb_ground_truth ({error})"
        ) from error
    return boxes


def _group(identity: str) -> str:
    """The photograph of a face, where its name tells: "afw/134212_1" and "afw/134212_2" are of one,
    and so are "ibug/image_014" and "ibug/image_014_01"; "lfpw/trainset/image_0014" tells nothing.
    """
    several = re.fullmatch(r"(.*/[^/]*\d) ?_\d+", identity)
    return several[1] if several else identity


def _scale(points: Floats, original: Floats | None) -> float:
    """Pixels of the picture with `points` (68, 2) per pixel of the one with `original` (68, 2); 1
    where that one is not known.
    """
    if original is None:
        return 1.0
    size, original_size = (
        float(np.linalg.norm(shape - shape.mean(axis=0))) for shape in (points, original)
    )
    scale = size / original_size if size and original_size else 1.0
    return 1.0 if abs(scale - 1) < _LEAST_RESCALING else scale


def _key(stem: str) -> str:
    """`stem` without blanks and in lower case: names of one picture differ in both between the
    files ("image_092 _01").
    """
    return stem.replace(" ", "").lower()
