"""COFW, Burgos-Artizzu et al., ICCV 2013: COFW_train_color.mat and COFW_test_color.mat.

The files are MATLAB 7.3, that is HDF5, which stores every array transposed. `Is*` are references to
pictures, of which some are grey even in the colour files. A row of `phis*` holds 29 x, 29 y and 29
occlusion flags (1 = occluded), a row of `bboxes*` x, y, width, height. Pixels are counted from 1.
"""

# L landmarks

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.matlab import (
    MOST_VALUES,
    create_version_73,
    numbers,
    open_version_73,
)
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError

_POINTS = 29
# Part → end of the variables' names.
_SUFFIX = {"train": "Tr", "test": "T"}


class Cofw(Archive):
    """Each part is a file. Ids are "test/0001", counted from 1 as papers do."""

    def files(self, part: str) -> list[Path]:
        """See Archive."""
        path = self.tree.find(self.dataset.parts[part].source)
        return [path] if path else []

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """See Archive."""
        for path in self.files(part):
            suffix = _SUFFIX[part]
            with open_version_73(path) as file:
                shapes = numbers(path, file, f"phis{suffix}", (3 * _POINTS, None)).T
                boxes = numbers(path, file, f"bboxes{suffix}", (4, len(shapes))).T
                pictures = Pictures(file, path, f"Is{suffix}", len(shapes))
                for index, (row, box) in enumerate(zip(shapes, boxes, strict=True)):
                    try:
                        picture = pictures[index]
                    except OdnbenchError as error:
                        faults.append(str(error))
                        continue
                    x, y, occluded = row.reshape(3, _POINTS)
                    yield Face(
                        id=f"{part}/{index + 1:04d}",
                        part=f"{self.dataset.name}/{part}",
                        image=picture,
                        points=np.stack([x, y], axis=1) - 1,  # MATLAB counts pixels from 1
                        occluded=occluded > 0.5,
                        box=from_xywh(box),
                    )

    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """See Archive."""
        for part, drawn in faces.items():
            write_pictures(drawn, self.root / self.dataset.parts[part].source, _SUFFIX[part])


class Pictures:
    """The pictures of a cell array in a file of version 7.3; each is read when it is indexed."""

    def __init__(self, file: h5py.File, path: Path, name: str, count: int):
        """Raises OdnbenchError unless variable `name` refers to `count` pictures."""
        cells = file.get(name)
        references = (
            isinstance(cells, h5py.Dataset) and h5py.check_ref_dtype(cells.dtype) is h5py.Reference
        )
        if not references or cells.size != count or count > MOST_VALUES:
            raise OdnbenchError(f"{path}: '{name}' must hold references to {count} pictures")
        self.file, self.path, self.name = file, path, name
        self.cells = cells[()].ravel()

    def __getitem__(self, index: int) -> Bytes:
        """(H, W, 3) RGB or (H, W) grey. Raises OdnbenchError for a cell that holds no picture."""
        try:
            stored = self.file[self.cells[index]]
            shape, dtype = stored.shape, stored.dtype
            if dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[0] == 3)):
                raise ValueError(f"an array {shape} of {dtype}")
            if not 0 < stored.size <= 1 << 28:
                raise ValueError(f"{stored.size} values")
            picture: Bytes = np.ascontiguousarray(stored[()].T)  # HDF5 has the axes reversed
        except Exception as error:
            raise OdnbenchError(
                f"{self.path}: {self.name}{{{index + 1}}} is not a picture ({error})"
            ) from error
        return picture


def from_xywh(box: Floats) -> Floats:
    """x, y, width, height counted from 1 → left, top, right, bottom counted from 0."""
    x, y, width, height = box
    return np.array([x - 1, y - 1, x - 1 + width, y - 1 + height])


def to_xywh(box: Floats) -> Floats:
    """The inverse of `from_xywh`."""
    left, top, right, bottom = box
    return np.array([left + 1, top + 1, right - left, bottom - top])


def write_pictures(faces: Iterable[Face], path: Path, suffix: str) -> None:
    """Writes a file of COFW with pictures, points, flags and boxes of `faces`.

    suffix: end of the variables' names. The points may be of another scheme: a reader of pictures
    alone, such as COFW68's, ignores them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_version_73(path) as file:
        store = file.create_group("#refs#")
        references, rows, boxes = [], [], []
        for index, face in enumerate(faces):
            assert face.image is not None and not isinstance(face.image, Path)
            assert face.occluded is not None and face.box is not None
            stored = store.create_dataset(f"p{index}", data=face.image.T)
            stored.attrs["MATLAB_class"] = np.bytes_("uint8")
            references.append(stored.ref)
            rows.append(np.concatenate([*(face.points + 1).T, face.occluded]))
            boxes.append(to_xywh(face.box))
        cells = np.empty((1, len(references)), dtype=h5py.ref_dtype)
        cells[0] = references
        file.create_dataset(f"Is{suffix}", data=cells).attrs["MATLAB_class"] = np.bytes_("cell")
        for name, values in ((f"phis{suffix}", rows), (f"bboxes{suffix}", boxes)):
            array = np.array(values, np.float64).T
            file.create_dataset(name, data=array).attrs["MATLAB_class"] = np.bytes_("double")
