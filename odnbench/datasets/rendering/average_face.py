"""The average head and the average face on it, written by hand from anthropometric proportions.

The surface of head, neck and shoulders is described over a chart (angle, height): `angle` in rad
around the vertical axis (0 in front, positive to the image's right), `height` in mm below the eye
line. The 98 control points of the face are given in the frontal plane (x, height) and in the order
of WFLW.

Legend: R rows, C columns of the grid; x to the image's right, y down, z to the viewer, in mm.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from odnbench.arrays import Floats

CHIN_HEIGHT_MM = 113.0
# Below this row of the grid the surface bends inwards, under the jaw.
JAW_ROW_MM = CHIN_HEIGHT_MM

# Horizontal sections of an average adult head, neck and trunk. Columns: height, half-width, and the
# depths in front of and behind the vertical axis through the ears (mm).
SECTIONS_MM = np.array(
    [
        [-125, 2, 3, 3], [-123, 22, 26, 30], [-117, 42, 52, 56], [-100, 62, 77, 82],
        [-75, 73, 89, 95], [-50, 76, 94, 99], [-25, 74, 94, 97], [0, 70.5, 87, 92],
        [25, 69, 87, 84], [48, 66.5, 88, 74], [68, 63, 89, 66], [90, 59, 90, 60],
        [104, 56.5, 90, 56], [113, 54, 86, 54], [117, 50, 77, 53], [122, 46, 55, 53],
        [138, 45, 31, 54], [165, 47, 31, 58], [182, 62, 36, 62], [194, 108, 46, 66],
        [210, 172, 62, 68], [240, 200, 76, 70], [340, 212, 80, 72],
    ]
)  # fmt: skip
ROW_HEIGHTS_MM = np.concatenate(
    [
        [-125, -123, -117, -109, -100, -88, -75, -62, -50, -42],
        np.linspace(-35, CHIN_HEIGHT_MM, 28), [117, 122, 130],
        [138, 150, 165, 174, 182, 194, 210, 240, 340],
    ]
)  # fmt: skip
COLUMN_ANGLES_RAD = np.radians(
    np.concatenate([np.linspace(-180, -65, 10)[:-1], np.linspace(-65, 65, 27),
                    np.linspace(65, 180, 10)[1:]])
)  # fmt: skip
# The angle of the jaw is this much higher than the chin.
JAW_LIFT_MM = 47.0

# Ridge of the nose. Columns: height on the face, elevation over the cheeks, half-width (mm).
NOSE_RIDGE_MM = np.array(
    [[-24, 0, 9], [-12, 1, 9], [0, 5, 7], [12, 11, 8], [24, 18, 9], [34, 24.5, 11], [38, 25, 12],
     [43, 20, 12.5], [47, 9, 12], [50, 3, 11], [55, 0, 10]]
)  # fmt: skip
# The relief of a face: elevation, centre (±x, height), and spread (x, height), all in mm.
RELIEF_MM = {
    "brow ridge": (4.0, 27, -15, 20, 8),
    "eye socket": (-8.0, 30, 1, 14, 10),
    "eyeball": (5.0, 31, 0.5, 10, 8),
    "wing of the nose": (6.5, 12.5, 41, 6, 6),
    "cheekbone": (5.0, 44, 26, 17, 14),
    "nasolabial fold": (-2.5, 31, 56, 6, 14),
    "upper lip": (5.0, 0, 62, 22, 5.5),
    "lip line": (-3.5, 0, 68.3, 22, 2.8),
    "lower lip": (5.5, 0, 74.5, 17, 5.5),
    "fold under the lip": (-4.5, 0, 85, 20, 5),
    "chin": (7.0, 0, 100, 17, 11),
}

# Control points 0 to 16, the jaw line from the ear to the chin: angle in degrees, height in mm.
JAW_POINTS_DEG_MM = (
    (75, 0), (75, 17), (75, 34), (75, 52), (75, 72), (74, 91), (71, 105), (65, 113), (58, 113),
    (51, 113), (44, 113), (37, 113), (30, 113), (22.5, 113), (15, 113), (7.5, 113), (0, 113),
)  # fmt: skip
# Control points in pairs: index on the image's left, index of its mirror image, |x|, height (mm).
PAIRED_POINTS_MM = (
    (33, 46, 52, -13), (34, 45, 46, -20), (35, 44, 36, -23.5), (36, 43, 24, -22.5),
    (37, 42, 13, -19), (38, 50, 13, -14), (39, 49, 24, -17), (40, 48, 35, -18.5),
    (41, 47, 45, -16), (60, 72, 45, 0), (61, 71, 39.5, -4.6), (62, 70, 31.5, -6.4),
    (63, 69, 23, -4.4), (64, 68, 16.5, 2), (65, 75, 23, 4.4), (66, 74, 31, 5.4),
    (67, 73, 39, 3.9), (96, 97, 31, -0.4), (55, 59, 13.5, 44), (56, 58, 7, 47),
    (76, 82, 26, 68), (77, 81, 16.5, 62.6), (78, 80, 6.5, 59), (87, 83, 16.5, 75.8),
    (86, 84, 8, 79.8), (88, 92, 22.5, 68.2), (89, 91, 9, 67.4), (95, 93, 9, 68.6),
)  # fmt: skip
# Control points on the midline: index, height (mm).
CENTRE_POINTS_MM = (
    (51, -2), (52, 10.5), (53, 23.5), (54, 36.5), (57, 48.8), (79, 60.6), (85, 81), (90, 67.8),
    (94, 69),
)  # fmt: skip

BROWS, EYES = (slice(33, 42), slice(42, 51)), (slice(60, 68), slice(68, 76))
OUTER_LIPS, INNER_LIPS = slice(76, 88), slice(88, 96)
# Each point of an upper lid with the point of the lower lid below it.
UPPER_LIDS = ((61, 67), (62, 66), (63, 65), (69, 75), (70, 74), (71, 73))
LOWER_LIP = (83, 84, 85, 86, 87, 93, 94, 95)
UPPER_LIP = (77, 78, 79, 80, 81, 89, 90, 91)
PUPILS = (96, 97)
# Of each eye: the outer corner, the inner corner.
EYE_CORNERS = ((60, 64), (72, 68))


def section_mm(height_mm: Floats) -> Floats:
    """Half-width, front and back depth of the average head at `height_mm`: (..., 3)."""
    columns = [np.interp(height_mm, SECTIONS_MM[:, 0], SECTIONS_MM[:, k]) for k in (1, 2, 3)]
    return np.stack(columns, axis=-1)


def chart_of_frontal(points_mm: Floats) -> Floats:
    """Chart coordinates (angle, height) of points (x, height) seen from the front: (N, 2)."""
    half_width = section_mm(points_mm[:, 1])[:, 0]
    angle = np.arcsin(np.clip(points_mm[:, 0] / half_width, -1.0, 1.0))
    return np.column_stack([angle, points_mm[:, 1]])


def ramp(value: Floats, start: float, end: float) -> Floats:
    """The smoothstep polynomial 3t² − 2t³: 0 up to `start`, 1 from `end` on, smooth between."""
    t = np.clip((value - start) / (end - start), 0.0, 1.0)
    smooth: Floats = t * t * (3 - 2 * t)
    return smooth


def bump(x: Floats, height: Floats, centre: Sequence[float], spread: Sequence[float]) -> Floats:
    """A Gaussian hill of elevation 1 at (±x, height) = `centre`, on both sides of the face.

    x, height: of any one shape, mm. spread: (x, height), distances at which it falls to 1/e.
    """
    u, v = (np.abs(x) - centre[0]) / spread[0], (height - centre[1]) / spread[1]
    hill: Floats = np.exp(-u * u - v * v)
    return hill


def nose_ridge(x: Floats, height: Floats, width: float = 1.0, lower_mm: float = 0.0) -> Floats:
    """Elevation of the nose over the cheeks at (x, height), in mm.

    The ridge is `width` times as wide as the average one, and its tip is `lower_mm` lower.
    """
    tip = NOSE_RIDGE_MM[:, 1].argmax()
    tip_height = NOSE_RIDGE_MM[tip, 0]
    ridge_heights = NOSE_RIDGE_MM[:, 0] + lower_mm * np.clip(NOSE_RIDGE_MM[:, 0] / tip_height, 0, 1)
    ridge = np.interp(height, ridge_heights, NOSE_RIDGE_MM[:, 1])
    half_width = np.interp(height, ridge_heights, NOSE_RIDGE_MM[:, 2]) * width
    elevation: Floats = ridge * np.exp(-((np.abs(x) / half_width) ** 2.2))
    return elevation


@cache
def chart_grid() -> tuple[Floats, Floats, Floats]:
    """Angle, height and frontal x of each vertex of the average head: three (R, C)."""
    angle, height = np.meshgrid(COLUMN_ANGLES_RAD, ROW_HEIGHTS_MM)
    return angle, height, section_mm(height)[..., 0] * np.sin(angle)


@cache
def average_head() -> Floats:
    """Vertices of the average head: (R, C, 3) mm."""
    angle, height, x = chart_grid()
    _, front, back = np.moveaxis(section_mm(height), -1, 0)
    cosine = np.cos(angle)
    z = np.where(cosine > 0, front * np.maximum(cosine, 0) ** 0.85, back * cosine)
    lift = ramp(height, -20, 113) * (1 - ramp(height, 120, 175)) * JAW_LIFT_MM
    y = height - lift * (1 - np.maximum(cosine, -0.25)) ** 1.2
    relief = nose_ridge(x, height)
    for elevation, *place in RELIEF_MM.values():
        relief = relief + elevation * bump(x, height, place[:2], place[2:])
    z += np.where(cosine > 0, relief, 0.0)
    return np.stack([x, y, z], axis=-1)


@cache
def frontal_template() -> Floats:
    """The control points of the average face in the frontal plane: (98, 2) mm.

    Rows 0 to 32, the jaw line, are zero: `jaw_chart` gives these points.
    """
    points = np.zeros((98, 2))
    for left, right, x, height in PAIRED_POINTS_MM:
        points[left], points[right] = (-x, height), (x, height)
    for index, height in CENTRE_POINTS_MM:
        points[index] = 0.0, height
    return points


@cache
def jaw_chart() -> Floats:
    """Chart coordinates of the jaw line, which are the same for every face: (33, 2)."""
    right = np.array(JAW_POINTS_DEG_MM, dtype=float) * [np.pi / 180, 1.0]
    left = right * [-1.0, 1.0]
    return np.concatenate([left, right[-2::-1]])
