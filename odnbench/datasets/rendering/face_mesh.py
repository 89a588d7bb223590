"""The mesh of a rendered face, its light, and its picture: patches of vertices, rasterised.

Triangles are drawn from far to near: nearer ones cover the others. Texel coordinates, light and
depth are interpolated linearly on each triangle.

Legend: S the picture's side in px, R×C a patch's grid, V vertices, T triangles, K values.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Bytes, Flags, Floats, Floats32, Rows
from odnbench.datasets.rendering import face_model as fm
from odnbench.datasets.rendering.average_face import (
    COLUMN_ANGLES_RAD,
    JAW_ROW_MM,
    ROW_HEIGHTS_MM,
    section_mm,
)
from odnbench.datasets.rendering.canvas import Canvas
from odnbench.datasets.rendering.easel import View
from odnbench.datasets.rendering.face_paint import (
    EAR_CENTRE_MM,
    ear_outline,
    ear_tile,
    hairline,
)
from odnbench.datasets.rendering.face_parameters import FaceParameters, Light

# Depth of the background: farther than any head.
NO_DEPTH_MM = -1e4


@dataclass(frozen=True)
class Patch:
    """A grid of vertices: positions, places of their paint, and the ambient light on them."""

    vertices: Floats  # (R, C, 3) head frame, mm
    texels: Floats  # (R, C, 2) where the vertex's paint is on the canvas
    openness: Floats  # (R, C) share of the light that arrives at the vertex
    # Whether the back is drawn too.
    two_sided: bool = False


def _head_patch(face: FaceParameters, canvas: Canvas) -> Patch:
    """Head, neck and shoulders. Under hair, the vertices are moved out by the hair's volume."""
    angle, height = _grid_chart()
    vertices = fm.surface(face.shape)
    if face.hair.style != "bald":
        rise = np.interp(np.abs(angle), [0.8, 1.6], [46, 16])  # mm from the hairline to full volume
        above = np.clip((hairline(face.hair, angle) - height + 3) / rise, 0, 1)
        rng = np.random.default_rng(face.seed + 4)
        bumps = 1 + 0.02 * face.hair.ragged_mm * rng.normal(0, 1, angle.shape)
        bumps[:, -1] = bumps[:, 0]  # the grid's first and last column meet at the back of the head
        out = vertices - [0, -30, -5]
        out /= np.linalg.norm(out, axis=-1, keepdims=True)
        vertices = vertices + out * (above * bumps * face.hair.volume_mm)[..., None]
    return Patch(vertices, canvas.texels(np.stack([angle, height], -1)), _openness())


@cache
def _grid_chart() -> tuple[Floats, Floats]:
    angle, height = np.meshgrid(COLUMN_ANGLES_RAD, ROW_HEIGHTS_MM)
    return angle, height


@cache
def _openness() -> Floats:
    """Share of the light that arrives at each vertex of the head: (R, C).

    It is below 1 under the jaw, on the neck, and in the corners of eyes and nose.
    """
    angle, height = _grid_chart()
    below = np.interp(height, [104, 116, 126, 150, 185, 205], [1, 0.62, 0.5, 0.66, 0.9, 1.0])
    front = np.maximum(np.cos(angle), 0)
    for x, y, sx, sy, depth in ((0.24, 1, 0.14, 7, 0.2), (0.0, 53, 0.2, 6, 0.16)):
        below = below - depth * front * np.exp(
            -(((np.abs(angle) - x) / sx) ** 2) - ((height - y) / sy) ** 2
        )
    return below


# Long hair hangs down behind this angle of the chart.
CURTAIN_EDGE_RAD = 1.52


