"""MATLAB files of version 5 and of version 7.3 (HDF5, through h5py).

A file may be cut off, or no MATLAB file at all, and the libraries raise a different exception for
each. The functions here always raise OdnbenchError with the file's name. Whoever saves a file anew
may change its version, so `read_matlab` reads both.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.archives.mat5 import read_variables
from odnbench.datasets.faces import LARGEST_PX
from odnbench.errors import OdnbenchError
from odnbench.files.regular import check_file, read_file, reason

_VERSION_73_HEADER = b"MATLAB 7.3 MAT-file, written by odnbench".ljust(124) + b"\0\2IM"
# The largest number of values of a variable: a damaged file may declare any number, which would
# fill the memory.
MOST_VALUES = 1 << 24


def read_matlab(path: Path) -> Mapping[str, Any]:
    """The variables of a file of either version: name → array, in the axes and types of version 5
    (mat5.read_variables).
    """
    data = read_file(path)
    if b"\x89HDF\r\n" in data[:1024]:
        with open_version_73(path) as file:
            return {name: _as_version_5(file, item) for name, item in file.items()}
    try:
        return read_variables(data)
    except Exception as error:  # a damaged file can raise many types of exception
        raise _unreadable(path, error) from error


@contextmanager
def open_version_73(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading. An exception of h5py while it is open becomes OdnbenchError."""
    check_file(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OdnbenchError:
        raise
    except Exception as error:  # HDF5 raises almost anything on a damaged file
        raise _unreadable(path, error) from error


def is_version_5(path: Path) -> bool:
    """Whether the file has the header of version 5. Raises OdnbenchError where it is no file."""
    check_file(path)
    try:
        with path.open("rb") as file:
            return file.read(128)[124:] in (b"\0\1IM", b"\1\0MI")
    except OSError as error:
        raise OdnbenchError(f"{path}: {reason(error)}") from error


def _as_version_5(file: h5py.File, item: h5py.Dataset | h5py.Group) -> Any:
    """What mat5.read_variables gives for the same variable."""
    if isinstance(item, h5py.Group):
        struct = {name: _as_version_5(file, field) for name, field in item.items()}
        return np.array([[struct]], object)
    if item.size > MOST_VALUES:
        raise ValueError(f"'{item.name}' declares {item.size} values, more than can be")
    values = item[()].T  # HDF5 has the axes reversed
    if h5py.check_ref_dtype(item.dtype) is h5py.Reference:
        cells = [_as_version_5(file, file[reference]) for reference in values.ravel()]
        return np.fromiter(cells, object, len(cells)).reshape(values.shape)
    if item.attrs.get("MATLAB_class") == b"char":
        return np.array(["".join(map(chr, row)) for row in values])
    return values


def create_version_73(path: Path) -> h5py.File:
    """A new file with MATLAB's header, open for writing."""
    with h5py.File(path, "w", userblock_size=512):
        pass
    with path.open("r+b") as raw:
        raw.write(_VERSION_73_HEADER)
    return h5py.File(path, "r+")


def numbers(path: Path, variables: Any, name: str, shape: tuple[int | None, ...]) -> Floats:
    """Variable `name` as an array of finite numbers. shape: its shape, None for any length.

    variables: of version 5, a mapping; of version 7.3, the open file. Raises OdnbenchError for a
    variable that is missing or not such an array.
    """
    if name not in variables:
        there = ", ".join(sorted(key for key in variables if not key.startswith("__"))) or "none"
        raise OdnbenchError(f"{path}: it has no variable '{name}'; there are: {there}")
    value = variables[name]
    found = getattr(value, "shape", None) or ()
    wanted = " × ".join("any" if n is None else str(n) for n in shape)
    there = " × ".join(map(str, found)) or "nothing"
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    fits = len(found) == len(shape) and all(
        wanted in (None, n) for wanted, n in zip(shape, found, strict=True)
    )
    if not fits or kind not in "buif":
        raise OdnbenchError(
            f"{path}: '{name}' must be {wanted} numbers, got {there} of type '{kind or 'unknown'}'"
        )
    if value.size > MOST_VALUES:
        raise OdnbenchError(f"{path}: '{name}' declares {there} numbers, more than can be")
    array = np.asarray(value, np.float64)
    if not (np.abs(array) <= LARGEST_PX).all():
        raise OdnbenchError(f"{path}: '{name}' holds a number that is not finite or far too large")
    return array


def names_of(path: Path, variables: Mapping[str, Any], name: str, count: int) -> list[str]:
    """The file names, `count` of them, of a cell array in a file of version 5, with forward
    slashes.

    Raises OdnbenchError for a variable that is missing or holds anything else.
    """
    try:
        found = [str(np.ravel(cell)[0]) for cell in np.ravel(variables[name])]
    except (IndexError, KeyError, TypeError, ValueError):
        found = []
    if len(found) != count:
        raise OdnbenchError(f"{path}: '{name}' must name the pictures of {count} faces")
    return [one.replace("\\", "/") for one in found]


def _unreadable(path: Path, error: Exception) -> OdnbenchError:
    what = " ".join(str(error).split())[:200]
    return OdnbenchError(
        f"{path}: cannot be read as a MATLAB file ({what or type(error).__name__})"
    )
