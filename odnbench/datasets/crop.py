"""From a box rule to the pixels that a network sees.

A crop is a window of whole pixels, so that resizing the window is exact and fast: its sides are
those of the rule, rounded to a pixel. `Window.crop_to_image` maps the resized picture back to the
image and takes the rounding into account, so the rounding causes no error.
"""

# H×W picture, S side of a prepared picture and T = THUMBNAIL_PX side of a thumbnail, in pixels

import math
from dataclasses import dataclass

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule

LARGEST_SIDE_PX = 1 << 15
THUMBNAIL_PX = 24
# A window with a side above this many times the picture's was annotated on another picture.
_MOST_TIMES = 4


@dataclass(frozen=True)
class Window:
    """A window of whole pixels of an image. A part of the window may be outside of the image."""

    left: int
    top: int
    width: int
    height: int

    def crop_to_image(self, size: int) -> Floats:
        """(2, 3) affine map: pixels of the window resized to S × S → pixels of the image."""
        sx, sy = self.width / size, self.height / size
        return np.array(
            [
                [sx, 0.0, self.left + (sx - 1) / 2],  # pixel centres are at integers
                [0.0, sy, self.top + (sy - 1) / 2],
            ]
        )

    def to_crop(self, points: Floats, size: int) -> Floats:
        """(L, 2) in pixels of the image → pixels of the window resized to S × S."""
        corner = np.array([self.left, self.top])
        scale = size / np.array([self.width, self.height])
        moved: Floats = (points - corner + 0.5) * scale - 0.5
        return moved

    def is_beside(self, picture: Bytes) -> bool:
        """Whether it has no pixel of `picture` (H, W, …)."""
        height, width = picture.shape[:2]
        return not (-self.width < self.left < width and -self.height < self.top < height)

    def is_too_large_for(self, picture: Bytes) -> bool:
        """Whether it can't be the window of a face of `picture` (H, W, …)."""
        longer: int = max(picture.shape[:2])
        return max(self.width, self.height) > _MOST_TIMES * longer

    def cut(self, picture: Bytes, out: Bytes) -> Bytes:
        """Cuts the window from (H, W, 3) or (H, W) and resizes it into `out` (S, S, 3) or (S, S).

        Pixels outside of the picture are black. Shrinking averages over areas, because a bilinear
        sample would use only four of the pixels. Returns `out`.
        """
        size = out.shape[0]
        height, width = picture.shape[:2]
        right, bottom = self.left + self.width, self.top + self.height
        inside = picture[max(0, self.top) : max(0, bottom), max(0, self.left) : max(0, right)]
        if not inside.size:
            out[:] = 0
            return out
        margins = (-self.top, bottom - height, -self.left, right - width)
        if max(margins) > 0:
            above, below, before, after = (max(0, margin) for margin in margins)
            inside = cv2.copyMakeBorder(  # type: ignore[assignment]
                inside, above, below, before, after, cv2.BORDER_CONSTANT, value=(0, 0, 0)
            )
        shrinks = max(self.width, self.height) > size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        cv2.resize(inside, (size, size), dst=out, interpolation=how)
        return out


def thumbnail_of(picture: Bytes, points: Floats) -> Bytes:
    """(T, T) grey: the square around the box of `points` (L, 2) in `picture` (H, W, 3) RGB.

    The box is cut off at the edges of the picture. Where nothing of it is left, all is black.
    """
    last = np.array(picture.shape[1::-1]) - 1
    (x0, y0), (x1, y1) = np.clip([points.min(axis=0), points.max(axis=0)], 0, last).tolist()
    side = round(max(x1 - x0, y1 - y0))
    if not side:
        return np.zeros((THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)
    cut = np.empty((THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)
    _around((x0 + x1) / 2, (y0 + y1) / 2, side, side).cut(picture, cut)
    return cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def window_of(face: Face, rule: BoxRule, margin: float) -> Window:
    """The window that `rule` gives `face`, its sides multiplied by `margin` (for augmentation).

    Raises OdnbenchError for a face without the box that the rule needs, and for a window without
    area or with a side above LARGEST_SIDE_PX.
    """
    if rule.source == "landmarks":
        (x0, y0), (x1, y1) = face.points.min(axis=0).tolist(), face.points.max(axis=0).tolist()
    else:
        box = face.box if rule.source == "annotated" else face.detector_box
        if box is None:
            raise OdnbenchError(
                f"{face.part}, {face.id}: it has no {rule.source} box, which box rule "
                f"'{rule.name}' needs; choose a protocol whose box rule is 'landmarks'"
            )
        x0, y0, x1, y1 = box.tolist()
    w, h, (left, top, right, bottom) = x1 - x0, y1 - y0, rule.grown
    x0, y0, x1, y1 = x0 - left * w, y0 - top * h, x1 + right * w, y1 + bottom * h
    width, height = (x1 - x0) * rule.factor * margin, (y1 - y0) * rule.factor * margin
    if rule.shape == "square":
        width = height = max(width, height)
    if not (0 < width <= LARGEST_SIDE_PX and 0 < height <= LARGEST_SIDE_PX):
        raise OdnbenchError(
            f"{face.part}, {face.id}: its {rule.source} box {x0:g} {y0:g} {x1:g} {y1:g} spans no "
            "usable area"
        )
    columns, rows = max(1, round(width)), max(1, round(height))
    return _around((x0 + x1) / 2, (y0 + y1) / 2, columns, rows)


def _around(x: float, y: float, columns: int, rows: int) -> Window:
    """The window of `columns` × `rows` px around (x, y)."""
    # The middle minus half of the window; pixel centres are at integers.
    return Window(math.floor(x - columns / 2 + 1), math.floor(y - rows / 2 + 1), columns, rows)
