"""COFW68, Ghiasi & Fowlkes, CVPR 2014: the 507 test pictures of COFW with 68 points.

`test_annotations/N_points.mat` (MATLAB 5) holds `Points` 68 × 2, counted from 1, and `Occ` 1 × 68
(1 = occluded); `cofw68_test_bboxes.mat` holds x, y, width, height of each face. The pictures are in
COFW_test_color.mat, which is searched for below the root and in a folder of COFW beside the root.
Without that file the annotations are read all the same, for scoring predictions.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import scipy.io

from odnbench.arrays import Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.cofw import (
    Pictures,
    from_xywh,
    open_either,
    to_xywh,
    write_pictures,
)
from odnbench.datasets.archives.matlab import numbers, read_matlab
from odnbench.datasets.archives.tree import Tree, key
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError

_POINTS = 68
_BOXES = "cofw68_test_bboxes.mat"
_PICTURES = "COFW_test_color.mat"
# The names of COFW's folder, as in registry/datasets.toml.
_COFW_FOLDERS = ("cofw", "cofw_color", "data_cofw")


class Cofw68(Archive):
    """Ids are "test/0001", the same as those of COFW."""

    def files(self, part: str) -> list[Path]:
        """See Archive."""
        others = [self.tree.find(_BOXES, depth=1), self._picture_file()]
        annotations = self._annotations(part)
        return [*annotations.values(), *(path for path in others if path)] if annotations else []

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """See Archive."""
        annotations = self._annotations(part)
        faults += self.tree.faults(self.dataset.parts[part].source)
        boxes = self._boxes()
        with ExitStack() as stack:
            pictures = self._open_pictures(stack)
            for number, path in annotations.items():
                try:
                    variables = read_matlab(path)
                    points = numbers(path, variables, "Points", (_POINTS, 2)) - 1
                    occluded = numbers(path, variables, "Occ", (1, _POINTS))[0] > 0.5
                    inside = pictures is not None and number <= len(pictures.cells)
                    picture = pictures[number - 1] if pictures and inside else None
                except OdnbenchError as error:
                    faults.append(str(error))
                    continue
                yield Face(
                    id=f"test/{number:04d}",
                    part=f"{self.dataset.name}/{part}",
                    image=picture,
                    points=points,
                    occluded=occluded,
                    box=boxes[number - 1] if number <= len(boxes) else None,
                )

    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """See Archive."""
        folder = self.root / self.dataset.parts["test"].source
        folder.mkdir(parents=True)
        boxes = []

        def annotated() -> Iterator[Face]:
            for number, face in enumerate(faces["test"], start=1):
                assert face.occluded is not None and face.box is not None
                variables = {"Points": face.points + 1, "Occ": face.occluded[None].astype("u1")}
                scipy.io.savemat(folder / f"{number}_points.mat", variables)
                boxes.append(to_xywh(face.box))
                yield face

        write_pictures(annotated(), self.root / _PICTURES, "T")
        scipy.io.savemat(self.root / _BOXES, {"bboxes": np.array(boxes, np.int16)})

    def _annotations(self, part: str) -> dict[int, Path]:
        """Number of a face, from 1 → its annotation file, in the order of the numbers."""
        numbered: dict[int, Path] = {}
        for folder in self.tree.find_all(self.dataset.parts[part].source):
            for place, names in self.tree.below(folder).items():
                for name in names:
                    if m := re.fullmatch(r"([1-9][0-9]{0,8})_points\.mat", name, re.IGNORECASE):
                        other = numbered.setdefault(int(m[1]), path := Path(place, name))
                        if other != path:
                            raise OdnbenchError(f"{path}: the same face is also at {other}")
        return dict(sorted(numbered.items()))

    def _boxes(self) -> list[Floats]:
        path = self.tree.find(_BOXES, depth=1)
        if path is None:
            return []
        return [from_xywh(b) for b in numbers(path, read_matlab(path), "bboxes", (None, 4))]

    def _picture_file(self) -> Path | None:
        if found := self.tree.find(_PICTURES, depth=1):
            return found
        place = self.root.resolve()
        while True:
            place = place.parent
            around = Tree.of(place, levels=0)
            for name in _COFW_FOLDERS:
                folder = around.find(name, depth=0)
                if folder and (found := Tree.of(folder, levels=2).find(_PICTURES)):
                    return found
            if key(place.name) not in self.dataset.names:  # else a clone, or a level of unpacking
                return None

    def _open_pictures(self, stack: ExitStack) -> Pictures | None:
        path = self._picture_file()
        if path is None:
            return None
        return Pictures(stack.enter_context(open_either(path)), path, "IsT")
