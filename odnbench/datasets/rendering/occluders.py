"""Occluders of rendered faces: glasses, sunglasses, masks, scarves, hands, objects, hair.

Each occluder is drawn on the picture and on the mask by the same calls, so that the mask is exact.
Clear glasses are not drawn on the mask, since the face is seen through them. Occluders that are
worn follow the head in 3-D; hands and objects are flat and placed relative to a point of the face.

Legend: S the picture's side in px; head frame in mm as in face_model; picture frame x y in px.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.rendering.easel import Colour, Easel, View, shade


@dataclass(frozen=True)
class Occluder:
    """One occluder of a face."""

    kind: str  # a key of OCCLUDERS
    # The point of the face that it is placed at: x, height in the frontal plane.
    anchor_mm: tuple[float, float] = (0.0, 0.0)
    # Factor on its usual size.
    size: float = 1.0
    angle_deg: float = 0.0
    colour: Colour = (40.0, 40.0, 45.0)
    seed: int = 0


def draw_occluder(occluder: Occluder, view: View, easel: Easel) -> None:
    """Draws `occluder` on the easel's picture and mask.

    Raises ValueError for an unknown kind.
    """
    if occluder.kind not in OCCLUDERS:
        known = ", ".join(OCCLUDERS)
        raise ValueError(f"unknown occluder '{occluder.kind}'; known: {known}")
    OCCLUDERS[occluder.kind](occluder, view, easel)


def _ellipse(centre: Any, radii: Any, power: float = 1.0, points: int = 32) -> Floats:
    """A superellipse of `points` points: (points, 2). power: 1 gives an ellipse, towards 0 it
    becomes a rectangle.
    """
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    ring = np.column_stack([np.cos(t), np.sin(t)])
    ellipse: Floats = np.sign(ring) * np.abs(ring) ** power * radii + np.asarray(centre)
    return ellipse


def _hull(points_px: Floats) -> Floats:
    """(N, 2) px → the corners of the convex hull, (M, 2) px."""
    hull: Floats = cv2.convexHull(points_px.astype(np.float32))[:, 0].astype(np.float64)
    return hull


def _flat(occluder: Occluder, view: View, outline_mm: Floats) -> Floats:
    """An outline in mm around 0, turned, scaled and moved to the occluder's anchor: (N, 2) px."""
    a = np.radians(occluder.angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    centre = view.on_skin([occluder.anchor_mm])[0]
    flat: Floats = outline_mm @ turn.T * (occluder.size * view.px_per_mm) + centre
    return flat


# Worn on the head -----------------------------------------------------------------------------

LENS_CENTRE_MM, LENS_RADII_MM = (32.0, 4.0), (25.0, 19.0)
# Lenses lie on the surface z = LENS_PLANE_MM − LENS_CURVE · x², in the head's frame.
LENS_PLANE_MM, LENS_CURVE = 100.0, 0.007


def _spectacle_points(outline_mm: Floats, view: View) -> tuple[Floats, float]:
    """An outline on the lenses' surface: (N, 2) px in the picture, and its mean depth in mm."""
    x, y = outline_mm.T
    turned = view.turn(np.column_stack([x, y, LENS_PLANE_MM - LENS_CURVE * x * x]))
    return view.project(turned), float(turned[:, 2].mean())


def _spectacles(occluder: Occluder, view: View, easel: Easel, opacity: float) -> None:
    """Two lenses, rims, bridge and temples; the nose hides what is behind it."""
    rng = np.random.default_rng(occluder.seed)
    power = rng.uniform(0.55, 1.0)
    radii = np.array(LENS_RADII_MM) * occluder.size * [1.0, rng.uniform(0.8, 1.1)]
    rim_px = rng.uniform(1.6, 3.2) * view.px_per_mm
    # Above 0 where the side of the head at the image's right is turned to the camera.
    facing = view.rotation[2, 0]
    for side in (-1, 1) if facing > 0 else (1, -1):
        arm = np.array([[54, -2, 76], [66, -4, 50], [72, -6, 8]]) * [side, 1, 1]
        if side * facing > -0.1:
            easel.stroke(view.of_head(arm), rim_px, occluder.colour)
        centre = (side * LENS_CENTRE_MM[0], LENS_CENTRE_MM[1])
        lens, depth_mm = _spectacle_points(_ellipse(centre, radii, power), view)
        easel.glass(lens, occluder.colour, opacity, depth_mm + 6)
        if opacity > 0.5:
            glint, _ = _spectacle_points(_ellipse((centre[0] - 8, -4), radii * 0.3), view)
            easel.glass(glint, (150, 160, 175), 0.25, depth_mm + 6)
        elif side * facing > -0.75:
            easel.stroke(lens, rim_px, occluder.colour, closed=True)
    bridge = np.array([[-9.0, 0], [-4, -3], [4, -3], [9, 0]]) * [occluder.size, 1]
    easel.stroke(_spectacle_points(bridge, view)[0], rim_px, occluder.colour)


def _sunglasses(occluder: Occluder, view: View, easel: Easel) -> None:
    _spectacles(occluder, view, easel, opacity=0.94)


def _clear_glasses(occluder: Occluder, view: View, easel: Easel) -> None:
    _spectacles(occluder, view, replace(easel, opaque=False), opacity=0.07)


def _wrapped(view: View, x_mm: float, top_mm: Any, bottom_mm: float, lift_mm: float) -> Floats:
    """A cloth on the face as rows of points from top to bottom: (rows, columns, 2) px.

    x_mm: its half-width. top_mm: heights of its upper edge, from the middle to the sides.
    bottom_mm: height of its lower edge. lift_mm: its distance from the skin.
    """
    x = np.linspace(-x_mm, x_mm, 15)
    top = np.interp(np.abs(x), np.linspace(0, x_mm, len(top_mm)), top_mm)
    rows = [top + (bottom_mm - top) * t for t in np.linspace(0, 1, 9)]
    return np.stack([view.on_skin(np.column_stack([x, row]), lift_mm) for row in rows])


def _mask(occluder: Occluder, view: View, easel: Easel) -> None:
    """A surgical or cloth mask from the bridge of the nose to below the chin, with its straps."""
    rows = _wrapped(view, 56 * occluder.size, [24, 27, 34, 42], 116.0, 5.0)
    facing = view.rotation[2, 0]
    for side, column in ((-1, 0), (1, -1)):
        if side * facing > -0.2:
            ear = view.of_head(np.array([[side * 74.0, 12, 0]]))
            for row in (rows[0], rows[-3]):
                strap = np.concatenate([row[column][None], ear])
                easel.stroke(strap, 1.8 * view.px_per_mm, (228, 228, 228))
    easel.polygon(_hull(rows.reshape(-1, 2)), occluder.colour)
    for k in (2, 4, 6):
        easel.stroke(rows[k], view.px_per_mm, shade(occluder.colour, 0.82))
        easel.stroke(rows[k] + [0, view.px_per_mm], view.px_per_mm, shade(occluder.colour, 1.1))
    easel.stroke(rows[0], 1.6 * view.px_per_mm, shade(occluder.colour, 0.9))


def _scarf(occluder: Occluder, view: View, easel: Easel) -> None:
    """A scarf wound around neck and lower face, with folds and stripes."""
    rng = np.random.default_rng(occluder.seed)
    top = 58 + 26 * (1 - occluder.size) + rng.uniform(-6, 6, 4)
    rows = _wrapped(view, 64.0, top, 112.0, 13.0)
    below = rows[-1] + [0, 55 * view.px_per_mm]
    outline = np.concatenate([rows.reshape(-1, 2), below * [1.0, 1.0]])
    easel.polygon(_hull(outline), occluder.colour)
    all_rows = [*rows[1:], *(rows[-1] + (below - rows[-1]) * t for t in (0.3, 0.6, 0.9))]
    stripe = rng.uniform(0.5, 1.5)
    for k, row in enumerate(all_rows):
        tilt = np.linspace(-6, 6, len(row))[:, None] * [0.0, view.px_per_mm]
        factor, width = (stripe, 5.0) if k % 3 == 0 else (0.85, 1.5)
        easel.stroke(row + tilt, width * view.px_per_mm, shade(occluder.colour, factor))


def _hair_lock(occluder: Occluder, view: View, easel: Easel) -> None:
    """A lock of hair from the hairline over forehead, eye or cheek."""
    rng = np.random.default_rng(occluder.seed)
    side = -1.0 if occluder.anchor_mm[0] < 0 else 1.0
    tip_mm, width = occluder.anchor_mm[1], 44 * occluder.size
    t = np.linspace(0, 1, 12)
    strands = []
    for k in np.linspace(0, 1, 15):
        end = tip_mm - 34 * (2 * k - 0.9) ** 2 + rng.normal(0, 4)  # the lock tapers
        x = 4 + width * k + (12 - 14 * k) * t**1.5 + rng.normal(0, 2) * t
        height = -74 + 14 * k + (end + 74 - 14 * k) * t
        strands.append(view.on_skin(np.column_stack([side * np.minimum(x, 62), height]), 7.0))
    for left, right in pairwise(strands):
        easel.polygon(np.concatenate([left, right[::-1]]), shade(occluder.colour, 0.9))
    for strand in strands:
        tone = shade(occluder.colour, rng.uniform(0.65, 1.35))
        easel.stroke(strand, rng.uniform(1.0, 2.4) * view.px_per_mm, tone)


# Held before the face --------------------------------------------------------------------------


def _hand(occluder: Occluder, view: View, easel: Easel) -> None:
    """The back of a hand with four fingers and a thumb, and the forearm below it."""
    rng = np.random.default_rng(occluder.seed)
    skin, dark = occluder.colour, shade(occluder.colour, 0.68)
    mm = occluder.size * view.px_per_mm
    wrist = np.array([[0.0, 50], [rng.uniform(-40, 40), 330]])
    easel.stroke(_flat(occluder, view, wrist), 56 * mm, dark)
    easel.stroke(_flat(occluder, view, wrist), 53 * mm, skin)
    palm = _ellipse((0, 22), (40, 42), 0.8)
    easel.polygon(_flat(occluder, view, palm), dark)
    bend, spread = rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.25)
    fingers = [(x, -8.0, x + spread * x, -8 - reach * bend, 17.5)
               for x, reach in ((-29, 62), (-10, 74), (9, 70), (27, 54))]  # fmt: skip
    fingers.append((32, 34, 58, 34 - 46 * bend, 19.0))
    for x0, y0, x1, y1, width in fingers:
        ends = np.array([[x0, y0 + 14], [(x0 + x1) / 2 + 1, (y0 + y1) / 2], [x1, y1]])
        line = _flat(occluder, view, ends)
        easel.stroke(line, (width + 2.0) * mm, dark)
        easel.stroke(line, width * mm, skin)
        easel.stroke(line[1:], 0.4 * width * mm, shade(skin, 1.06))
        nail = _ellipse((x1, y1 - 2), (width * 0.3, width * 0.36), 0.85, 14)
        easel.polygon(_flat(occluder, view, nail), shade(skin, 1.15))
    easel.polygon(_flat(occluder, view, palm * 0.97), skin)
    for x in (-21, -1, 19):
        easel.stroke(_flat(occluder, view, np.array([[x, 6.0], [x, -10.0]])), 1.2 * mm, dark)


