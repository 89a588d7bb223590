"""The turn that a camera notes beside the pixels (EXIF, tag 274), and the frame of landmarks.

A picture may have to be turned or mirrored before it is shown. Tools differ: MATLAB and Pillow give
the pixels as stored, OpenCV and browsers turn them, so the landmarks of a data set may refer to
either frame. The rule here: landmarks refer to the stored pixels, as those of the official data
sets do, unless they fit into the shown picture alone. Where both frames hold them, nothing in a
single face tells, and the doctor says so.
"""

import struct
from pathlib import Path

import numpy as np

from odnbench.arrays import Floats

# EXIF data stand in the head of a file: a JPEG's segment of them has at most 64 KiB.
HEAD = 1 << 17
# What stands before them in JPEG, PNG and WebP, and the bytes between.
_MARKS = ((b"Exif\0\0", 0), (b"eXIf", 0), (b"EXIF", 4))
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 274
# Of the points: fewer may lie over the edge of a picture that they were made on.
_MOST_OUTSIDE = 0.1


def orientation_of(head: bytes) -> int:
    """The orientation that a picture file notes, 1 to 8, 1 where none: `head` are its first HEAD
    bytes, or all of a TIFF file, which is built as EXIF data are and may note it anywhere.
    """
    if order := _ORDERS.get(head[:4]):
        return _orientation(head, order)
    # In a JPEG file they stand before the pixels.
    pixels = head.find(b"\xff\xda", 0, HEAD) if head.startswith(b"\xff\xd8") else HEAD
    for mark, between in _MARKS:
        place = head.find(mark, 0, pixels)
        start = place + len(mark) + between
        if place >= 0 and (order := _ORDERS.get(head[start : start + 4])):
            return _orientation(head[start:HEAD], order)
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


def orientation_in(path: Path) -> int:
    """The orientation that a picture file notes; 1 for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            return orientation_of(head + file.read() if head[:4] in _ORDERS else head)
    except OSError:
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
