"""The turn that a camera notes beside the pixels (EXIF, tag 274), and the frame of landmarks.

A picture may have to be turned or mirrored before it is shown. Tools differ: MATLAB and Pillow give
the pixels as stored, OpenCV and browsers turn them, so the landmarks of a data set may refer to
either frame. The rule here: landmarks refer to the stored pixels, as those of the official data
sets do, unless they fit into the shown picture alone. Where both frames hold them, nothing in a
single face tells, and the doctor says so.
"""

import struct

import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.segments import PIXELS_OF_JPEG, parts_of

# The part that EXIF data stand in, in JPEG, PNG and WebP, and what they begin with there.
_EXIF = {b"\xe1": b"Exif\0\0", b"eXIf": b"", b"EXIF": b""}
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 274
# Of the points: fewer may lie over the edge of a picture that they were made on.
_MOST_OUTSIDE = 0.1


def orientation_of(data: bytes) -> int:
    """The orientation that a picture file notes, 1 to 8, 1 where none. data: all of the file."""
    if order := _ORDERS.get(data[:4]):  # a TIFF file is built as EXIF data are
        return _orientation(data, order)
    for name, start, end in parts_of(data):
        if name == PIXELS_OF_JPEG:
            break
        if (mark := _EXIF.get(name)) is not None and data.startswith(mark, start):
            exif = data[start + len(mark) : end]
            if order := _ORDERS.get(exif[:4]):
                return _orientation(exif, order)
    return 1


def _orientation(exif: bytes, order: str) -> int:
    """The orientation in EXIF data. order: of their bytes, "<" or ">"."""
    try:
        (first,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, first)
        for place in range(first + 2, first + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, place)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # the data are cut off, and so note nothing
        pass
    return 1


def fits_only(points: Floats, size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether `points` (L, 2) are inside a picture of `size` and not inside one of size `other`.

    Sizes begin with height, width.
    """
    return _outside(points, size) == 0 and _outside(points, other) > _MOST_OUTSIDE


def _outside(points: Floats, size: tuple[int, ...]) -> float:
    """Share of `points` outside of a picture of `size`."""
    last = np.array(size[1::-1]) - 0.5
    return float(np.any((points < -0.5) | (points > last), axis=1).mean())
