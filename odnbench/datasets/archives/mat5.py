"""MATLAB files of version 5, read by the published description of the format ("MAT-File Format",
The MathWorks, 2019, chapter 1).

SciPy's reader ends the whole process with a segmentation fault on about one in a hundred damaged
files, because it does not check the number of a type before it looks the type up. The reader here
raises an exception.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
# Types of text that depend on the order of bytes.
_WIDE = (4, 17, 18)
_MATRIX, _COMPRESSED = 14, 15
# Classes of a matrix.
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x800
# The largest size of a compressed variable.
_MOST_BYTES = 1 << 30


def read_variables(data: bytes) -> dict[str, Any]:
    """The variables of a file: name → array.

    The array holds numbers, texts, arrays (for a cell array) or dicts from field to array (for a
    struct array). A variable of another class is None. Raises ValueError, TypeError, KeyError,
    struct.error, zlib.error or RecursionError for damaged data.
    """
    order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(data[124:128])
    if order is None:
        raise ValueError("it has no header of version 5")
    variables = {}
    for kind, body in _elements(memoryview(data)[128:], order):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(body, _MOST_BYTES)
            if not unpacker.eof:
                raise ValueError("a compressed variable is cut off or too large")
            ((kind, body),) = _elements(memoryview(unpacked), order)
        name, value = _matrix(kind, body, order)
        variables[name] = value
    return variables


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element of `data`. order: of bytes, "<" or ">"."""
    start = 0
    while start < len(data):
        kind, size = struct.unpack_from(order + "II", data, start)
        body = start + 8
        end = body + size + (0 if kind == _COMPRESSED else -size % 8)
        if kind >> 16:  # a small element: type and size in four bytes, content in the next four
            kind, size, body, end = kind & 0xFFFF, kind >> 16, start + 4, start + 8
        if body + size > min(end, len(data)):
            raise ValueError("it is cut off")
        yield kind, data[body : body + size]
        start = end


def _matrix(kind: int, body: memoryview, order: str) -> tuple[str, Any]:
    """Name and value of an element, which must be a matrix."""
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} where an array was expected")
    if not body:  # an empty cell
        return "", np.empty((0, 0))
    (_, flags), (_, dimensions), (_, text), *parts = _elements(body, order)
    (word,) = struct.unpack_from(order + "I", flags)
    name, which = bytes(text).decode("ascii"), word & 0xFF
    if word & _COMPLEX or which not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
        return name, None
    shape = np.frombuffer(dimensions, order + "i4").tolist()
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"'{name}' has the shape {shape}")
    if which in _NUMERIC:
        ((stored, raw),) = parts
        flat = np.frombuffer(raw, order + _NUMBERS[stored])
        return name, flat.astype(flat.dtype.newbyteorder("=")).reshape(shape, order="F")
    if which == _CHAR:
        ((stored, raw),) = parts
        encoding = _TEXTS[stored] + ({"<": "-le", ">": "-be"}[order] if stored in _WIDE else "")
        letters = np.array(list(bytes(raw).decode(encoding)), "U1").reshape(shape, order="F")
        return name, np.array(["".join(row) for row in letters])
    if which == _CELL:
        values = [_matrix(*part, order)[1] for part in parts]
    else:
        values = _structs(*parts, order=order)
    if len(values) != math.prod(shape):
        raise ValueError(f"'{name}' holds {len(values)} values where {shape} are declared")
    return name, np.fromiter(values, object, len(values)).reshape(shape, order="F")


def _structs(
    width: tuple[int, memoryview],
    names: tuple[int, memoryview],
    *parts: tuple[int, memoryview],
    order: str,
) -> list[Any]:
    """The structs of an array, each a dict from field to value.

    width: the element with the length of a padded name. names: the element with all padded names.
    parts: the values, all fields of the first struct, then all of the second, and so on.
    """
    (step,) = struct.unpack(order + "i", width[1])
    padded = bytes(names[1])
    fields = [
        padded[i : i + step].partition(b"\0")[0].decode("ascii")
        for i in range(0, len(padded), step)
    ]
    values = iter([_matrix(*part, order)[1] for part in parts])
    return [
        dict(zip(fields, of_one, strict=True))
        for of_one in zip(*[values] * len(fields), strict=True)
    ]
