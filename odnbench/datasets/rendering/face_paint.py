"""The skin of a rendered face, painted on an unrolled chart: lids, lips, brows, hair, clothes.

The control points of the face say where lids, lips, brows and nose are.

Legend: h, w the canvas in texels; M points of a curve.
"""

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Floats, Floats32
from odnbench.datasets.rendering.average_face import (
    BROWS,
    EYES,
    INNER_LIPS,
    OUTER_LIPS,
    PUPILS,
    chart_of_frontal,
)
from odnbench.datasets.rendering.canvas import (
    CHART_RADIUS_MM,
    CHART_TOP_MM,
    EAR_TILE_MM,
    Canvas,
)
from odnbench.datasets.rendering.easel import SHIFT, Colour, fixed_point, shade
from odnbench.datasets.rendering.face_parameters import FaceParameters, Hair, colour_of

# Where the skin's colour departs from its tone, on both sides of the face: (x, height, spread in x,
# spread in height) in mm; the attribute of Skin that gives the strength; change of R G B per unit
# of that strength.
SKIN_ZONES: Mapping[str, tuple[tuple[float, ...], str, tuple[float, float, float]]] = {
    "cheeks": ((42, 36, 18, 16), "blush", (10, -14, -10)),
    "tip of the nose": ((0, 38, 11, 10), "blush", (8, -10, -8)),
    "chin": ((0, 102, 16, 10), "blush", (4, -6, -4)),
    "eye sockets": ((28, -4, 19, 9), "shadows", (-24, -26, -22)),
    "bags under the eyes": ((28, 12, 13, 5), "shadows", (-15, -18, -12)),
    "sides of the nose": ((12, 10, 5, 14), "shadows", (-14, -15, -13)),
    "under the nose": ((0, 52, 12, 4), "shadows", (-26, -26, -24)),
    "under the lip": ((0, 87, 15, 4), "shadows", (-22, -22, -20)),
    "jaw": ((42, 96, 24, 22), "stubble", (-34, -30, -22)),
    "upper lip": ((0, 56, 24, 7), "stubble", (-34, -30, -22)),
    "chin hair": ((0, 100, 26, 14), "stubble", (-34, -30, -22)),
}
# Hairline on the chart: angle in degrees, height in mm.
HAIRLINE_DEG_MM = np.array(
    [[0, -60], [12, -62], [28, -60], [40, -50], [52, -34], [64, -24], [72, -8], [80, 14], [87, 18],
     [90, -14], [104, -16], [110, 10], [118, 60], [140, 100], [180, 112]]
)  # fmt: skip


def _moved(chart: Floats, right_mm: float = 0.0, down_mm: float = 0.0) -> Floats:
    """Chart coordinates (..., 2) moved along the skin, to the image's right and down: (..., 2)."""
    moved: Floats = chart + np.array([right_mm / CHART_RADIUS_MM, down_mm])
    return moved


def _spline(control: Floats, closed: bool = True, steps: int = 5) -> Floats:
    """A Catmull-Rom curve through the points `control` (N, 2), `steps` points for each: (M, 2)."""
    curve: Floats = _spline_matrix(len(control), closed, steps) @ control
    return curve


@cache
def _spline_matrix(n: int, closed: bool, steps: int) -> Floats:
    """Weights of the `n` control points in each point of the curve: (M, n)."""
    t = np.linspace(0, 1, steps, endpoint=False)
    powers = np.stack([np.ones_like(t), t, t**2, t**3], axis=1)
    blend = powers @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    segments = n if closed else n - 1
    matrix = np.zeros((segments * steps + (not closed), n))
    for segment in range(segments):
        for k in range(4):
            point = segment + k - 1
            point = point % n if closed else min(max(point, 0), n - 1)
            matrix[segment * steps : (segment + 1) * steps, point] += blend[:, k]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix


