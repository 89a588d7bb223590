"""Camera, picture and mask of a rendered face, and the shapes that are drawn on them.

`View` maps the head to the picture. `Easel` holds the picture, its depth and the mask of occluders,
and draws each shape on the picture and on the mask alike.

Legend: S the picture's side in px; head frame in mm as in face_model; picture frame x y in px.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Bytes, Floats, Floats32
from odnbench.datasets.rendering.average_face import chart_of_frontal
from odnbench.datasets.rendering.face_model import on_surface

Colour = tuple[float, float, float]  # RGB, 0 to 255
# Fractional bits of OpenCV's fixed-point coordinates.
SHIFT = 6
ONE = 1 << SHIFT


@dataclass(frozen=True)
class View:
    """A camera before a head: the map from the head's frame to the picture."""

    rotation: Floats  # (3, 3)
    pivot_mm: Floats  # (3,) the point about which the head turns
    distance_mm: float  # from the camera to the pivot
    px_per_mm: float  # scale of the picture at the pivot's depth
    origin_px: Floats  # (2,) where the pivot is in the picture
    vertices: Floats  # (R, C, 3) mm, the head's surface in the head's frame

    def turn(self, points_mm: Floats) -> Floats:
        """(..., 3) mm in the head's frame → (..., 3) mm from the pivot, z towards the camera."""
        turned: Floats = (points_mm - self.pivot_mm) @ self.rotation.T
        return turned

    def project(self, turned_mm: Floats) -> Floats:
        """(..., 3) mm from the pivot, as `turn` gives them → (..., 2) px, in perspective."""
        scale = self.px_per_mm * self.distance_mm / (self.distance_mm - turned_mm[..., 2:])
        picture: Floats = turned_mm[..., :2] * scale + self.origin_px
        return picture

    def of_head(self, points_mm: Floats) -> Floats:
        """(..., 3) mm in the head's frame → (..., 2) px."""
        return self.project(self.turn(points_mm))

    def on_skin(self, frontal_mm: Any, lift_mm: float = 0.0) -> Floats:
        """(N, 2) frontal mm (x, height) → (N, 2) px of the points `lift_mm` above the skin."""
        chart = chart_of_frontal(np.asarray(frontal_mm, dtype=float))
        points = on_surface(self.vertices, chart)
        outward = np.column_stack([np.sin(chart[:, 0]), np.zeros(len(chart)), np.cos(chart[:, 0])])
        return self.of_head(points + lift_mm * outward)


@dataclass(frozen=True)
class Easel:
    """A picture, its depth, and the mask of occluders. Each method draws on picture and mask."""

    picture: Bytes  # (S, S, 3)
    # (S, S) mm towards the camera; −10000 in the background.
    depth: Floats32
    mask: Bytes  # (S, S), 255 where an occluder is
    # Factor on the colours of all shapes.
    light: float = 1.0
    # Whether shapes count as occluders; if not, the mask stays as it is.
    opaque: bool = True

    def polygon(self, points_px: Floats, colour: Colour) -> None:
        """A filled polygon, anti-aliased."""
        fixed = [fixed_point(points_px)]
        cv2.fillPoly(self.picture, fixed, self.lit(colour), cv2.LINE_AA, SHIFT)
        if self.opaque:
            cv2.fillPoly(self.mask, fixed, 255, cv2.LINE_8, SHIFT)

    def stroke(
        self, points_px: Floats, width_px: float, colour: Colour, closed: bool = False
    ) -> None:
        """A line with round ends, at least one pixel wide."""
        fixed, width = [fixed_point(points_px)], max(1, round(width_px))
        cv2.polylines(self.picture, fixed, closed, self.lit(colour), width, cv2.LINE_AA, SHIFT)
        if self.opaque:
            cv2.polylines(self.mask, fixed, closed, 255, width, cv2.LINE_8, SHIFT)

    def glass(self, points_px: Floats, colour: Colour, opacity: float, depth_mm: float) -> None:
        """A filled, partly transparent polygon, left out where the head's depth is over
        `depth_mm`, that is, where the head is nearer to the camera.
        """
        cover = np.zeros_like(self.mask)
        cv2.fillPoly(cover, [fixed_point(points_px)], 255, cv2.LINE_AA, SHIFT)
        cover[self.depth > depth_mm] = 0
        x, y, w, h = cv2.boundingRect(cover)
        part = np.s_[y : y + h, x : x + w]
        weight = cover[part][..., None] * np.float32(opacity / 255)
        blend = self.picture[part] * (1 - weight) + np.array(self.lit(colour), np.float32) * weight
        self.picture[part] = blend.astype(np.uint8)
        if self.opaque:
            self.mask[part][cover[part] > 127] = 255

    def lit(self, colour: Colour) -> Colour:
        """The colour times the easel's light, at most 255."""
        r, g, b = (min(255.0, c * self.light) for c in colour)
        return r, g, b


def fixed_point(points_px: Floats) -> NDArray[np.int32]:
    """(N, 2) px → (N, 1, 2) with SHIFT fractional bits, as OpenCV's drawing functions take them."""
    return np.rint(points_px * ONE).astype(np.int32)[:, None, :]


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter colour."""
    r, g, b = (min(255.0, c * factor) for c in colour)
    return r, g, b
