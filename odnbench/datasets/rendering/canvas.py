"""The chart that the skin of a rendered face is painted on, and that the head's mesh then wears.

The chart is the head's surface unrolled from a cylinder: angle to the right, height downwards.

Legend: H, W the canvas in texels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.rendering.easel import SHIFT, Colour, fixed_point

# Radius of the cylinder: one radian of the chart is this many mm of paint.
CHART_RADIUS_MM = 72.0
CHART_TOP_MM, CHART_BOTTOM_MM = -127.0, 205.0
# Side of the square to the right of the chart that shows the ear.
EAR_TILE_MM = 44.0


@dataclass(frozen=True)
class Canvas:
    """The painted chart: skin, hair and clothes, unrolled. Points are (N, 2) chart coordinates
    (angle in rad, height in mm).
    """

    paint: Bytes  # (H, W, 3)
    px_per_mm: float

    @classmethod
    def blank(cls, size: int) -> "Canvas":
        """A black canvas, its texels about as large as the pixels of a picture of side `size`."""
        px_per_mm = size / 185.0
        height = round((CHART_BOTTOM_MM - CHART_TOP_MM) * px_per_mm)
        width = round((2 * np.pi * CHART_RADIUS_MM + EAR_TILE_MM) * px_per_mm)
        return cls(np.zeros((height, width, 3), np.uint8), px_per_mm)

    def texels(self, chart: Floats) -> Floats:
        """(..., 2) chart coordinates → (..., 2) texels, x to the right and y down."""
        # The chart ends in the clothes, which have one colour: lower points take it from there.
        clothes = np.array([np.inf, CHART_BOTTOM_MM - 3])
        scale = np.array([CHART_RADIUS_MM, 1.0]) * self.px_per_mm
        origin = np.array([np.pi * CHART_RADIUS_MM, -CHART_TOP_MM]) * self.px_per_mm - 0.5
        texels: Floats = np.minimum(chart, clothes) * scale + origin
        return texels

    def fill(self, chart: Floats, colour: Colour, into: Bytes | None = None) -> None:
        """Fills a polygon with `colour`, or with 255 in the mask `into` (H, W) if one is given."""
        points = [fixed_point(self.texels(chart))]
        target = self.paint if into is None else into
        cv2.fillPoly(target, points, colour if into is None else 255, cv2.LINE_AA, SHIFT)

    def line(self, chart: Floats, width_mm: float, colour: Colour) -> None:
        """An open line. One that is thinner than a texel is blended with the paint below it."""
        points = [fixed_point(self.texels(chart))]
        width = width_mm * self.px_per_mm
        if width >= 1:
            cv2.polylines(self.paint, points, False, colour, round(width), cv2.LINE_AA, SHIFT)
            return
        x, y, w, h = cv2.boundingRect(np.rint(self.texels(chart)).astype(np.int32))
        part = np.s_[max(y - 2, 0) : y + h + 2, max(x - 2, 0) : x + w + 2]
        before = self.paint[part].copy()
        cv2.polylines(self.paint, points, False, colour, 1, cv2.LINE_AA, SHIFT)
        cv2.addWeighted(self.paint[part], width, before, 1 - width, 0, dst=before)
        self.paint[part] = before

    def inside(self, outline: Floats, other: "Canvas") -> None:
        """Copies the paint of `other` inside of `outline` to this canvas, with a soft edge."""
        points = self.texels(outline)
        x0, y0 = np.floor(points.min(axis=0)).astype(int) - 2
        x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 3
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(cover, [fixed_point(points - [x0, y0])], 255, cv2.LINE_AA, SHIFT)
        weight = cover[..., None] * np.float32(1 / 255)
        part = np.s_[y0:y1, x0:x1]
        blend = self.paint[part] * (1 - weight) + other.paint[part] * weight
        self.paint[part] = np.rint(blend).astype(np.uint8)
