"""A picture with what a network says of its faces: boxes and points."""

# H×W picture, L landmarks

from collections.abc import Sequence

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.inspection.contact_sheet import BOX, OCCLUDED, VISIBLE
from odnbench.engine.predictor import PredictedFace

LARGEST_PX = 1600  # longer side of an overlay of a picture
_DOT = 1 / 110  # radius of a point over the side of what the network has seen


def shrunk(picture: Bytes) -> tuple[Bytes, float]:
    """`picture` with its longer side at most LARGEST_PX, and its scale."""
    scale = min(1.0, LARGEST_PX / max(picture.shape[:2]))
    if scale == 1.0:
        return picture, scale
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale  # type: ignore[return-value]


def draw_overlay(picture: Bytes, faces: Sequence[PredictedFace], scale: float = 1.0) -> Bytes:
    """A copy of `picture` (H, W, 3) RGB with the box and the points of each face.

    A point is green; the larger 1 − P is there, the redder it is. scale: pixels of `picture` per
    pixel of the one that was predicted.
    """
    drawn = np.array(picture)
    for face in faces:
        left, top, right, bottom = _sixteenths(face.box.reshape(2, 2), scale).ravel().tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), BOX, 1, cv2.LINE_AA, shift=4)
        radius = max(16, round(16 * scale * _DOT * float(face.seen[2] - face.seen[0])))
        hidden = np.zeros(len(face.points)) if face.occlusion is None else face.occlusion
        colours = (np.outer(1 - hidden, VISIBLE) + np.outer(hidden, OCCLUDED)).round()
        for centre, colour in zip(_sixteenths(face.points, scale), colours, strict=True):
            x, y = centre.tolist()
            cv2.circle(drawn, (x, y), radius, colour.tolist(), -1, cv2.LINE_AA, shift=4)
    return drawn


def _sixteenths(points: Floats, scale: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.intp]]":
    """(K, 2) in sixteenths of a pixel of the scaled picture, as OpenCV draws between pixels; far
    outside of any picture they are cut off.
    """
    moved = np.clip(((points + 0.5) * scale - 0.5) * 16, -(1 << 20), 1 << 20)
    return np.rint(moved).astype(np.intp)