def _curtain_patch(face: FaceParameters, canvas: Canvas) -> Patch:
    """Long hair: a curtain that hangs from the scalp, from temple to temple around the back."""
    hair = face.hair
    angle, height = np.meshgrid(
        np.linspace(CURTAIN_EDGE_RAD, 2 * np.pi - CURTAIN_EDGE_RAD, 25),
        np.linspace(-88, hair.length_mm, 14),
    )
    half_width, front, back = np.moveaxis(section_mm(np.minimum(height, -10.0)), -1, 0)
    out = np.clip((height + 70) / 50, -0.3, 1) * (5 + 0.8 * hair.volume_mm)
    wave = np.random.default_rng(face.seed + 5).normal(0, 0.6 * hair.ragged_mm, angle.shape)
    out = out + wave * (height > -40)
    x = np.sin(angle) * (
        half_width * (1 + fm.FACE_WIDTH_PER_SD * face.shape.amount("face_width")) + out
    )
    z = np.cos(angle) * (np.where(np.cos(angle) > 0, front, back) + out)
    y = height + (height > 20) * wave
    unrolled = np.stack([np.pi * 0.35 + angle * 0.2, -105 + (height + 88) * 0.3], -1)
    texels = canvas.texels(unrolled)
    depth = np.interp(height, [-88, 0, 120], [1.0, 0.85, 0.7])
    return Patch(np.stack([x, y, z], -1), texels, depth, two_sided=True)


def _ear_patch(face: FaceParameters, canvas: Canvas, side: int) -> Patch:
    """An ear, a shallow shell that stands off the head. side: −1 at the image's left, 1 right."""
    ring, angle = np.meshgrid([0.0, 0.35, 0.65, 0.88, 1.0], np.linspace(0, 2 * np.pi, 15))
    back, down = ear_outline(ring, angle)
    rim = np.interp(ring, [0, 0.35, 0.65, 0.88, 1], [-1, 0, 2, 4, 0])
    stand_off = np.radians(32)
    reach = back + 9.0  # the front edge is sunk in the head
    x = np.sin(stand_off) * reach + np.cos(stand_off) * rim
    z = -np.cos(stand_off) * reach + np.sin(stand_off) * rim + 0.15 * -down
    widening = 1 + fm.FACE_WIDTH_PER_SD * face.shape.amount("face_width")
    centre = EAR_CENTRE_MM * [widening, 1, 1]
    vertices = np.stack([x, down, z], axis=-1) + centre
    vertices[..., 0] *= side
    openness = np.interp(ring, [0, 0.65, 1], [0.8, 0.95, 1.0])
    return Patch(vertices, ear_tile(canvas, back, down), openness, two_sided=True)


@cache
def _grid_triangles(rows: int, columns: int) -> Rows:
    """Vertex indices of the triangles of a grid: (T, 3).

    Each cell is cut along a diagonal; the diagonals are mirrored about the middle column, so that
    the left half of a head is the mirror image of the right half.
    """
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (r * columns + c).ravel()
    b, d, e = a + 1, a + columns, a + columns + 1
    left = (c.ravel() < (columns - 1) / 2)[:, None]
    first = np.where(left, np.column_stack([a, b, d]), np.column_stack([a, b, e]))
    second = np.where(left, np.column_stack([b, e, d]), np.column_stack([a, e, d]))
    return np.concatenate([first, second])


def _normals(vertices: Floats) -> Floats:
    """Unit normals of a grid in a frame with y down, pointing out of the head: (R, C, 3)."""
    down, along = np.empty_like(vertices), np.empty_like(vertices)
    down[1:-1] = vertices[2:] - vertices[:-2]
    down[0], down[-1] = vertices[1] - vertices[0], vertices[-1] - vertices[-2]
    along[:, 1:-1] = vertices[:, 2:] - vertices[:, :-2]
    along[:, 0], along[:, -1] = vertices[:, 1] - vertices[:, 0], vertices[:, -1] - vertices[:, -2]
    normal = np.cross(along, down)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    return normal


def _pose_patch(patch: Patch, view: View, face: FaceParameters) -> Floats:
    """Vertices in mm from the pivot, z towards the camera: (R, C, 3).

    The head turns by its pose, the trunk by a part of it, and the neck in between.
    """
    pose = face.pose
    trunk = fm.rotation(0.4 * pose.yaw_deg, 0.1 * pose.pitch_deg, 0.3 * pose.roll_deg)
    centred = patch.vertices - view.pivot_mm
    stiff = np.interp(patch.vertices[..., 1], [85, 175], [0, 1])[..., None]
    # Only the head's own patch has that shape. Its rows above JAW_ROW_MM turn with the head, even
    # where an open jaw has moved them down.
    if patch.vertices.shape[:2] == _openness().shape:
        stiff = stiff * (_grid_chart()[1] > JAW_ROW_MM)[..., None]
    posed: Floats = centred @ view.rotation.T * (1 - stiff) + centred @ trunk.T * stiff
    return posed


