"""MATLAB files of version 5 and of version 7.3 (HDF5, through h5py).

A file may be cut off, of the other version, or no MATLAB file at all, and the libraries raise a
different exception for each. The functions here always raise OdnbenchError with the file's name.
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
from odnbench.datasets.regular import check_file, read_file
from odnbench.errors import OdnbenchError

_VERSION_73_HEADER = b"MATLAB 7.3 MAT-file, written by odnbench".ljust(124) + b"\0\2IM"
# The largest number of values of a variable: a damaged file may declare any number, which would
# fill the memory.
MOST_VALUES = 1 << 24


def read_version_5(path: Path) -> Mapping[str, Any]:
    """The variables of the file: name → array, as mat5.read_variables gives them."""
    data = read_file(path)
    if b"\x89HDF\r\n" in data[:1024]:
        raise OdnbenchError(f"{path}: version 7.3 where version 5 was expected")
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
