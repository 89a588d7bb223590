"""What a file of predictions or annotations holds, before it is checked."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from odnbench.errors import OdnbenchError

# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Rows = Sequence[Any] | NDArray[Any]  # an item for each face


@dataclass
class Content:
    """A row for each face, in the order of the file."""

    faces: list[str]  # ids or names of pictures
    # Of each face: pairs or triples of numbers, nested or one after the other; None where the file
    # has nothing.
    landmarks: Rows
    # Of each face: whether each landmark is occluded; None where the file does not say it.
    occluded: Rows | None = None
    # Of each face: left, top, right, bottom; None for a face without a box.
    boxes: Rows | None = None
    first_pixel: int = 0  # the number of the first pixel of a row: 0, or 1 as in MATLAB
    # Whether the file is COCO's, where three numbers x, y, v are the rule.
    is_coco: bool = False
    # Number of a picture → its name, in a file that numbers its pictures.
    pictures: dict[str, str] = field(default_factory=dict)
    # Whether `faces` are such numbers, of a file that is not this one.
    numbered: bool = False
    notes: list[str] = field(default_factory=list)  # how the file was read, for people


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark.

    Raises OdnbenchError for other bytes, OSError for a file that cannot be read.
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise OdnbenchError(
            f"it is no text in {encoding.removesuffix('-sig')} (byte {error.start}); save it as "
            "UTF-8"
        ) from error
    if "\0" in text:
        raise OdnbenchError(
            "it holds NUL characters: it is damaged, or text in UTF-16 without a byte-order mark; "
            "save it as UTF-8"
        )
    return text


def box_of(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box that is given by a corner and its sides."""
    return x, y, x + width, y + height
