"""From a box rule to the pixels that a network sees.

A crop is a window of whole pixels, so that resizing it is exact and fast: its sides are those of
the rule, rounded to a pixel. `Window.crop_to_image` leads from the resized picture back to the
image, so that no error comes from the rounding.
"""

# H×W picture, S side of a prepared picture in pixels

from dataclasses import dataclass

import cv2
import numpy as np

from odnbench.datasets.faces import Bytes, Face, Floats
from odnbench.errors import OdnbenchError
from odnbench.specs import BoxRule

LARGEST_SIDE_PX = 1 << 15


@dataclass(frozen=True)
class Window:
    """A window of whole pixels, which may reach over the picture's edges."""

    left: int
    top: int
    width: int
    height: int

    def crop_to_image(self, size: int) -> Floats:
        """(2, 3): pixels of the window resized to S × S → pixels of the image."""
        sx, sy = self.width / size, self.height / size
        return np.array(
            [
                [sx, 0.0, self.left + (sx - 1) / 2],  # pixel centres are at integers
                [0.0, sy, self.top + (sy - 1) / 2],
            ]
        )

    def cut(self, picture: Bytes, out: Bytes) -> Bytes:
        """(H, W, 3) → `out` (S, S, 3), or (H, W) → `out` (S, S); outside of the picture is black.

        Shrinking averages over the pixels' areas: a bilinear sample would see only four of them.
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


def window_of(face: Face, rule: BoxRule, margin: float) -> Window:
    """The window that `rule` gives `face`, its sides times `margin` (room for augmentation).

    Raises OdnbenchError for a face without the box that the rule needs, or with a box that spans no
    area or more than LARGEST_SIDE_PX.
    """
    if rule.source == "landmarks":
        low, high = face.points.min(axis=0), face.points.max(axis=0)
    else:
        box = face.box if rule.source == "annotated" else face.detector_box
        if box is None:
            raise OdnbenchError(
                f"{face.part}, {face.id}: it has no {rule.source} box, which box rule "
                f"'{rule.name}' needs; choose a protocol whose box rule is 'landmarks'"
            )
        low, high = box[:2], box[2:]
    sides = (high - low) * rule.factor * margin
    if rule.shape == "square":
        sides = np.full(2, sides.max())
    if not (np.isfinite(sides).all() and sides.min() > 0 and sides.max() <= LARGEST_SIDE_PX):
        raise OdnbenchError(
            f"{face.part}, {face.id}: its {rule.source} box {low} to {high} spans no usable area"
        )
    width, height = (max(1, int(n)) for n in np.rint(sides))
    # The box's middle, less half of the window; pixel centres are at integers.
    left, top = np.floor((low + high) / 2 - np.array([width, height]) / 2 + 1).astype(int).tolist()
    return Window(left, top, width, height)
