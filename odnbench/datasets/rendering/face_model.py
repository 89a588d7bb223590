"""A parametric 3-D head: geometry, identity, expression, and the landmarks that lie on it.

The head, neck and shoulders are one grid of vertices over a chart (angle, height), which
average_face.py describes. Lids, lips, brows and landmarks are given by 98 control points in the
same chart. Each mode of identity or expression moves vertices and control points together and
linearly, as in a morphable model (Blanz and Vetter, SIGGRAPH 1999). Departure: the modes are
written by hand from anthropometric proportions, so no scan of a person, and no licence, is behind
them.

Legend: R rows, C columns of the grid; x to the image's right, y down, z to the viewer, in mm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.rendering.average_face import (
    COLUMN_ANGLES_RAD,
    EYE_CORNERS,
    EYES,
    LOWER_LIP,
    PUPILS,
    ROW_HEIGHTS_MM,
    UPPER_LIDS,
    UPPER_LIP,
    average_head,
    bump,
    chart_grid,
    chart_of_frontal,
    frontal_template,
    jaw_chart,
    nose_ridge,
    ramp,
)

# The head turns about this point of the neck.
NECK_PIVOT_MM = np.array([0.0, 105.0, -25.0])

# Each landmark of a scheme is the mean of these control points. The mean is taken in the chart, so
# that the landmark lies on the skin.
_WFLW_OF_68 = (
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60),
    60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96),
)  # fmt: skip
SCHEME_POINTS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "98": tuple((i,) for i in range(98)),
    "68": tuple((i,) for i in _WFLW_OF_68),
    "29": (
        (33,), (46,), (37, 38), (42, 50), (35,), (39, 40), (44,), (48, 49), (60,), (72,), (64,),
        (68,), (62,), (66,), (70,), (74,), (96,), (97,), (55,), (59,), (54,), (57,), (76,), (82,),
        (79,), (90,), (94,), (85,), (16,),
    ),
    "19": (
        (33,), (35, 39, 35, 40), (37, 38), (42, 50), (44, 48, 44, 49), (46,), (60,), (60, 64),
        (64,), (68,), (68, 72), (72,), (55,), (54,), (59,), (76,), (90, 94), (82,), (16,),
    ),
}  # fmt: skip

IDENTITY_MODES = (
    "face_width", "jaw_width", "chin_length", "chin_forward", "forehead", "cheek_fullness",
    "cheekbones", "brow_ridge", "nose_length", "nose_width", "nose_height", "eye_spacing",
    "eye_size", "eye_tilt", "brow_height", "brow_arch", "brow_thickness", "mouth_width",
    "upper_lip", "lower_lip", "mouth_height",
)  # fmt: skip
# Share of the average width by which a face grows per standard deviation of "face_width".
FACE_WIDTH_PER_SD = 0.045
EXPRESSION_MODES = (
    "jaw_open", "lips_part", "smile", "frown", "pucker", "brows_raised", "brows_knit",
)  # fmt: skip


@dataclass(frozen=True)
class FaceShape:
    """Coefficients of the modes of one face, and the state of its eyes."""

    # In standard deviations.
    identity: tuple[float, ...] = (0.0,) * len(IDENTITY_MODES)
    # From 0 to 1.
    expression: tuple[float, ...] = (0.0,) * len(EXPRESSION_MODES)
    # How far each eye's lids are closed, the image's left eye first: −0.3 wide open, 0 relaxed,
    # 1 shut.
    closed: tuple[float, float] = (0.0, 0.0)
    # Shift of both pupils to the image's right and down, each from −1 to 1.
    gaze: tuple[float, float] = (0.0, 0.0)

    def amount(self, mode: str) -> float:
        """The coefficient of a mode of identity or expression, by name."""
        if mode in IDENTITY_MODES:
            return self.identity[IDENTITY_MODES.index(mode)]
        return self.expression[EXPRESSION_MODES.index(mode)]


def surface(shape: FaceShape) -> Floats:
    """Vertices of the head of `shape`, in the head's own frame: (R, C, 3) mm."""
    base, modes, _ = _linear_model()
    coefficients = np.array([*shape.identity, *shape.expression])
    vertices: Floats = base + np.tensordot(coefficients, modes, axes=1)  # (R, C, 3)
    return vertices


def control_points(shape: FaceShape) -> Floats:
    """The 98 control points of `shape` in the chart: (98, 2) as angle in rad and height in mm."""
    _, _, modes = _linear_model()
    coefficients = np.array([*shape.identity, *shape.expression])
    frontal = frontal_template() + np.tensordot(coefficients, modes, axes=1)  # (98, 2)
    # Where the modes would push the lower lip into the upper one, the lower lip gives way.
    for upper, lower in ((89, 95), (90, 94), (91, 93)):
        frontal[lower, 1] = max(frontal[lower, 1], frontal[upper, 1] + 0.4)
    for upper, lower in UPPER_LIDS:
        closed = shape.closed[0 if upper < 68 else 1]
        shut = 0.85 * frontal[lower] + 0.15 * frontal[upper]
        frontal[upper] += closed * (shut - frontal[upper])
        frontal[lower, 1] -= 0.1 * max(closed, 0.0) * (frontal[lower, 1] - frontal[upper, 1])
    for pupil, (outer, inner) in zip(PUPILS, EYE_CORNERS, strict=True):
        half_width = abs(frontal[outer, 0] - frontal[inner, 0]) / 2
        frontal[pupil] += half_width * np.array([0.5, 0.25]) * shape.gaze
    chart = chart_of_frontal(frontal)
    chart[:33] = jaw_chart()
    return chart