@cache
def _zone_maps(size: int) -> Floats32:
    """How strongly each of SKIN_ZONES acts, from 0 to 1, on each texel of a canvas of a quarter of
    the resolution: (texels, zones).
    """
    canvas = Canvas.blank(size)
    h, w = (side // 4 for side in canvas.paint.shape[:2])
    mm = 4 / canvas.px_per_mm
    height = CHART_TOP_MM + (np.arange(h)[:, None] + 0.5) * mm
    along = np.abs((np.arange(w)[None] + 0.5) * mm - np.pi * CHART_RADIUS_MM)
    maps = []
    for (x, y, sx, sy), _, _ in SKIN_ZONES.values():
        ((angle, _),) = chart_of_frontal(np.array([[x, y]]))
        u, v = (along - angle * CHART_RADIUS_MM) / sx, (height - y) / sy
        maps.append(np.exp(-u * u - v * v))
    return np.stack(maps, axis=-1).reshape(h * w, -1).astype(np.float32)


NOISE_SIDE = 640


@cache
def noise(kind: str, sweep: int = 0) -> NDArray[np.int8]:
    """Fixed noise of standard deviation 32: (NOISE_SIDE, NOISE_SIDE).

    kind: "grain", "skin" or "strands". sweep: strands move this many texels to the right for every
    two texels down.
    """
    rng = np.random.default_rng(20190615)
    white = rng.standard_normal((NOISE_SIDE, NOISE_SIDE), np.float32)
    noise = white
    if kind == "skin":
        noise = _blurred(white, 1.2, 1.2)
    if kind == "strands":
        noise = _blurred(white, 0.7, 11) + _blurred(white, 2.5, 30)
        for row in range(NOISE_SIDE):
            noise[row] = np.roll(noise[row], row * sweep // 2)
    levels: NDArray[np.int8] = np.clip(noise / noise.std() * 32, -127, 127).astype(np.int8)
    return levels


def _blurred(noise: Floats32, across: float, along: float) -> Floats32:
    """`noise` blurred by Gaussians of standard deviations `across` (x) and `along` (y) texels, then
    scaled to a standard deviation of 1.
    """
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), across, sigmaY=along), np.float32)
    smooth /= smooth.std()
    return smooth


