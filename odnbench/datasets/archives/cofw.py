"""COFW, Burgos-Artizzu et al., ICCV 2013: COFW_train_color.mat and COFW_test_color.mat.

The files are MATLAB 7.3, that is HDF5, which stores every array transposed. `Is*` are references to
pictures, of which some are grey even in the colour files. A row of `phis*` holds 29 x, 29 y and 29
occlusion flags (1 = occluded), a row of `bboxes*` x, y, width, height. Pixels are counted from 1.
Files that were saved anew in version 5 hold the same arrays, which are not transposed there.
"""

# L landmarks

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.matlab import (
    MOST_VALUES,
    create_version_73,
    is_version_5,
    numbers,
    open_version_73,
    read_matlab,
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
            with open_either(path) as file:
                shapes = _rows(path, file, f"phis{suffix}", None, 3 * _POINTS)
                boxes = _rows(path, file, f"bboxes{suffix}", len(shapes), 4)
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


@contextmanager
def open_either(path: Path) -> Iterator[Mapping[str, Any]]:
    """The file of version 7.3, open for reading, or the variables of version 5."""
    if is_version_5(path):
        yield read_matlab(path)
    else:
        with open_version_73(path) as file:
            yield file


def _rows(path: Path, file: Mapping[str, Any], name: str, rows: int | None, columns: int) -> Floats:
    """Variable `name`, `rows` × `columns` numbers. Raises OdnbenchError for another shape."""
    if isinstance(file, h5py.File):
        return numbers(path, file, name, (columns, rows)).T
    return numbers(path, file, name, (rows, columns))


class Pictures:
    """The pictures of a cell array; those of version 7.3 are read when they are indexed."""

    def __init__(self, file: Mapping[str, Any], path: Path, name: str, count: int | None = None):
        """Raises OdnbenchError unless variable `name` holds `count` pictures (None: any number)."""
        cells: Any = file.get(name)
        kind = getattr(cells, "dtype", None)
        is_cells = getattr(kind, "kind", "") == "O" and (
            not isinstance(cells, h5py.Dataset) or h5py.check_ref_dtype(kind) is h5py.Reference
        )
        size = cells.size if is_cells else -1
        if size != (size if count is None else count) or not 0 <= size <= MOST_VALUES:
            wanted = "" if count is None else f"{count} "
            raise OdnbenchError(f"{path}: '{name}' must be cells with {wanted}pictures")
        self.file, self.path, self.name = file, path, name
        self.cells = cells[()].ravel()

    def __getitem__(self, index: int) -> Bytes:
        """(H, W, 3) RGB or (H, W) grey. Raises OdnbenchError for a cell that holds no picture."""
        try:
            cell = self.cells[index]
            is_reference = isinstance(cell, h5py.Reference)
            stored = self.file[cell] if is_reference else cell
            shape = stored.shape[::-1] if is_reference else stored.shape  # HDF5 has them reversed
            if stored.dtype != np.uint8 or not (len(shape) == 2 or shape[2:] == (3,)):
                raise ValueError(f"an array {shape} of {stored.dtype}")
            if not 0 < stored.size <= 1 << 28:
                raise ValueError(f"{stored.size} values")
            return np.ascontiguousarray(stored[()].T if is_reference else stored)
        except Exception as error:
            raise OdnbenchError(
                f"{self.path}: {self.name}{{{index + 1}}} is not a picture ({error})"
            ) from error


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
