"""Reading pictures, with an error for a file that is missing, truncated or no picture, and writing
them.
"""

from pathlib import Path

import cv2
import numpy as np

from odnbench.arrays import Bytes
from odnbench.datasets.regular import read_file
from odnbench.errors import OdnbenchError

# Of the formats that OpenCV reads in every build.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff",
    ".jp2", ".ppm", ".pgm",
)  # fmt: skip
# Of pictures in other formats, which are named and not passed over.
UNREADABLE_SUFFIXES = (
    ".heic", ".heif", ".avif", ".jxl", ".tga", ".svg", ".psd", ".pcx", ".ico", ".dng", ".cr2",
    ".nef", ".arw", ".raw",
)  # fmt: skip
# The rotation that a camera may have noted is ignored: landmarks refer to the pixels as stored.
_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_picture(image: Path | Bytes) -> Bytes:
    """(H, W, 3) RGB from a file, or from an array (H, W, 3) or (H, W).

    Raises OdnbenchError that names a file that is missing, truncated or no picture.
    """
    if isinstance(image, Path):
        return _decode(image, _RGB)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


def read_as_stored(image: Path | Bytes) -> Bytes:
    """(H, W, 3) RGB, or (H, W) where the picture is stored with one channel.

    Raises OdnbenchError where `read_picture` does.
    """
    if not isinstance(image, Path):
        return image
    stored = _decode(image, _AS_STORED)
    return stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def write_picture(picture: Bytes, path: Path) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey to a .jpg or .png file.

    Raises OdnbenchError for a file that OpenCV cannot write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    try:
        written = cv2.imwrite(str(path), stored)
    except cv2.error:
        written = False
    if not written:
        raise OdnbenchError(f"{path}: cannot be written as a picture; end its name in .png or .jpg")


def _decode(path: Path, flags: int) -> Bytes:
    data = read_file(path)
    # OpenCV decodes the first part of a truncated file without an error, so check the file's end.
    jpeg_cut = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    png_cut = data[:4] == b"\x89PNG" and b"IEND" not in data[-64:]
    if jpeg_cut or png_cut:
        raise OdnbenchError(f"{path}: the picture is truncated")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (cv2.error, MemoryError):  # a header that declares more pixels than OpenCV takes
        decoded = None
    if decoded is None:
        raise OdnbenchError(f"{path}: not a picture that OpenCV can read; save it as .png or .jpg")
    return decoded  # type: ignore[return-value]
