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

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.rendering.average_face import chart_of_frontal
from odnbench.datasets.rendering.face_model import on_surface

Colour = tuple[float, float, float]  # RGB, 0 to 255
SHIFT = 6  # fractional bits of OpenCV's fixed-point coordinates
ONE = 1 << SHIFT


@dataclass(frozen=True)
class View:
    """How the head's frame maps to the picture, and what of the head is seen there."""

    rotation: Floats  # (3, 3)
    pivot_mm: Floats  # (3,) the head turns about this point
    distance_mm: float
    px_per_mm: float  # at the pivot's depth
    origin_px: Floats  # (2,) where the pivot's axis meets the picture
    vertices: Floats  # (R, C, 3) the head's surface, head frame

    def turn(self, points_mm: Floats) -> Floats:
        """Head frame to camera frame: (..., 3) mm, z towards the camera."""
        turned: Floats = (points_mm - self.pivot_mm) @ self.rotation.T
        return turned

    def project(self, turned_mm: Floats) -> Floats:
        """Camera frame to picture: (..., 2) px, with true perspective."""
        scale = self.px_per_mm * self.distance_mm / (self.distance_mm - turned_mm[..., 2:])
        picture: Floats = turned_mm[..., :2] * scale + self.origin_px
        return picture

    def of_head(self, points_mm: Floats) -> Floats:
        """Head frame to picture: (..., 2) px."""
        return self.project(self.turn(points_mm))

    def on_skin(self, frontal_mm: Any, lift_mm: float = 0.0) -> Floats:
        """Frontal points (x, height) to the picture, `lift_mm` above the skin: (N, 2) px."""
        chart = chart_of_frontal(np.asarray(frontal_mm, dtype=float))
        points = on_surface(self.vertices, chart)
        outward = np.column_stack([np.sin(chart[:, 0]), np.zeros(len(chart)), np.cos(chart[:, 0])])
        return self.of_head(points + lift_mm * outward)


@dataclass(frozen=True)
class Easel:
    """A picture, its depth, and the mask of occluders; the primitives draw on picture and mask."""

    picture: Bytes  # (S, S, 3)
    depth: NDArray[np.float32]  # (S, S) mm towards the camera, very far beside the head
    mask: Bytes  # (S, S)
    light: float = 1.0  # brightness of what is drawn
    opaque: bool = True  # whether shapes count as occluders

    def polygon(self, points_px: Floats, colour: Colour) -> None:
        """A filled polygon, anti-aliased."""
        fixed = [fixed_point(points_px)]
        cv2.fillPoly(self.picture, fixed, self.lit(colour), cv2.LINE_AA, SHIFT)
        if self.opaque:
            cv2.fillPoly(self.mask, fixed, 255, cv2.LINE_8, SHIFT)

    def stroke(
        self, points_px: Floats, width_px: float, colour: Colour, closed: bool = False
    ) -> None:
        """A line with round ends."""
        fixed, width = [fixed_point(points_px)], max(1, round(width_px))
        cv2.polylines(self.picture, fixed, closed, self.lit(colour), width, cv2.LINE_AA, SHIFT)
        if self.opaque:
            cv2.polylines(self.mask, fixed, closed, 255, width, cv2.LINE_8, SHIFT)

    def glass(self, points_px: Floats, colour: Colour, opacity: float, depth_mm: float) -> None:
        """A filled polygon that lets light through, hidden by skin nearer than `depth_mm`."""
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
        """The colour in this picture's light."""
        r, g, b = (min(255.0, c * self.light) for c in colour)
        return r, g, b


def fixed_point(points_px: Floats) -> NDArray[np.int32]:
    """Coordinates for OpenCV's drawing functions with SHIFT fractional bits: (N, 1, 2)."""
    return np.rint(points_px * ONE).astype(np.int32)[:, None, :]


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter colour."""
    r, g, b = (min(255.0, c * factor) for c in colour)
    return r, g, b
