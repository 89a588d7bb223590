"""What a file of predictions or annotations holds, before it is checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

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


def box_of(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box that is given by a corner and its sides."""
    return x, y, x + width, y + height