def scheme_points(chart_98: Floats, scheme: str) -> Floats:
    """Chart coordinates of the landmarks of `scheme`: (L, 2), from those of the control points.

    Raises ValueError for an unknown scheme.
    """
    if scheme not in SCHEME_POINTS:
        raise ValueError(f"unknown scheme '{scheme}'; known: {', '.join(SCHEME_POINTS)}")
    points: Floats = _scheme_means(scheme) @ chart_98
    return points


@cache
def _scheme_means(scheme: str) -> Floats:
    """Weights of the control points in each landmark of `scheme`: (L, 98)."""
    weights = np.zeros((len(SCHEME_POINTS[scheme]), 98))
    for landmark, group in enumerate(SCHEME_POINTS[scheme]):
        for point in group:
            weights[landmark, point] += 1 / len(group)
    return weights


def on_surface(vertices: Floats, chart: Floats) -> Floats:
    """Values of a grid at chart coordinates, interpolated bilinearly in each cell: (N, K).

    vertices: (R, C, K), for example positions with K = 3. chart: (N, 2).
    """
    row = np.interp(chart[:, 1], ROW_HEIGHTS_MM, np.arange(len(ROW_HEIGHTS_MM)))
    column = np.interp(chart[:, 0], COLUMN_ANGLES_RAD, np.arange(len(COLUMN_ANGLES_RAD)))
    r = np.minimum(row.astype(int), len(ROW_HEIGHTS_MM) - 2)
    c = np.minimum(column.astype(int), len(COLUMN_ANGLES_RAD) - 2)
    s, t = (row - r)[:, None], (column - c)[:, None]
    top = (1 - t) * vertices[r, c] + t * vertices[r, c + 1]
    bottom = (1 - t) * vertices[r + 1, c] + t * vertices[r + 1, c + 1]
    points: Floats = (1 - s) * top + s * bottom  # (N, K)
    return points


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Floats:
    """Rotation matrix (3, 3): yaw turns the face to the image's right, pitch up, roll clockwise."""
    (sy, sp, sr), (cy, cp, cr) = (
        f(np.radians([yaw_deg, pitch_deg, roll_deg])) for f in (np.sin, np.cos)
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix: Floats = about_z @ about_x @ about_y
    return matrix


@cache
def _linear_model() -> tuple[Floats, Floats, Floats]:
    """The average head (R, C, 3), and the displacements that one unit of each of the K modes
    gives to vertices (K, R, C, 3) and to control points (K, 98, 2).
    """
    modes = {**_identity_modes(), **_expression_modes()}
    names = IDENTITY_MODES + EXPRESSION_MODES
    return (
        average_head(),
        np.stack([modes[name][0] for name in names]),
        np.stack([modes[name][1] for name in names]),
    )


def _move(dx: Floats | float = 0.0, dy: Floats | float = 0.0, dz: Floats | float = 0.0) -> Floats:
    """A displacement of all vertices by dx, dy, dz, each one number or (R, C): (R, C, 3) mm."""
    shape = chart_grid()[0].shape
    return np.stack([np.broadcast_to(d, shape) for d in (dx, dy, dz)], axis=-1)


def _shift(
    indices: Sequence[int], dx: float = 0.0, dy: float = 0.0, scale_x: float = 0.0
) -> Floats:
    """A displacement of the control points `indices`, none of the others: (98, 2) mm.

    dx: outwards from the midline. dy: downwards. scale_x: outwards, as a share of the point's x.
    """
    template, shift = frontal_template(), np.zeros((98, 2))
    chosen = list(indices)
    x = template[chosen, 0]
    shift[chosen, 0] = dx * np.sign(x) + scale_x * x
    shift[chosen, 1] = dy
    return shift


def _identity_modes() -> dict[str, tuple[Floats, Floats]]:
    """Mode → displacement of vertices and of control points by one standard deviation."""
    angle, height, x = chart_grid()
    front = np.maximum(np.cos(angle), 0.0)
    head = 1 - ramp(height, 118, 140)
    still, fixed = _move(), _shift([])
    brows, eyes, mouth = range(33, 51), [*range(60, 76), 96, 97], range(76, 96)
    nose_base = range(55, 60)
    template = frontal_template()
    eye_size = np.zeros((98, 2))
    for eye, pupil in zip(EYES, PUPILS, strict=True):
        eye_size[eye] = 0.09 * (template[eye] - template[pupil])
    arch = sum(_shift(pair, dy=-1.5) for pair in ((35, 40), (36, 39), (44, 48), (43, 49)))
    longer = nose_ridge(x, height, lower_mm=2.5) - nose_ridge(x, height)
    broader = nose_ridge(x, height, width=1.12) - nose_ridge(x, height)
    wings = front * 2.0 * bump(x, height, (15, 41), (5, 6))
    thicker = _shift(range(34, 38), dy=-0.8) + _shift(range(38, 42), dy=0.8)
    thicker += _shift(range(42, 46), dy=-0.8) + _shift(range(47, 51), dy=0.8)
    chin_forward = _move(dz=front * 3.5 * bump(x, height, (0, 102), (24, 16)))
    cheeks = bump(angle * 70, height, (62, 62), (30, 34)) * head
    full = (_move(dx=4.0 * cheeks * np.sin(angle), dz=2.5 * cheeks * front), fixed)
    lower_face = ramp(height, 10, 113) * head
    return {
        "face_width": (_move(dx=FACE_WIDTH_PER_SD * x * head), fixed),
        "jaw_width": (_move(dx=0.065 * x * lower_face), fixed),
        "chin_length": (_move(dy=4.0 * ramp(height, 70, 113) * head * front), fixed),
        "chin_forward": (chin_forward, fixed),
        "forehead": (_move(dy=-6.0 * ramp(height, -25, -110)), fixed),
        "cheek_fullness": full,
        "cheekbones": (_move(dz=front * 2.5 * bump(x, height, (46, 26), (16, 13))), fixed),
        "brow_ridge": (_move(dz=front * 2.5 * bump(x, height, (24, -15), (24, 8))), fixed),
        "nose_length": (
            _move(dz=front * longer),
            _shift(nose_base, dy=2.4) + _shift((53, 54), dy=2.0),
        ),
        "nose_width": (_move(dz=front * (broader + wings)), _shift(nose_base, scale_x=0.12)),
        "nose_height": (_move(dz=front * 0.16 * nose_ridge(x, height)), fixed),
        "eye_spacing": (still, _shift([*eyes, *brows], dx=1.3)),
        "eye_size": (still, eye_size),
        "eye_tilt": (still, _shift((60, 72, 61, 71, 67, 73), dy=-1.2) + _shift((64, 68), dy=0.4)),
        "brow_height": (still, _shift(brows, dy=-2.0)),
        "brow_arch": (still, np.asarray(arch)),
        "brow_thickness": (still, thicker),
        "mouth_width": (still, _shift(mouth, scale_x=0.07)),
        "upper_lip": (still, _shift(range(77, 82), dy=-1.2)),
        "lower_lip": (still, _shift(range(83, 88), dy=1.4)),
        "mouth_height": (still, _shift(mouth, dy=-1.6)),
    }  # fmt: skip


def _expression_modes() -> dict[str, tuple[Floats, Floats]]:
    """Mode → displacement of vertices and of control points by the full expression."""
    angle, height, x = chart_grid()
    front = np.maximum(np.cos(angle), 0.0)
    head = 1 - ramp(height, 118, 136)
    still = _move()
    jaw = ramp(height, 60, 106) * head * front
    apples = front * bump(x, height, (36, 34), (14, 13))
    corners, lower_lids = (76, 82, 88, 92), (65, 66, 67, 73, 74, 75)
    beside = (77, 81, 87, 83)
    inner_brow, outer_brow = (37, 38, 36, 39, 42, 50, 43, 49), (33, 34, 46, 45, 41, 47)
    lips = front * bump(x, height, (0, 69), (20, 12))
    smile = _shift(corners, dx=6.5, dy=-5.5) + _shift(beside, dx=3.5, dy=-2.5)
    smile += _shift((79, 78, 80), dy=1.2) + _shift((83, 84, 85, 86, 87), dy=-1.2)
    smile += _shift(lower_lids, dy=-1.4) + _shift((55, 59), dx=1.2, dy=-0.8)
    # The jaw's vertices carry the skin of the lower lip down in part: its control points, which
    # move on that skin, add the rest of the opening.
    open_mouth = _shift(LOWER_LIP, dy=19.0) + _shift((88, 92), dy=6.0, scale_x=-0.12)
    open_mouth += _shift((76, 82), dy=6.0, scale_x=-0.1) + _shift((83, 87, 93, 95), dy=-3.0)
    part = _shift(LOWER_LIP, dy=4.0) + _shift(UPPER_LIP, dy=-2.6) + _shift((89, 91), dy=0.6)
    return {
        "jaw_open": (_move(dy=20.0 * jaw, dz=-6.0 * jaw), open_mouth),
        "lips_part": (still, part),
        "smile": (_move(dz=3.5 * apples, dy=-1.5 * apples), smile),
        "frown": (still, _shift(corners, dx=-0.5, dy=4.5) + _shift(beside, dy=1.5)),
        "pucker": (_move(dz=6.0 * lips), _shift(range(76, 96), scale_x=-0.34)),
        "brows_raised": (still, _shift(range(33, 51), dy=-6.0) + _shift(outer_brow, dy=0.8)),
        "brows_knit": (still, _shift(inner_brow, dx=-2.2, dy=3.2)),
    }