def _phone(occluder: Occluder, view: View, easel: Easel) -> None:
    body = _ellipse((0, 0), (37, 74), 0.18)
    easel.polygon(_flat(occluder, view, body), occluder.colour)
    easel.polygon(_flat(occluder, view, body * [0.9, 0.95]), shade(occluder.colour, 1.35))
    for y in (-58, -44):
        easel.polygon(_flat(occluder, view, _ellipse((-22, y), (6, 6))), (18, 18, 22))


def _book(occluder: Occluder, view: View, easel: Easel) -> None:
    cover = np.array([[-75.0, -55], [75, -55], [75, 130], [-75, 130]])
    easel.polygon(_flat(occluder, view, cover), occluder.colour)
    easel.polygon(_flat(occluder, view, cover * [0.8, 0.7] + [0, 6]), shade(occluder.colour, 1.3))
    for y in (-20, -6, 20, 32, 44):
        line = np.array([[-44.0, y], [44, y]])
        easel.stroke(_flat(occluder, view, line), 4 * view.px_per_mm, shade(occluder.colour, 0.7))


def _cup(occluder: Occluder, view: View, easel: Easel) -> None:
    body = np.array([[-38.0, -34], [38, -34], [30, 62], [-30, 62]])
    handle = _ellipse((42, 12), (18, 24))
    easel.stroke(_flat(occluder, view, handle), 8 * view.px_per_mm, occluder.colour, closed=True)
    easel.polygon(_flat(occluder, view, body), occluder.colour)
    easel.polygon(_flat(occluder, view, body * [0.25, 1] - [18, 0]), shade(occluder.colour, 1.2))
    easel.polygon(_flat(occluder, view, body * [0.35, 1] + [20, 0]), shade(occluder.colour, 0.8))
    easel.polygon(_flat(occluder, view, _ellipse((0, -34), (38, 8))), shade(occluder.colour, 0.9))


