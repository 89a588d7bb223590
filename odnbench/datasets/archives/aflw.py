"""AFLW with 19 points, Zhu et al., CVPR 2016: AFLWinfo_release.mat and the pictures of AFLW.

The file (MATLAB 5) has a row for each face: `nameList` names the picture below flickr/, `data`
holds 19 x, then 19 y, `mask_new` is 1 where a point is visible, and `bbox` is left, right, top,
bottom, in this order. `ra` is a permutation of the rows, counted from 1: its first 20000 rows are
the training set, the others the test set. Coordinates are taken as 0-based, without a change. A
picture can show several faces, some of them in the training set and some in the test set.
"""

# F faces in the file, L landmarks

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from unicodedata import normalize

import numpy as np
import scipy.io

from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.matlab import names_of, numbers, read_matlab
from odnbench.datasets.archives.tree import key
from odnbench.datasets.faces import Face
from odnbench.datasets.frontal import frontal_labels
from odnbench.datasets.pictures import SUFFIXES, write_picture
from odnbench.errors import OdnbenchError

_FILE = "AFLWinfo_release.mat"
_POINTS = 19


class Aflw(Archive):
    """Ids are "0/image00002.jpg/17": the picture, and the face's row in the file, from 0."""

    def files(self, part: str) -> list[Path]:
        """See Archive. Pictures are those of both parts: only the .mat file tells these apart."""
        path = self.tree.find(_FILE, depth=1)
        pictures = [path for paths in self._pictures.values() for path in paths]
        return [path, *pictures] if path else []

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """See Archive."""
        path = self.tree.find(_FILE, depth=1)
        if path is None:
            return
        faults += self.tree.faults(self._folder)
        variables = read_matlab(path)
        points = numbers(path, variables, "data", (None, 2 * _POINTS))
        F = len(points)
        boxes = numbers(path, variables, "bbox", (F, 4))
        visible = numbers(path, variables, "mask_new", (F, _POINTS)) > 0.5
        order = numbers(path, variables, "ra", (1, F))[0] - 1
        names = names_of(path, variables, "nameList", F)
        if not np.array_equal(np.sort(order), np.arange(F)):
            raise OdnbenchError(f"{path}: 'ra' must be a permutation of 1 to {F}")
        order = order.astype(int)
        first_test = min(self.official("train"), F)
        rows = order[:first_test] if part == "train" else order[first_test:]
        for row in rows.tolist():
            shape = points[row].reshape(2, _POINTS).T  # (L, 2)
            left, right, top, bottom = boxes[row]
            try:
                picture = self._picture(names[row])
            except OdnbenchError as error:
                faults.append(str(error))
                continue
            yield Face(
                id=f"{normalize('NFC', names[row])}/{row}",
                part=f"{self.dataset.name}/{part}",
                image=picture,
                points=shape,
                occluded=~visible[row],
                box=np.array([left, top, right, bottom]),
                group=names[row],
                labels=frontal_labels(shape, all_visible=bool(visible[row].all())),
            )

    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """See Archive."""
        names: list[str] = []
        data, masks, boxes = [], [], []
        for part in ("train", "full"):
            for face in faces[part]:
                assert face.image is not None and not isinstance(face.image, Path)
                assert face.occluded is not None and face.box is not None
                name = f"{len(names) % 3 + (len(names) % 3 > 0)}/image{len(names):05d}.png"
                write_picture(face.image, self.root / "flickr" / name)
                left, top, right, bottom = face.box
                names.append(name)
                data.append(np.concatenate(face.points.T))
                masks.append(~face.occluded)
                boxes.append([left, right, top, bottom])
        F = len(names)
        # The rows of the official file are not sorted by part; neither are these.
        order = np.random.default_rng(0).permutation(F)  # order[i] = row of the i-th face
        place = np.argsort(order)
        variables = {
            "nameList": np.array([[name] for name in names], object)[place],
            "data": np.array(data)[place],
            "mask_new": np.array(masks, np.uint8)[place],
            "bbox": np.array(boxes)[place],
            "ra": order[None] + 1,
        }
        scipy.io.savemat(self.root / _FILE, variables)

    def _picture(self, name: str) -> Path | None:
        """The picture `name` of the .mat file, or None where it is missing.

        Of names that differ in case alone it is the one that is spelled like `name`. Raises
        OdnbenchError where none is.
        """
        found = self._pictures.get(key(name), [])
        exact = [path for path in found if path.as_posix().endswith(f"/{name}")]
        if len(exact or found) > 1:
            raise OdnbenchError(f"{' and '.join(map(str, exact or found))} may be {name}: keep one")
        return next(iter(exact or found), None)

    @property
    def _folder(self) -> str:
        """The name of the folder with the pictures."""
        return "flickr" if self.tree.find_all("flickr") else "images"

    @cached_property
    def _pictures(self) -> dict[str, list[Path]]:
        """Key of a picture's name in the .mat file, "0/image00002.jpg" → its paths."""
        pictures: dict[str, list[Path]] = {}
        for folder in self.tree.find_all(self._folder):
            for place, names in self.tree.below(folder).items():
                for name in names:
                    if name.lower().endswith(SUFFIXES):
                        path = Path(place, name)
                        pictures.setdefault(key(f"{path.parent.name}/{name}"), []).append(path)
        return pictures