def _light_patch(posed: Floats, patch: Patch, face: FaceParameters) -> tuple[Floats, Floats]:
    """Diffuse light, which includes the ambient light, and gloss of each vertex: two (R, C)."""
    normals, light = _normals(posed), face.light
    if patch.two_sided:
        normals = normals * np.where(normals[..., 2:] < 0, -1.0, 1.0)
    direction = np.array(light.direction) / np.linalg.norm(light.direction)
    wrapped = np.maximum((normals @ direction + 0.2) / 1.2, 0.0)
    halfway = direction + np.array([0.0, 0.0, 1.0])
    gloss = np.maximum(normals @ (halfway / np.linalg.norm(halfway)), 0) ** 14
    diffuse = light.ambient + (1 - light.ambient) * wrapped
    return diffuse * patch.openness, face.skin.gloss * gloss * patch.openness


def rasterise(
    corners: Floats, values: Floats, triangles: Rows, size: int
) -> tuple[Floats32, Flags]:
    """Values interpolated over triangles; a later triangle covers an earlier one.

    corners: (V, 2) px. values: (V, K). triangles: (T, 3), of positive area with y down. Returns the
    picture (K, S, S), zero beside the triangles, and whether a triangle covers a pixel (S, S). A
    triangle covers the pixels whose centres it holds. In each row these are a span, and all spans
    are filled at once.
    """
    x, y = corners.T[:, triangles.T]  # (3, T) each: corners first, which numpy reduces fast
    first = np.clip(np.ceil(_least(y)), 0, size).astype(np.int32)
    last = np.clip(np.floor(-_least(-y)), -1, size - 1).astype(np.int32)
    owner, row = _ranges(first, last)  # a span per triangle and row
    along_x, along_y = x[[1, 2, 0]] - x, y[[1, 2, 0]] - y
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = along_x / along_y
        start = x - y * slope
        cut = start[:, owner] + slope[:, owner] * row  # (3, spans) where an edge crosses the row
    low = -_least(np.where((along_y < 0)[:, owner], -cut, np.inf))
    high = _least(np.where((along_y > 0)[:, owner], cut, np.inf))
    left = np.clip(np.ceil(low), 0, size).astype(np.int32)
    right = np.clip(np.floor(high), -1, size - 1).astype(np.int32)
    span, column = _ranges(left, right)
    top = np.full(size * size, -1, np.int32)
    top[row[span] * size + column] = owner[span]  # NumPy keeps the last of several assignments
    covered = np.flatnonzero(top >= 0)
    owner_of = top[covered]
    py, px = np.divmod(covered.astype(np.float32), np.float32(size))
    picture = np.zeros((values.shape[1], size * size), np.float32)
    for layer, (slope_x, slope_y, constant) in zip(picture, _planes(x, y, values[triangles.T]),
                                                   strict=True):  # fmt: skip
        layer[covered] = slope_x[owner_of] * px + slope_y[owner_of] * py + constant[owner_of]
    return picture.reshape(-1, size, size), (top >= 0).reshape(size, size)


def _least(corners: Floats) -> Floats:
    """The least value among the three corners of each triangle: (3, T) → (T,)."""
    least: Floats = np.minimum(np.minimum(corners[0], corners[1]), corners[2])
    return least


def _ranges(first: NDArray[np.int32], last: NDArray[np.int32]) -> tuple[Any, Any]:
    """All members of the ranges first … last, both ends included: for each member, the index of its
    range and its value.
    """
    count = np.maximum(last - first + 1, 0)
    begin = first - np.cumsum(count, dtype=np.int32) + count
    owner = np.repeat(np.arange(len(count), dtype=np.int32), count)
    return owner, np.arange(len(owner), dtype=np.int32) + begin[owner]


def _planes(x: Floats, y: Floats, values: Floats) -> Floats32:
    """Slope in x, slope in y, and constant of each value on each triangle: (K, 3, T).

    x, y: (3, T). values: (3, T, K).
    """
    ux, uy, vx, vy = x[1] - x[0], y[1] - y[0], x[2] - x[0], y[2] - y[0]
    du, dv = (values[1] - values[0]).T, (values[2] - values[0]).T  # (K, T)
    area = ux * vy - uy * vx
    gx, gy = (du * vy - dv * uy) / area, (dv * ux - du * vx) / area
    constant = values[0].T - gx * x[0] - gy * y[0]
    return np.stack([gx, gy, constant], axis=1).astype(np.float32)