def _microphone(occluder: Occluder, view: View, easel: Easel) -> None:
    shaft = np.array([[0.0, 10], [0, 190]])
    easel.stroke(_flat(occluder, view, shaft), 24 * view.px_per_mm, (38, 38, 42))
    easel.polygon(_flat(occluder, view, _ellipse((0, 0), (25, 27))), occluder.colour)
    for k in range(-3, 4):
        line = np.array([[-20.0, 7 * k + 6], [20, 7 * k - 6]])
        tone = shade(occluder.colour, 0.6)
        easel.stroke(_flat(occluder, view, line), view.px_per_mm, tone)


def _blob(occluder: Occluder, view: View, easel: Easel) -> None:
    """A rounded shape with spots, as some object close to the camera."""
    rng = np.random.default_rng(occluder.seed)
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 36 + sum(rng.normal(0, 6 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in (1, 2, 3))
    outline = np.column_stack([radius * np.cos(t) * rng.uniform(0.8, 1.8), radius * np.sin(t)])
    easel.polygon(_flat(occluder, view, outline), shade(occluder.colour, 0.75))
    easel.polygon(_flat(occluder, view, outline * 0.85 - [3, 4]), occluder.colour)
    for _ in range(rng.integers(0, 6)):
        spot = _ellipse(rng.uniform(-20, 20, 2), (5, 5), 1.0, 12)
        easel.polygon(_flat(occluder, view, spot), shade(occluder.colour, 1.4))


OCCLUDERS: dict[str, Callable[[Occluder, View, Easel], None]] = {
    "clear glasses": _clear_glasses,
    "hair": _hair_lock,
    "sunglasses": _sunglasses,
    "mask": _mask,
    "scarf": _scarf,
    "phone": _phone,
    "book": _book,
    "cup": _cup,
    "microphone": _microphone,
    "blob": _blob,
    "hand": _hand,
}

_OBJECTS = ("phone", "book", "cup", "microphone", "blob")
# Where hands and objects are held, by the part of the face that they hide: x, height.
_PLACES_MM = {
    "mouth": (0, 72), "chin": (8, 100), "left cheek": (-45, 52), "right cheek": (45, 52),
    "left eye": (-33, 2), "right eye": (33, 2), "nose": (0, 40), "forehead": (0, -40),
}  # fmt: skip


def sample_occluder(
    rng: np.random.Generator, skin: Colour, hair: Colour | None, size: float
) -> Occluder:
    """A random occluder for a face of these colours; hair: None for a bald head.

    size: factor on its size; with 1 it hides a moderate part of the face.
    """
    kind = rng.choice(
        ["sunglasses", "hair", "hand", "object", "mask", "scarf"],
        p=[0.2, 0.16, 0.26, 0.22, 0.09, 0.07],
    )
    place = list(_PLACES_MM.values())[rng.integers(len(_PLACES_MM))]
    jitter = rng.normal(0, 8, 2)
    anchor = (float(place[0] + jitter[0]), float(place[1] + jitter[1]))
    colour = _any_colour(rng)
    seed, angle = int(rng.integers(2**31)), float(rng.normal(0, 28))
    held = size * float(rng.uniform(0.75, 1.15))
    if kind == "object":
        thing = _OBJECTS[rng.integers(len(_OBJECTS))]
        return Occluder(thing, anchor, held * 0.85, angle, colour, seed)
    if kind == "hand":
        tone = skin if rng.random() < 0.8 else shade(skin, float(rng.uniform(0.7, 1.2)))
        lean = float(np.sign(anchor[0]) * rng.uniform(-10, 50))
        return Occluder("hand", anchor, held, -lean, tone, seed)
    if kind == "hair" and hair is None:
        kind = "sunglasses"
    if kind == "hair" and hair is not None:
        anchor = (float(rng.choice([-1, 1])), float(rng.uniform(-12, 40) * size))
        return Occluder("hair", anchor, min(1.4, held), 0.0, hair, seed)
    if kind == "sunglasses":
        dark = shade(colour, float(rng.uniform(0.08, 0.3)))
        return Occluder("sunglasses", size=float(rng.uniform(0.95, 1.2)), colour=dark, seed=seed)
    cloth = [(150.0, 195.0, 215.0), (235.0, 235.0, 235.0), (35.0, 35.0, 40.0), colour]
    shown = cloth[rng.integers(4)] if kind == "mask" else colour
    return Occluder(str(kind), size=float(rng.uniform(0.85, 1.05)), colour=shown, seed=seed)


def _any_colour(rng: np.random.Generator) -> Colour:
    """Any colour, more often a muted one."""
    grey, saturation = rng.uniform(30, 220), rng.uniform(0, 1) ** 1.5
    r, g, b = (float(c) for c in grey * (1 - saturation) + rng.uniform(0, 255, 3) * saturation)
    return r, g, b