def noise_patch(noise: NDArray[np.int8], seed: int, height: int, width: int) -> Floats32:
    """A patch from a random place of `noise`, tiled if it is too small: (height, width)."""
    repeats = (height // NOISE_SIDE + 1, width // NOISE_SIDE + 1)
    wide = noise if repeats == (1, 1) else np.tile(noise, repeats)
    rng = np.random.default_rng(seed)
    y, x = rng.integers(wide.shape[0] - height + 1), rng.integers(wide.shape[1] - width + 1)
    return wide[y : y + height, x : x + width].astype(np.float32)


def _paint_skin(canvas: Canvas, face: FaceParameters, size: int) -> None:
    """Covers the canvas with the skin's tone, its zones and its texture."""
    skin = face.skin
    strengths = {"blush": skin.blush, "shadows": skin.shadows, "stubble": skin.stubble}
    lightness = sum(skin.tone) / 600
    changes = np.array([np.multiply(change, strengths[name] * lightness)
                        for _, name, change in SKIN_ZONES.values()], np.float32)  # fmt: skip
    h, w = canvas.paint.shape[:2]
    soft = (_zone_maps(size) @ changes + np.array(skin.tone, np.float32)).reshape(h // 4, w // 4, 3)
    full = cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR)
    if skin.texture > 0:
        uneven = cv2.merge([noise_patch(noise("skin"), face.seed, h, w)] * 3)
        full = cv2.scaleAdd(uneven, skin.texture * lightness / 32, full)
    cv2.convertScaleAbs(full, dst=canvas.paint)


def _paint_hairy(canvas: Canvas, face: FaceParameters, outlines: list[Floats]) -> None:
    """Fills the outlines on the canvas with strands of hair."""
    h, w = canvas.paint.shape[:2]
    cover = np.zeros((h, w), np.uint8)
    for outline in outlines:
        canvas.fill(outline, (0, 0, 0), into=cover)
    strands = noise_patch(noise("strands", face.hair.sweep), face.seed + 1, h, w)
    contrast = 0.4 * face.hair.strands / 32
    tones = [cv2.convertScaleAbs(strands, alpha=c * contrast, beta=c) for c in face.hair.colour]
    solid = cv2.threshold(cover, 127, 255, cv2.THRESH_BINARY)[1]
    cv2.copyTo(cv2.merge(tones), solid, canvas.paint)


def hairline(hair: Hair, angle: Floats) -> Floats:
    """Height of the smooth hairline at chart angles (rad), before locks make it ragged: mm."""
    degrees = np.abs(np.degrees(angle))
    line = np.interp(degrees, HAIRLINE_DEG_MM[:, 0], HAIRLINE_DEG_MM[:, 1])
    central = np.clip(1.4 - degrees / 60, 0, 1)
    fringe = np.interp(angle, [-0.7, 0.7], hair.fringe_mm)
    heights: Floats = line + (fringe - hair.line_mm) * central
    return heights


def _scalp_outline(face: FaceParameters) -> Floats:
    """The outline of the hair on the chart, ragged by locks and by the strands between them."""
    angle = np.linspace(-np.pi, np.pi, 241)
    rng = np.random.default_rng(face.seed + 2)
    locks = np.interp(np.arange(241), np.arange(0, 241, 10), rng.normal(0, 1, 25))
    ragged = (locks + rng.normal(0, 0.5, 241)) * face.hair.ragged_mm
    edge = np.column_stack([angle, hairline(face.hair, angle) + ragged])
    top = [[np.pi, CHART_TOP_MM - 9], [-np.pi, CHART_TOP_MM - 9]]
    return np.concatenate([edge, top])


def _beard_outlines(face: FaceParameters, chart: Floats) -> list[Floats]:
    """The outlines of beard and moustache on the chart; both move with the mouth."""
    rng = np.random.default_rng(face.seed + 3)
    outlines = []
    if face.hair.beard:
        degrees = np.linspace(-86, 86, 80)
        upper = np.interp(np.abs(degrees), [0, 12, 24, 38, 60, 86], [88, 86, 74, 66, 52, 10])
        upper = (
            upper + np.where(np.abs(degrees) < 18, chart[85, 1] - 80, 0) + rng.normal(0, 1.5, 80)
        )
        edge = np.column_stack([np.radians(degrees), upper])
        under = np.column_stack([np.radians(degrees[::-1]), 118 + rng.normal(0, 2, 80)])
        outlines.append(np.concatenate([edge, under]))
    if face.hair.beard or face.hair.moustache:
        lip, left, right = chart[77:82], chart[76], chart[82]
        ends = [_moved(left, -2.2, 3.5)[None], _moved(right, 2.2, 3.5)[None]]
        outlines.append(
            np.concatenate(
                [ends[0], _moved(lip, down_mm=-7.5), ends[1], [right], lip[::-1], [left]]
            )
        )
    return outlines


def _paint_brows(canvas: Canvas, face: FaceParameters, chart: Floats) -> None:
    brow = np.multiply(face.hair.colour, 0.55) + np.multiply(face.skin.tone, 0.18)
    for part in BROWS:
        outline = _spline(chart[part], steps=4)
        canvas.fill(outline, colour_of(brow))


def _paint_eye(canvas: Canvas, other: Canvas, face: FaceParameters, chart: Floats, k: int) -> None:
    """Paints eye `k` (0: the image's left): ball, iris, pupil and glint inside of the lids, then
    lashes and the lid's fold. `other` is a canvas for what the lids cut off.
    """
    lids, pupil = chart[EYES[k]], chart[PUPILS[k]]
    outline = _spline(lids)
    lower = _spline(lids[[0, 7, 6, 5, 4]], closed=False)
    upper = _spline(lids[:5] if k == 0 else lids[[4, 3, 2, 1, 0]], closed=False)
    tone = face.skin.tone
    opening_mm = float((lids[5:8, 1] - lids[[3, 2, 1], 1]).mean())
    if opening_mm > 1.2:
        mm = canvas.px_per_mm
        centre = other.texels(pupil)
        x, y = (int(v) for v in np.rint(centre))
        reach = int(34 * mm)
        other.paint[max(y - reach, 0) : y + reach, x - reach : x + reach] = (226, 222, 216)
        for radius_mm, colour in (
            (6.2, shade(face.skin.iris, 0.55)), (5.5, face.skin.iris), (2.5, (14, 12, 12)),
        ):  # fmt: skip
            _disc(other, pupil, radius_mm, colour)
        _disc(other, _moved(pupil, -1.6, -2.0), 1.1, (250, 250, 250))
        other.line(_moved(upper, down_mm=1.0), 2.2, (120, 108, 102))
        canvas.inside(outline, other)
        pink = shade((206, 130, 120), sum(tone) / 560)
        canvas.line(lower, 0.7, pink)
    canvas.line(upper, 1.5, shade(tone, 0.22))
    canvas.line(_moved(upper, down_mm=-3.6), 1.0, shade(tone, 0.68))
    canvas.line(_moved(lower, down_mm=2.6), 0.7, shade(tone, 0.82))


def _disc(canvas: Canvas, centre: Floats, radius_mm: float, colour: Colour) -> None:
    x, y = (int(v) for v in np.rint(canvas.texels(centre) * (1 << SHIFT)))
    radius = round(radius_mm * canvas.px_per_mm * (1 << SHIFT))
    cv2.circle(canvas.paint, (x, y), radius, colour, -1, cv2.LINE_AA, SHIFT)


def _paint_nose(canvas: Canvas, face: FaceParameters, chart: Floats) -> None:
    """Paints the nostrils and the creases beside the wings of the nose."""
    dark, crease = shade(face.skin.tone, 0.3), shade(face.skin.tone, 0.76)
    for wing, between, sign in ((55, 56, -1.0), (59, 58, 1.0)):
        t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        hole = _moved(0.6 * chart[between] + 0.4 * chart[wing], down_mm=-1.2)
        ring = np.column_stack([np.cos(t) * 3.3 / CHART_RADIUS_MM,
                                np.sin(t) * 1.5 + sign * np.cos(t) * 0.6])  # fmt: skip
        canvas.fill(hole + ring, dark)
        curve = chart[wing] + np.array([[-2.5, 1.5], [0, 0], [1.8, -3.5], [1, -8], [-1, -11]]) * [
            sign / CHART_RADIUS_MM, 1,
        ]  # fmt: skip
        canvas.line(_spline(curve, closed=False, steps=4), 1.1, crease)


# Lips with a smaller gap meet in a line; a larger one shows the inside of the mouth.
CLOSED_LIPS_MM = 2.0
# Height of the upper teeth.
UPPER_TEETH_MM = 8.5


def _paint_teeth(canvas: Canvas, inner: Floats) -> None:
    """Paints the inside of an open mouth: darkness, tongue, upper teeth. inner: the control points
    of the inner lips, (8, 2).
    """
    outline, top = _spline(inner, steps=4), _spline(inner[:5], closed=False, steps=4)
    upper, lower = inner[2, 1], inner[6, 1]
    canvas.fill(outline, (58, 22, 24))
    tongue = _moved(outline * [1, 0.6], down_mm=0.4 * lower + 0.12 * (lower - upper))
    canvas.fill(tongue, (150, 74, 74))
    edge, highest = top.copy(), top[:, 1].min()
    edge[:, 1] = np.minimum(top[:, 1] + UPPER_TEETH_MM, highest + UPPER_TEETH_MM + 2)
    canvas.fill(np.concatenate([_moved(top, down_mm=-2.0), edge[::-1]]), (226, 218, 206))
    for x in np.linspace(top[0, 0], top[-1, 0], 9)[1:-1]:
        gap = np.array([[x, highest], [x, highest + UPPER_TEETH_MM]])
        canvas.line(gap, 0.35, (150, 130, 120))


def _paint_mouth(canvas: Canvas, other: Canvas, face: FaceParameters, chart: Floats) -> None:
    """Paints the lips, and between them the inside of the mouth or the line where the lips meet.

    `other` is a canvas for what the lips cut off.
    """
    lips, inner = chart[OUTER_LIPS], chart[INNER_LIPS]
    colour = face.skin.lips
    canvas.fill(_spline(lips, steps=4), colour)
    upper = np.concatenate([_spline(lips[:7], False, 4), _spline(inner[:5], False, 4)[::-1]])
    canvas.fill(upper, shade(colour, 0.88))
    gap_mm = float(inner[6, 1] - inner[2, 1])
    if gap_mm > CLOSED_LIPS_MM:
        _paint_teeth(other, inner)
        canvas.inside(_spline(inner, steps=4), other)
    else:
        middle = _spline((inner[:5] + inner[[0, 7, 6, 5, 4]]) / 2, closed=False, steps=4)
        canvas.line(middle, 1.2, shade(colour, 0.42))
    canvas.line(_spline(lips[[0, 11, 10, 9, 8, 7, 6]], False, 4), 0.8, shade(colour, 0.8))
    for corner in (lips[0], lips[6]):
        _disc(canvas, corner, 1.3, shade(colour, 0.6))


def _paint_wrinkles(canvas: Canvas, face: FaceParameters, chart: Floats) -> None:
    """Paints the folds from nose to mouth, deeper with wrinkles and smile, and the forehead's
    lines.
    """
    depth = 0.12 + 0.35 * face.skin.wrinkles + 0.3 * face.shape.amount("smile")
    tone = shade(face.skin.tone, 1 - 0.32 * depth)
    for wing, corner, sign in ((55, 76, -1), (59, 82, 1)):
        start = _moved(chart[wing], sign * 3.6, -4)
        end = _moved(chart[corner], sign * 8, 2)
        middle = _moved((start + end) / 2, sign * 3.6, -1.5)
        canvas.line(_spline(np.array([start, middle, end]), False), 2.0, tone)
    lines = 0.7 * face.skin.wrinkles + 0.5 * face.shape.amount("brows_raised")
    if lines > 0.25:
        x = np.linspace(-0.5, 0.5, 9)
        for height in (-34, -42, -50):
            row = np.column_stack([x, height - 3 * np.cos(6 * x)])
            canvas.line(row, 1.2, shade(face.skin.tone, 1 - 0.16 * min(lines, 1)))


def paint_chart(face: FaceParameters, chart: Floats, size: int) -> Canvas:
    """The painted chart of `face` for a picture of side `size`; chart: control points (98, 2)."""
    canvas, behind = Canvas.blank(size), Canvas.blank(size)
    _paint_skin(canvas, face, size)
    _paint_wrinkles(canvas, face, chart)
    _paint_nose(canvas, face, chart)
    outlines = _beard_outlines(face, chart)
    if face.hair.style != "bald":
        outlines.append(_scalp_outline(face))
    if outlines:
        _paint_hairy(canvas, face, outlines)
    _paint_brows(canvas, face, chart)
    _paint_mouth(canvas, behind, face, chart)
    for k in (0, 1):
        _paint_eye(canvas, behind, face, chart, k)
    collar = np.array([[-np.pi, 166], [-1.6, 172], [-0.6, 186], [0, 192], [0.6, 186], [1.6, 172],
                       [np.pi, 166], [np.pi, 230], [-np.pi, 230]])  # fmt: skip
    canvas.fill(collar, face.scene.clothes)
    _paint_ear(canvas, face)
    return canvas


EAR_CENTRE_MM = np.array([70.0, 17.0, -10.0])
EAR_RADII_MM = (15.5, 29.0)


def ear_outline(ring: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """Points of an ear in its own plane, which is narrower below: mm to the back, mm down.

    ring: share of the ear's size, from 0 at the centre to 1 at the rim. angle: around the centre,
    rad. Both have any one shape, and so have the two results.
    """
    down = -np.cos(angle)
    return ring * EAR_RADII_MM[0] * np.sin(angle) * (1 - 0.28 * down), ring * EAR_RADII_MM[1] * down


def ear_tile(canvas: Canvas, back_mm: Floats, down_mm: Floats) -> Floats:
    """Points of the ear's plane, mm to the back and down → (..., 2) texels of the ear's tile."""
    x = 2 * np.pi * CHART_RADIUS_MM + EAR_TILE_MM / 2 + back_mm
    return np.stack([x, 45.0 + down_mm], axis=-1) * canvas.px_per_mm - 0.5


def _paint_ear(canvas: Canvas, face: FaceParameters) -> None:
    tile_x = int(2 * np.pi * CHART_RADIUS_MM * canvas.px_per_mm)
    tone = colour_of(np.multiply(face.skin.tone, (1.0, 0.93, 0.92)))
    canvas.paint[:, tile_x:] = np.rint(tone)
    t = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for ring, offset, factor in ((0.8, 0.0, 0.78), (0.68, -1.0, 0.95), (0.42, 5.0, 0.68)):
        back, down = ear_outline(np.full(20, ring), t)
        points = [fixed_point(ear_tile(canvas, back - 0.6 * offset, down * 0.95 + offset))]
        cv2.fillPoly(canvas.paint, points, shade(tone, factor), cv2.LINE_AA, SHIFT)