def image_of(array: Any) -> Bytes:
    """`array`, which OpenCV returned, with the type that the type checker does not know."""
    return np.asarray(array, np.uint8)


def draw_head(
    face: FaceParameters, view: View, canvas: Canvas, backdrop: Bytes
) -> tuple[Bytes, Floats32]:
    """The picture of the head before the backdrop (S, S, 3), and its depth (S, S) in mm towards the
    camera, NO_DEPTH_MM in the background.
    """
    size = len(backdrop)
    patches = [_head_patch(face, canvas)]
    patches += [_ear_patch(face, canvas, side) for side in (-1, 1)]
    if face.hair.style == "long":
        patches.append(_curtain_patch(face, canvas))
    values, corners, triangles, two_sided, begin = [], [], [], [], 0
    for patch in patches:
        posed = _pose_patch(patch, view, face)
        diffuse, gloss = _light_patch(posed, patch, face)
        columns = [patch.texels, diffuse[..., None], gloss[..., None], posed[..., 2:]]
        values.append(np.concatenate(columns, -1).reshape(-1, 5))
        corners.append(view.project(posed).reshape(-1, 2))
        mesh = _grid_triangles(*diffuse.shape)
        triangles.append(mesh + begin)
        two_sided.append(np.full(len(mesh), patch.two_sided))
        begin += diffuse.size
    all_values, all_corners = np.concatenate(values), np.concatenate(corners)
    shown = _shown(
        all_corners, all_values[:, 4], np.concatenate(triangles), np.concatenate(two_sided), size
    )
    layers, covered = rasterise(all_corners, all_values, shown, size)
    albedo = image_of(cv2.remap(canvas.paint, layers[0], layers[1], cv2.INTER_LINEAR))
    lit = _lit(albedo, layers[2], layers[3], face.light)
    picture = image_of(cv2.copyTo(lit, covered.view(np.uint8), backdrop))
    depth = np.where(covered, layers[4], np.float32(NO_DEPTH_MM))
    return _soft_edges(picture, depth), depth


def _lit(albedo: Bytes, diffuse: Floats32, gloss: Floats32, light: Light) -> Bytes:
    """The paint in the light: (S, S, 3). Diffuse light from 0 to 1 is tinted from the shadow's
    colour to the key light's; gloss is added.
    """
    key = np.multiply(light.key_tint, light.brightness)
    to_rgb = np.column_stack([key - light.shadow_tint, light.shadow_tint])
    tint = cv2.transform(diffuse[..., None], to_rgb)
    colour = cv2.multiply(albedo, tint, dtype=cv2.CV_32F)
    return image_of(cv2.convertScaleAbs(cv2.scaleAdd(cv2.merge([gloss] * 3), 255, colour)))


def _shown(
    corners: Floats,
    depth: Floats,
    triangles: Rows,
    two_sided: Flags,
    size: int,
) -> Rows:
    """The triangles to draw, from far to near and all of positive area: (T, 3).

    They lie in the picture and face the camera; two-sided ones may turn their back to it.
    """
    x, y = corners.T[:, triangles.T]  # (3, T) each
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    inside = (_least(y) < size) & (_least(x) < size) & (_least(-x) < 0) & (_least(-y) < 0)
    kept = np.flatnonzero(inside & ((area > 1e-6) | two_sided & (area < -1e-6)))
    shown, turned = triangles[kept], area[kept] < 0
    shown[turned] = shown[turned][:, ::-1]
    return shown[np.argsort(depth[shown.T].sum(axis=0), kind="stable")]


def _soft_edges(picture: Bytes, depth: Floats32) -> Bytes:
    """Smooths the stair steps where the depth jumps; elsewhere the picture stays."""
    limited = np.maximum(depth, -400)
    jump = cv2.morphologyEx(limited, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 12
    smooth = cv2.GaussianBlur(picture, (3, 3), 0.75)
    return image_of(cv2.copyTo(smooth, jump.view(np.uint8), picture))
