"""Reading pictures, with an error for a file that is missing, truncated or no picture, and writing
them.
"""

import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.decoders import damage, decoding
from odnbench.datasets.orientation import fits_only, orientation_of
from odnbench.datasets.segments import is_whole
from odnbench.errors import OdnbenchError
from odnbench.files.regular import read_file

# An error names the file; OpenCV's own line does not.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Of the formats that OpenCV reads, GIF from version 4.11 on.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif",
    ".tiff", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
# Of pictures in other formats, which are named and not passed over.
UNREADABLE_SUFFIXES = (
    ".heic", ".heif", ".avif", ".jxl", ".tga", ".svg", ".psd", ".pcx", ".ico", ".dng", ".cr2",
    ".nef", ".arw", ".raw",
)  # fmt: skip
# The turn that a camera noted is ignored unless landmarks tell otherwise (orientation.py).
_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"  # set in odnbench/__init__.py, unless the user has set it
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_picture(image: Path | Bytes, points: Floats | None = None) -> Bytes:
    """(H, W, 3) RGB from a file, or from an array (H, W, 3) or (H, W).

    points: (L, 2), by which the frame of a picture that is stored turned is chosen
    (orientation.py); where None, it is that of the stored pixels. Raises OdnbenchError that names a
    file that is missing, truncated or no picture.
    """
    if isinstance(image, Path):
        return _decode(image, _read(image), _RGB, points)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


def read_as_stored(image: Path | Bytes, points: Floats | None = None) -> Bytes:
    """(H, W, 3) RGB, or (H, W) where the picture is stored with one channel.

    points: see `read_picture`. Raises OdnbenchError where `read_picture` does.
    """
    if not isinstance(image, Path):
        return image
    return _channels(_decode(image, _read(image), _AS_STORED, points))


def read_as_shown(path: Path, points: Floats | None = None) -> tuple[Bytes, int]:
    """(H, W, 3) RGB as a viewer shows it, turned as the camera noted, and that orientation (EXIF).

    points: (L, 2), whose frame is taken instead; see `read_picture`, also for what is raised.
    """
    data = _read(path)
    flags = _RGB if points is not None else _RGB & ~cv2.IMREAD_IGNORE_ORIENTATION
    return _decode(path, data, flags, points), orientation_of(data)


def damage_of(path: Path) -> tuple[str, bool]:
    """What is wrong inside of a JPEG file that can be decoded, with its name, and whether all
    pixels are there all the same; empty where nothing is.
    """
    said, whole = damage(path, lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), _RGB))
    return (f"{path}: the picture is damaged: {said}" if said else ""), whole


def write_picture(picture: Bytes, path: Path) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey to a .jpg or .png file.

    Raises OdnbenchError for a name that ends otherwise, and for a picture that is too large for
    JPEG; OSError where the file cannot be written.
    """
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done = False
    with suppress(cv2.error):
        done, encoded = cv2.imencode(path.suffix, stored)
    if not done:
        raise OdnbenchError(
            f"{path}: cannot be written as a picture of {stored.shape[1]} × {stored.shape[0]} "
            "pixels; end its name in .png or .jpg, of at most 65,500 along a side"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())


def jpeg_of(picture: Bytes) -> bytes:
    """(H, W, 3) RGB as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _channels(stored: Bytes) -> Bytes:
    """RGB of BGR; grey as it is."""
    return stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _read(path: Path) -> bytes:
    data = read_file(path)
    # Some versions of OpenCV decode the first part of a truncated file without an error.
    if not is_whole(data):
        raise OdnbenchError(f"{path}: the picture is truncated, or damaged before its end")
    return data


def _decode(path: Path, data: bytes, flags: int, points: Floats | None) -> Bytes:
    with decoding(path):
        decoded = _decoded(data, flags)
    if decoded is None:
        raise OdnbenchError(
            f"{path}: not a picture that OpenCV can read; save it as .png or .jpg, of at most "
            f"{os.environ[_LIMIT]} pixels ({_LIMIT})"
        )
    if points is not None and orientation_of(data) != 1:
        shown = _decoded(data, flags & ~cv2.IMREAD_IGNORE_ORIENTATION)
        if shown is not None and fits_only(points, shown.shape, decoded.shape):
            return shown
    return decoded


def _decoded(data: bytes, flags: int) -> Bytes | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None  # type: ignore[return-value]
    except (cv2.error, MemoryError):  # as of a header that declares more pixels than OpenCV takes
        return None
