"""Rendered faces: the embedded data set. Sampling of faces, camera, light and drawing.

    face = render_face(seed=0, index=7, scheme="68", size=192, difficulty="challenging")

A face is `FaceParameters`, sampled from (seed, index, difficulty) alone, and drawn from them alone:
the skin is painted on a chart (lids, lips, brows, hair where the control points of face_model
are), wrapped around the head's mesh, posed, lit per vertex, and rasterised from far to near.

Points are fixed to the skin: the jaw line keeps its mesh points in large yaw, it does not slide
to the visible contour as 2-D annotation does. A point is occluded where an occluder's mask covers
its pixel, or where the head itself (nose, far side, long hair) is nearer to the camera by more
than SELF_OCCLUSION_MM. Angles: yaw > 0 turns to the image's right, pitch > 0 looks up, roll > 0
turns clockwise.

Legend: S the picture's side in px, R×C the head's grid, V vertices, T triangles, L landmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.datasets import face_model as fm
from odnbench.datasets.face_model import FaceShape, Floats
from odnbench.datasets.occluders import (
    SHIFT,
    Colour,
    Easel,
    Occluder,
    View,
    draw_occluder,
    fixed_point,
    sample_occluder,
    shade,
)  # fmt: skip

RENDERER_VERSION = 1  # part of the cache key: raise it whenever a pixel or a point changes
SELF_OCCLUSION_MM = 30.0  # less is the rim of the cheek, which annotators call visible
NO_DEPTH_MM = -1e4  # depth of the background

Image = NDArray[np.uint8]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class RenderedFace:
    """A picture and what is known of it; all coordinates 0-based, pixel centres, image frame."""

    image: Image  # (S, S, 3) RGB
    points: Floats  # (L, 2) x y
    occluded: NDArray[np.bool_]  # (L,) by an occluder or by the head itself
    occlusion_mask: NDArray[np.bool_]  # (S, S) where an occluder covers the face region
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True)
class Pose:
    """The head's pose and where the camera sees it; the body follows the head in part."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    distance_mm: float = 900.0
    box_share: float = 0.56  # longer side of the 68 points' box over S
    offset_share: tuple[float, float] = (0.0, 0.02)  # of the box's centre from the picture's, of S


@dataclass(frozen=True)
class Light:
    """One distant key light, even light from all around, and what the camera makes of it."""

    direction: tuple[float, float, float] = (0.0, -0.35, 0.94)  # towards the light
    ambient: float = 0.55
    brightness: float = 1.05
    key_tint: Colour = (1.0, 1.0, 1.0)
    shadow_tint: Colour = (0.16, 0.14, 0.14)  # what remains where no light falls


@dataclass(frozen=True)
class Skin:
    """The colours of a face."""

    tone: Colour = (205.0, 160.0, 132.0)
    lips: Colour = (178.0, 100.0, 95.0)
    iris: Colour = (92.0, 66.0, 44.0)
    blush: float = 0.5
    shadows: float = 0.6  # darkness around the eyes
    wrinkles: float = 0.0
    texture: float = 0.0  # grey levels of unevenness
    stubble: float = 0.0
    gloss: float = 0.10


@dataclass(frozen=True)
class Hair:
    """Hair of head, brows and chin."""

    style: str = "short"  # "bald", "short", "long"
    colour: Colour = (58.0, 42.0, 32.0)
    line_mm: float = 0.0  # the hairline's height over the average
    volume_mm: float = 8.0
    length_mm: float = 90.0  # lower end of long hair, below the eye line
    ragged_mm: float = 0.0
    beard: bool = False
    moustache: bool = False
    strands: float = 0.0  # contrast of strands, 0 to 1
    sweep: int = 0  # how far strands lean to the image's right, −2 to 2
    fringe_mm: tuple[float, float] = (
        0.0,
        0.0,
    )  # how far it falls over the forehead, left and right


@dataclass(frozen=True)
class Scene:
    """What is behind the face, and the camera's faults."""

    kind: str = "plain"  # "plain", "blobs", "lights", "room"
    colours: tuple[Colour, Colour, Colour] = ((150.0, 155.0, 160.0),) * 3
    clothes: Colour = (70.0, 85.0, 110.0)
    noise: float = 0.0  # grey levels
    blur_px: float = 0.0  # standard deviation at S = 160
    soft_colour: bool = False  # colour at half resolution, as in JPEG
    grey: bool = False


@dataclass(frozen=True)
class FaceParameters:
    """All that decides a face; the default one is neutral, frontal, evenly lit and unoccluded."""

    shape: FaceShape = field(default_factory=FaceShape)
    pose: Pose = Pose()
    light: Light = Light()
    skin: Skin = Skin()
    hair: Hair = Hair()
    scene: Scene = Scene()
    occluders: tuple[Occluder, ...] = ()
    seed: int = 0  # of the textures


@dataclass(frozen=True)
class Difficulty:
    """How far the sampled faces go; spreads are standard deviations."""

    key: int  # part of the random key; never change it
    yaw_deg: float
    yaw_limit_deg: float
    pitch_deg: float
    roll_deg: float
    expression: float  # scale of all expressions
    occluders: tuple[float, ...]  # probability of 0, 1, 2 occluders
    occluder_size: float


DIFFICULTIES: Mapping[str, Difficulty] = {
    "train": Difficulty(1, 20, 75, 9, 9, 0.8, (0.79, 0.19, 0.02), 0.9),
    "common": Difficulty(2, 11, 40, 6, 6, 0.7, (0.91, 0.09, 0.0), 0.75),
    "challenging": Difficulty(3, 36, 88, 15, 18, 1.3, (0.44, 0.47, 0.09), 1.1),
}


def render_face(
    seed: int, index: int, *, scheme: str = "68", size: int = 192, difficulty: str = "train"
) -> RenderedFace:
    """Face `index` of the endless set `seed`: the same for the same arguments, byte for byte.

    The scheme ("68", "29", "19", "98") decides only which points come out, never the picture.
    Raises ValueError for an unknown scheme or difficulty.
    """
    rng = np.random.default_rng([seed, index, _difficulty(difficulty).key])
    return draw(sample_parameters(rng, difficulty), scheme, size)


# Sampling ---------------------------------------------------------------------------------------

SKIN_TONES = np.array(
    [[78, 52, 40], [104, 70, 53], [136, 94, 71], [168, 121, 93], [196, 149, 120], [216, 173, 146],
     [232, 195, 172], [242, 212, 195]]
)  # fmt: skip
HAIR_COLOURS = np.array(
    [[22, 18, 17], [38, 28, 23], [62, 44, 33], [98, 68, 44], [150, 112, 70], [196, 164, 112],
     [120, 62, 36], [150, 148, 146], [214, 212, 208]]
)  # fmt: skip
# How often each mood is seen, and the range of each mode of expression in it.
MOODS: Mapping[str, tuple[float, Mapping[str, tuple[float, float]]]] = {
    "neutral": (0.24, {}),
    "smile": (0.22, {"smile": (0.7, 1.0)}),
    "laugh": (0.16, {"smile": (0.9, 1.0), "lips_part": (0.7, 1.0), "jaw_open": (0.0, 0.6)}),
    "talk": (0.14, {"jaw_open": (0.1, 0.7), "lips_part": (0.2, 0.6)}),
    "surprise": (0.08, {"jaw_open": (0.6, 1.0), "brows_raised": (0.8, 1.0)}),
    "sad": (0.06, {"frown": (0.7, 1.0), "brows_knit": (0.4, 0.8)}),
    "kiss": (0.04, {"pucker": (0.7, 1.0)}),
    "cross": (0.06, {"brows_knit": (0.8, 1.0), "frown": (0.3, 0.7), "lips_part": (0.0, 0.6)}),
}
IRIS_COLOURS = np.array([[58, 38, 26], [84, 56, 36], [104, 92, 56], [88, 112, 132], [92, 118, 92]])
GLASSES_SHARE = 0.14


def sample_parameters(rng: np.random.Generator, difficulty: str) -> FaceParameters:
    """A random face of `difficulty`; raises ValueError for an unknown one."""
    level = _difficulty(difficulty)
    age = rng.random()
    shape = _sample_shape(rng, level)
    skin = _sample_skin(rng, age)
    hair = _sample_hair(rng, age, skin.tone)
    light = _sample_light(rng)
    number = rng.choice(len(level.occluders), p=level.occluders)
    locks = None if hair.style == "bald" else hair.colour
    occluders = [sample_occluder(rng, skin.tone, locks, level.occluder_size) for _ in range(number)]
    if rng.random() < GLASSES_SHARE and all(o.kind != "sunglasses" for o in occluders):
        frame, seed = _colour(rng.uniform(7, 84, 3)), int(rng.integers(2**31))
        occluders.insert(0, Occluder("clear glasses", colour=frame, seed=seed))
    worn_first = sorted(occluders, key=lambda o: o.kind == "hand")
    return FaceParameters(
        shape, _sample_pose(rng, level), light, skin, hair, _sample_scene(rng), tuple(worn_first),
        int(rng.integers(2**31)),
    )  # fmt: skip


def _difficulty(name: str) -> Difficulty:
    if name not in DIFFICULTIES:
        raise ValueError(f"unknown difficulty '{name}'; known: {', '.join(DIFFICULTIES)}")
    return DIFFICULTIES[name]


def _sample_shape(rng: np.random.Generator, level: Difficulty) -> FaceShape:
    identity = np.clip(rng.normal(0, 1, len(fm.IDENTITY_MODES)), -2.3, 2.3)
    amounts = dict.fromkeys(fm.EXPRESSION_MODES, 0.0)
    strength = level.expression * rng.uniform(0.5, 1.0)
    mood = str(rng.choice(list(MOODS), p=[share for share, _ in MOODS.values()]))
    for mode, (least, most) in MOODS[mood][1].items():
        amounts[mode] = min(1.15, strength * rng.uniform(least, most))
    if rng.random() < 0.2:
        amounts["brows_raised"] += rng.uniform(0, 0.6)
    lids = rng.normal(0.0, 0.16) + 0.2 * amounts["smile"] - 0.2 * (mood == "surprise")
    if rng.random() < 0.05 * level.expression:
        lids = 1.0
    wink = 1.0 if rng.random() < 0.02 * level.expression else lids
    left, right = np.clip([lids, wink], -0.3, 1.0).tolist()
    across, down = np.clip(rng.normal(0, 0.3, 2), -0.9, 0.9).tolist()
    return FaceShape(
        tuple(identity.tolist()), tuple(amounts.values()), (left, right), (across, down)
    )


def _sample_pose(rng: np.random.Generator, level: Difficulty) -> Pose:
    yaw, pitch, roll = rng.normal(0, 1, 3) * [level.yaw_deg, level.pitch_deg, level.roll_deg]
    limit = level.yaw_limit_deg
    return Pose(
        float(np.clip(yaw, -limit, limit)),
        float(np.clip(pitch, -32, 32)),
        float(np.clip(roll, -45, 45)),
        float(rng.uniform(600, 1800)),
        float(rng.uniform(0.49, 0.6)),
        (float(rng.normal(0, 0.025)), float(rng.normal(0.05, 0.015))),
    )


def _sample_light(rng: np.random.Generator) -> Light:
    azimuth, elevation = rng.normal(0, 0.65), rng.normal(0.45, 0.35)
    direction = (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(-np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
    warmth = rng.normal(0, 0.06)
    key = (1 + float(warmth), 1.0, 1 - float(warmth))
    cold = float(rng.normal(0, 0.02))
    shadow = (0.15 - cold, 0.14, 0.14 + cold)
    return Light(
        direction, float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.85, 1.2)), key, shadow
    )


def _sample_skin(rng: np.random.Generator, age: float) -> Skin:
    tone = _between(SKIN_TONES, rng.random()) * rng.normal(1, 0.03) * rng.normal(1, 0.012, 3)
    pinkness = rng.uniform(0.15, 0.7) + (0.4 if rng.random() < 0.15 else 0)
    lips = (
        tone * (1 - pinkness) + np.array([tone[0] * 0.88, tone[1] * 0.5, tone[2] * 0.55]) * pinkness
    )
    return Skin(
        _colour(tone), _colour(lips * 0.93), _colour(_between(IRIS_COLOURS, rng.random())),
        float(rng.uniform(0.1, 1.0)), float(rng.uniform(0.2, 1.0)),
        float(np.clip((age - 0.45) * 1.8 + rng.normal(0, 0.1), 0, 1)),
        float(rng.uniform(1.0, 4.0)), float(rng.choice([0.0, rng.uniform(0.3, 1)], p=[0.7, 0.3])),
        float(rng.uniform(0.03, 0.2)),
    )  # fmt: skip


def _sample_hair(rng: np.random.Generator, age: float, tone: Colour) -> Hair:
    style = str(rng.choice(["bald", "short", "long"], p=[0.1, 0.5, 0.4]))
    lightest = 0.35 if sum(tone) < 330 else 1.0  # dark skin seldom has fair hair
    colour = _between(HAIR_COLOURS[:7], lightest * rng.random() ** 1.5)
    grey = np.clip((age - 0.7) * 4 + rng.normal(0, 0.2), 0, 1)
    colour = colour * (1 - grey) + _between(HAIR_COLOURS[-2:], rng.random()) * grey
    volume = rng.choice([rng.uniform(4, 12), rng.uniform(12, 28)], p=[0.65, 0.35])
    facial = style != "long"
    receding = rng.uniform(0, 22) * (age > 0.5) * facial
    fringe = rng.choice([0.0, rng.uniform(8, 26)], p=[0.65, 0.35]) * (receding < 5)
    parted = rng.uniform(-1, 1)
    return Hair(
        style, _colour(colour), float(rng.normal(4, 4) + receding),
        float(volume), float(rng.uniform(20, 210)), float(rng.uniform(1, 5)),
        bool(facial and rng.random() < 0.22), bool(facial and rng.random() < 0.25),
        float(rng.uniform(0.3, 0.8)), int(rng.integers(-2, 3)),
        (float(fringe * min(1, 1 - parted)), float(fringe * min(1, 1 + parted))),
    )  # fmt: skip


def _sample_scene(rng: np.random.Generator) -> Scene:
    vivid = 0.5 * rng.random() ** 2
    base = rng.uniform(0, 255, 3) * vivid + rng.uniform(20, 235) * (1 - vivid)
    colours = [
        _colour(base + rng.normal(0, 40) + rng.normal(0, 40 * vivid + 8, 3)) for _ in range(3)
    ]
    clothes = rng.uniform(15, 230) * 0.6 + rng.uniform(0, 255, 3) * 0.4
    return Scene(
        str(rng.choice(["plain", "blobs", "lights", "room"], p=[0.15, 0.4, 0.15, 0.3])),
        (colours[0], colours[1], colours[2]),
        _colour(clothes),
        float(rng.choice([rng.uniform(0.5, 3), rng.uniform(3, 9)], p=[0.8, 0.2])),
        float(rng.choice([0.0, rng.uniform(0.4, 1.1)], p=[0.6, 0.4])),
        bool(rng.random() < 0.5),
        bool(rng.random() < 0.06),
    )


def _between(anchors: NDArray[Any], t: float) -> Floats:
    """The colour at `t` from 0 to 1 along a row of colours: (3,)."""
    place = t * (len(anchors) - 1)
    return np.array([np.interp(place, np.arange(len(anchors)), anchors[:, k]) for k in range(3)])


def _colour(rgb: NDArray[Any]) -> Colour:
    r, g, b = np.clip(rgb, 0, 255).tolist()
    return r, g, b


# Painting the skin -------------------------------------------------------------------------------

CHART_RADIUS_MM = 72.0  # of the cylinder that the painted chart is wrapped around
CHART_TOP_MM, CHART_BOTTOM_MM = -127.0, 205.0
EAR_TILE_MM = 44.0  # a square to the right of the chart shows the ear

# Where a face's colour departs from its tone: centre (±x, height), spread, and change of R G B
# per unit of the strength that the third column names.
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


@dataclass(frozen=True)
class Canvas:
    """The painted chart: skin, hair and clothes, unrolled. Points go in as frontal mm or chart."""

    paint: Image  # (H, W, 3)
    px_per_mm: float

    @classmethod
    def blank(cls, size: int) -> "Canvas":
        """A canvas with texels about as large as the pixels of a picture of `size`."""
        px_per_mm = size / 185.0
        height = round((CHART_BOTTOM_MM - CHART_TOP_MM) * px_per_mm)
        width = round((2 * np.pi * CHART_RADIUS_MM + EAR_TILE_MM) * px_per_mm)
        return cls(np.zeros((height, width, 3), np.uint8), px_per_mm)

    def texels(self, chart: Floats) -> Floats:
        """Chart (angle, height) to canvas coordinates: (..., 2) px."""
        clothes = np.array([np.inf, CHART_BOTTOM_MM - 3])  # below, all is of one colour
        scale = np.array([CHART_RADIUS_MM, 1.0]) * self.px_per_mm
        origin = np.array([np.pi * CHART_RADIUS_MM, -CHART_TOP_MM]) * self.px_per_mm - 0.5
        texels: Floats = np.minimum(chart, clothes) * scale + origin
        return texels

    def fill(self, chart: Floats, colour: Colour, into: Image | None = None) -> None:
        """A filled polygon."""
        points = [fixed_point(self.texels(chart))]
        target = self.paint if into is None else into
        cv2.fillPoly(target, points, colour if into is None else 255, cv2.LINE_AA, SHIFT)

    def line(self, chart: Floats, width_mm: float, colour: Colour) -> None:
        """An open line; thinner than a texel it pales into what is below it."""
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
        """Copy what `other` shows inside of `outline`, with a soft edge."""
        points = self.texels(outline)
        x0, y0 = np.floor(points.min(axis=0)).astype(int) - 2
        x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 3
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(cover, [fixed_point(points - [x0, y0])], 255, cv2.LINE_AA, SHIFT)
        weight = cover[..., None] * np.float32(1 / 255)
        part = np.s_[y0:y1, x0:x1]
        blend = self.paint[part] * (1 - weight) + other.paint[part] * weight
        self.paint[part] = np.rint(blend).astype(np.uint8)


def _moved(chart: Floats, right_mm: float = 0.0, down_mm: float = 0.0) -> Floats:
    """Chart points, moved along the skin: same shape."""
    moved: Floats = chart + np.array([right_mm / CHART_RADIUS_MM, down_mm])
    return moved


def _spline(control: Floats, closed: bool = True, steps: int = 5) -> Floats:
    """A Catmull-Rom curve through `control` (N, 2): (M, 2)."""
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
    """Where each of SKIN_ZONES is, on a canvas at a quarter of the resolution: (h · w, zones)."""
    canvas = Canvas.blank(size)
    h, w = (side // 4 for side in canvas.paint.shape[:2])
    mm = 4 / canvas.px_per_mm
    height = CHART_TOP_MM + (np.arange(h)[:, None] + 0.5) * mm
    along = np.abs((np.arange(w)[None] + 0.5) * mm - np.pi * CHART_RADIUS_MM)
    maps = []
    for (x, y, sx, sy), _, _ in SKIN_ZONES.values():
        ((angle, _),) = fm.chart_of_frontal(np.array([[x, y]]))
        u, v = (along - angle * CHART_RADIUS_MM) / sx, (height - y) / sy
        maps.append(np.exp(-u * u - v * v))
    return np.stack(maps, axis=-1).reshape(h * w, -1).astype(np.float32)


NOISE_SIDE = 640


@cache
def _noise(kind: str, sweep: int = 0) -> NDArray[np.int8]:
    """Fixed noise of standard deviation 32, NOISE_SIDE square: "grain", "skin" or "strands".

    Strands lean by `sweep` texels to the side for two texels down.
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
    """Noise blurred by these standard deviations, of standard deviation 1 again."""
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), across, sigmaY=along), np.float32)
    smooth /= smooth.std()
    return smooth


def _noise_patch(noise: NDArray[np.int8], seed: int, height: int, width: int) -> Floats32:
    """A patch from anywhere in `noise`, repeated if it is too small: (height, width)."""
    repeats = (height // NOISE_SIDE + 1, width // NOISE_SIDE + 1)
    wide = noise if repeats == (1, 1) else np.tile(noise, repeats)
    rng = np.random.default_rng(seed)
    y, x = rng.integers(wide.shape[0] - height + 1), rng.integers(wide.shape[1] - width + 1)
    return wide[y : y + height, x : x + width].astype(np.float32)


def _paint_skin(canvas: Canvas, face: FaceParameters, size: int) -> None:
    """The tone, its zones, and the unevenness of skin, all over the canvas."""
    skin = face.skin
    strengths = {"blush": skin.blush, "shadows": skin.shadows, "stubble": skin.stubble}
    lightness = sum(skin.tone) / 600
    changes = np.array([np.multiply(change, strengths[name] * lightness)
                        for _, name, change in SKIN_ZONES.values()], np.float32)  # fmt: skip
    h, w = canvas.paint.shape[:2]
    soft = (_zone_maps(size) @ changes + np.array(skin.tone, np.float32)).reshape(h // 4, w // 4, 3)
    full = cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR)
    if skin.texture > 0:
        uneven = cv2.merge([_noise_patch(_noise("skin"), face.seed, h, w)] * 3)
        full = cv2.scaleAdd(uneven, skin.texture * lightness / 32, full)
    cv2.convertScaleAbs(full, dst=canvas.paint)


def _paint_hairy(canvas: Canvas, face: FaceParameters, outlines: list[Floats]) -> None:
    """Fill the outlines on the canvas with strands of hair."""
    h, w = canvas.paint.shape[:2]
    cover = np.zeros((h, w), np.uint8)
    for outline in outlines:
        canvas.fill(outline, (0, 0, 0), into=cover)
    strands = _noise_patch(_noise("strands", face.hair.sweep), face.seed + 1, h, w)
    contrast = 0.4 * face.hair.strands / 32
    tones = [cv2.convertScaleAbs(strands, alpha=c * contrast, beta=c) for c in face.hair.colour]
    solid = cv2.threshold(cover, 127, 255, cv2.THRESH_BINARY)[1]
    cv2.copyTo(cv2.merge(tones), solid, canvas.paint)


def _hairline(hair: Hair, angle: Floats) -> Floats:
    """Height of the hairline at chart angles, without raggedness: mm."""
    degrees = np.abs(np.degrees(angle))
    line = np.interp(degrees, HAIRLINE_DEG_MM[:, 0], HAIRLINE_DEG_MM[:, 1])
    central = np.clip(1.4 - degrees / 60, 0, 1)
    fringe = np.interp(angle, [-0.7, 0.7], hair.fringe_mm)
    heights: Floats = line + (fringe - hair.line_mm) * central
    return heights


def _scalp_outline(face: FaceParameters) -> Floats:
    """The hair's edge on the chart: locks, and strands between them."""
    angle = np.linspace(-np.pi, np.pi, 241)
    rng = np.random.default_rng(face.seed + 2)
    locks = np.interp(np.arange(241), np.arange(0, 241, 10), rng.normal(0, 1, 25))
    ragged = (locks + rng.normal(0, 0.5, 241)) * face.hair.ragged_mm
    edge = np.column_stack([angle, _hairline(face.hair, angle) + ragged])
    top = [[np.pi, CHART_TOP_MM - 9], [-np.pi, CHART_TOP_MM - 9]]
    return np.concatenate([edge, top])


def _beard_outlines(face: FaceParameters, chart: Floats) -> list[Floats]:
    """Beard and moustache; they follow the mouth."""
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
    for part in fm.BROWS:
        outline = _spline(chart[part], steps=4)
        canvas.fill(outline, _colour(brow))


def _paint_eye(canvas: Canvas, other: Canvas, face: FaceParameters, chart: Floats, k: int) -> None:
    """One eye: ball, iris, pupil and glint inside of the lids, then lashes and the lid's fold."""
    lids, pupil = chart[fm.EYES[k]], chart[fm.PUPILS[k]]
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
    """Nostrils and the creases of the wings."""
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


CLOSED_LIPS_MM = 2.0
UPPER_TEETH_MM = 8.5


def _paint_teeth(canvas: Canvas, inner: Floats) -> None:
    """What an open mouth shows: darkness, tongue, upper teeth; `inner`: the inner lips (8, 2)."""
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
    """Lips, and between them teeth, tongue and darkness, or the line where they meet."""
    lips, inner = chart[fm.OUTER_LIPS], chart[fm.INNER_LIPS]
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
    """Folds from nose to mouth, deeper with age and smile, and lines on a forehead."""
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
    """The face unrolled, for the mesh to wear; `chart` are the control points (98, 2)."""
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


# The mesh and its picture ------------------------------------------------------------------------


@dataclass(frozen=True)
class Patch:
    """A grid of vertices with what the rasteriser needs: positions, texels, and shadow."""

    vertices: Floats  # (R, C, 3) head frame, mm
    texels: Floats  # (R, C, 2) px of the canvas
    openness: Floats  # (R, C) share of the ambient light that arrives
    two_sided: bool = False


def _head_patch(face: FaceParameters, canvas: Canvas) -> Patch:
    """Head, neck and shoulders; hair lifts the scalp."""
    angle, height = _grid_chart()
    vertices = fm.surface(face.shape)
    if face.hair.style != "bald":
        rise = np.interp(np.abs(angle), [0.8, 1.6], [46, 16])  # mm from the hairline to full volume
        above = np.clip((_hairline(face.hair, angle) - height + 3) / rise, 0, 1)
        rng = np.random.default_rng(face.seed + 4)
        bumps = 1 + 0.02 * face.hair.ragged_mm * rng.normal(0, 1, angle.shape)
        bumps[:, -1] = bumps[:, 0]  # the same vertices, behind
        out = vertices - [0, -30, -5]
        out /= np.linalg.norm(out, axis=-1, keepdims=True)
        vertices = vertices + out * (above * bumps * face.hair.volume_mm)[..., None]
    return Patch(vertices, canvas.texels(np.stack([angle, height], -1)), _openness())


@cache
def _grid_chart() -> tuple[Floats, Floats]:
    angle, height = np.meshgrid(fm.COLUMN_ANGLES_RAD, fm.ROW_HEIGHTS_MM)
    return angle, height


@cache
def _openness() -> Floats:
    """Ambient light: less under the jaw, on the neck, and in the corners of eyes and nose."""
    angle, height = _grid_chart()
    below = np.interp(height, [104, 116, 126, 150, 185, 205], [1, 0.62, 0.5, 0.66, 0.9, 1.0])
    front = np.maximum(np.cos(angle), 0)
    for x, y, sx, sy, depth in ((0.24, 1, 0.14, 7, 0.2), (0.0, 53, 0.2, 6, 0.16)):
        below = below - depth * front * np.exp(
            -(((np.abs(angle) - x) / sx) ** 2) - ((height - y) / sy) ** 2
        )
    return below


CURTAIN_EDGE_RAD = 1.52  # long hair hangs behind this angle of the chart


def _curtain_patch(face: FaceParameters, canvas: Canvas) -> Patch:
    """Long hair: a curtain from temple to temple around the back, hanging from the scalp."""
    hair = face.hair
    angle, height = np.meshgrid(
        np.linspace(CURTAIN_EDGE_RAD, 2 * np.pi - CURTAIN_EDGE_RAD, 25),
        np.linspace(-88, hair.length_mm, 14),
    )
    half_width, front, back = np.moveaxis(fm.section_mm(np.minimum(height, -10.0)), -1, 0)
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


EAR_CENTRE_MM = np.array([70.0, 17.0, -10.0])
EAR_RADII_MM = (15.5, 29.0)


def _ear_outline(ring: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """Back- and downward mm in the plane of the ear at a share of its size: pointed below."""
    down = -np.cos(angle)
    return ring * EAR_RADII_MM[0] * np.sin(angle) * (1 - 0.28 * down), ring * EAR_RADII_MM[1] * down


def _ear_tile(canvas: Canvas, back_mm: Floats, down_mm: Floats) -> Floats:
    """Where the ear's skin is on the canvas: (..., 2) px."""
    x = 2 * np.pi * CHART_RADIUS_MM + EAR_TILE_MM / 2 + back_mm
    return np.stack([x, 45.0 + down_mm], axis=-1) * canvas.px_per_mm - 0.5


def _paint_ear(canvas: Canvas, face: FaceParameters) -> None:
    tile_x = int(2 * np.pi * CHART_RADIUS_MM * canvas.px_per_mm)
    tone = _colour(np.multiply(face.skin.tone, (1.0, 0.93, 0.92)))
    canvas.paint[:, tile_x:] = np.rint(tone)
    t = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for ring, offset, factor in ((0.8, 0.0, 0.78), (0.68, -1.0, 0.95), (0.42, 5.0, 0.68)):
        back, down = _ear_outline(np.full(20, ring), t)
        points = [fixed_point(_ear_tile(canvas, back - 0.6 * offset, down * 0.95 + offset))]
        cv2.fillPoly(canvas.paint, points, shade(tone, factor), cv2.LINE_AA, SHIFT)


def _ear_patch(face: FaceParameters, canvas: Canvas, side: int) -> Patch:
    """An ear: a shallow shell that stands off the head; `side` is −1 at the image's left."""
    ring, angle = np.meshgrid([0.0, 0.35, 0.65, 0.88, 1.0], np.linspace(0, 2 * np.pi, 15))
    back, down = _ear_outline(ring, angle)
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
    return Patch(vertices, _ear_tile(canvas, back, down), openness, two_sided=True)


@cache
def _grid_triangles(rows: int, columns: int) -> NDArray[np.intp]:
    """Triangles of a grid, its diagonals mirrored about the middle column: (T, 3)."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (r * columns + c).ravel()
    b, d, e = a + 1, a + columns, a + columns + 1
    left = (c.ravel() < (columns - 1) / 2)[:, None]
    first = np.where(left, np.column_stack([a, b, d]), np.column_stack([a, b, e]))
    second = np.where(left, np.column_stack([b, e, d]), np.column_stack([a, e, d]))
    return np.concatenate([first, second])


def _normals(vertices: Floats) -> Floats:
    """Unit normals of a grid, outwards for a head seen in y down: (R, C, 3)."""
    down, along = np.empty_like(vertices), np.empty_like(vertices)
    down[1:-1] = vertices[2:] - vertices[:-2]
    down[0], down[-1] = vertices[1] - vertices[0], vertices[-1] - vertices[-2]
    along[:, 1:-1] = vertices[:, 2:] - vertices[:, :-2]
    along[:, 0], along[:, -1] = vertices[:, 1] - vertices[:, 0], vertices[:, -1] - vertices[:, -2]
    normal = np.cross(along, down)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    return normal


def _pose_patch(patch: Patch, view: View, face: FaceParameters) -> Floats:
    """Vertices in the camera's frame: the head turns, the trunk follows in part: (R, C, 3)."""
    pose = face.pose
    trunk = fm.rotation(0.4 * pose.yaw_deg, 0.1 * pose.pitch_deg, 0.3 * pose.roll_deg)
    centred = patch.vertices - view.pivot_mm
    stiff = np.interp(patch.vertices[..., 1], [85, 175], [0, 1])[..., None]
    if patch.vertices.shape[:2] == _openness().shape:  # the jaw belongs to the head
        stiff = stiff * (_grid_chart()[1] > fm.JAW_ROW_MM)[..., None]
    posed: Floats = centred @ view.rotation.T * (1 - stiff) + centred @ trunk.T * stiff
    return posed


def _light_patch(posed: Floats, patch: Patch, face: FaceParameters) -> tuple[Floats, Floats]:
    """Diffuse light with its share of ambient, and gloss, per vertex: two (R, C)."""
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
    corners: Floats, values: Floats, triangles: NDArray[np.intp], size: int
) -> tuple[Floats32, NDArray[np.bool_]]:
    """Values interpolated over triangles, later triangles over earlier ones.

    corners: (V, 2) px. values: (V, K). triangles: (T, 3), of positive area with y down.
    Returns (K, S, S) and where any triangle is (S, S). A pixel belongs to a triangle whose
    inside holds its centre; every row of a triangle is a span, and all spans are filled at once.
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
    top[row[span] * size + column] = owner[span]  # the last one stays
    covered = np.flatnonzero(top >= 0)
    owner_of = top[covered]
    py, px = np.divmod(covered.astype(np.float32), np.float32(size))
    picture = np.zeros((values.shape[1], size * size), np.float32)
    for layer, (slope_x, slope_y, constant) in zip(picture, _planes(x, y, values[triangles.T]),
                                                   strict=True):  # fmt: skip
        layer[covered] = slope_x[owner_of] * px + slope_y[owner_of] * py + constant[owner_of]
    return picture.reshape(-1, size, size), (top >= 0).reshape(size, size)


def _least(corners: Floats) -> Floats:
    """The least of three, per triangle: (3, T) to (T,)."""
    least: Floats = np.minimum(np.minimum(corners[0], corners[1]), corners[2])
    return least


def _ranges(first: NDArray[np.int32], last: NDArray[np.int32]) -> tuple[Any, Any]:
    """For ranges first..last, all their members: whose each is, and its value."""
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


def _image(array: Any) -> Image:
    """What OpenCV returns, for the type checker: a picture of bytes."""
    return np.asarray(array, np.uint8)


def _draw_head(
    face: FaceParameters, view: View, canvas: Canvas, backdrop: Image
) -> tuple[Image, Floats32]:
    """The head before the backdrop (S, S, 3), and its depth (S, S)."""
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
    albedo = _image(cv2.remap(canvas.paint, layers[0], layers[1], cv2.INTER_LINEAR))
    lit = _lit(albedo, layers[2], layers[3], face.light)
    picture = _image(cv2.copyTo(lit, covered.view(np.uint8), backdrop))
    depth = np.where(covered, layers[4], np.float32(NO_DEPTH_MM))
    return _soft_edges(picture, depth), depth


def _lit(albedo: Image, diffuse: Floats32, gloss: Floats32, light: Light) -> Image:
    """Colours in the light: tinted from shadow to key, with gloss on top: (S, S, 3)."""
    key = np.multiply(light.key_tint, light.brightness)
    to_rgb = np.column_stack([key - light.shadow_tint, light.shadow_tint])
    tint = cv2.transform(diffuse[..., None], to_rgb)
    colour = cv2.multiply(albedo, tint, dtype=cv2.CV_32F)
    return _image(cv2.convertScaleAbs(cv2.scaleAdd(cv2.merge([gloss] * 3), 255, colour)))


def _shown(
    corners: Floats,
    depth: Floats,
    triangles: NDArray[np.intp],
    two_sided: NDArray[np.bool_],
    size: int,
) -> NDArray[np.intp]:
    """Triangles in the picture that face the camera, positive, from far to near: (T, 3)."""
    x, y = corners.T[:, triangles.T]  # (3, T) each
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    inside = (_least(y) < size) & (_least(x) < size) & (_least(-x) < 0) & (_least(-y) < 0)
    kept = np.flatnonzero(inside & ((area > 1e-6) | two_sided & (area < -1e-6)))
    shown, turned = triangles[kept], area[kept] < 0
    shown[turned] = shown[turned][:, ::-1]
    return shown[np.argsort(depth[shown.T].sum(axis=0), kind="stable")]


def _soft_edges(picture: Image, depth: Floats32) -> Image:
    """Smooth the stair steps where the depth jumps; elsewhere the picture stays."""
    near = np.maximum(depth, -400)
    jump = cv2.morphologyEx(near, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 12
    smooth = cv2.GaussianBlur(picture, (3, 3), 0.75)
    return _image(cv2.copyTo(smooth, jump.view(np.uint8), picture))


def _backdrop(scene: Scene, seed: int, size: int) -> Image:
    """What is behind: drawn small and enlarged, which puts it out of focus: (S, S, 3)."""
    first, second, third = scene.colours
    if scene.kind == "plain":
        t = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
        ramp = np.array(first, np.float32) * (1 - t) + np.array(second, np.float32) * t
        return np.broadcast_to(ramp.astype(np.uint8), (size, size, 3)).copy()
    rng = np.random.default_rng(seed + 6)
    small = np.empty((48, 48, 3), np.uint8)
    small[:] = np.rint(first)
    for _ in range(rng.integers(6, 22)):
        colour = (second, third)[rng.integers(2)]
        tone = shade(colour, float(rng.uniform(0.5, 1.5)))
        x, y = (int(v) for v in rng.integers(-4, 52, 2))
        if scene.kind == "room":
            w, h = (int(v) for v in rng.integers(3, 26, 2))
            cv2.rectangle(small, (x, y), (x + w, y + h), tone, -1)
        else:
            largest = 5 if scene.kind == "lights" else 13
            bright = shade(tone, 1.5) if scene.kind == "lights" else tone
            cv2.circle(small, (x, y), int(rng.integers(2, largest)), bright, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(0.5, 2.0)))
    return _image(cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC))


def _finish(picture: Image, scene: Scene, seed: int) -> Image:
    """The camera: blur, coarse colour, noise, or no colour at all."""
    size = len(picture)
    if scene.blur_px > 0:
        picture = _image(cv2.GaussianBlur(picture, (0, 0), scene.blur_px * size / 160))
    if scene.soft_colour:
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
        half = cv2.resize(luma, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
        luma[..., 1:] = cv2.resize(half, (size, size), interpolation=cv2.INTER_LINEAR)[..., 1:]
        picture = _image(cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB))
    if scene.grey:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        picture = _image(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    if scene.noise > 0:
        grain = cv2.merge([_noise_patch(_noise("grain"), seed + k, size, size) for k in (7, 8, 9)])
        noisy = cv2.scaleAdd(grain, scene.noise / 32, picture.astype(np.float32))
        picture = _image(cv2.convertScaleAbs(noisy))
    return picture


def _view(face: FaceParameters, vertices: Floats, chart: Floats, size: int) -> View:
    """The camera that gives the box of the 68 points the size and place that the pose asks for."""
    pose = face.pose
    rotation = fm.rotation(pose.yaw_deg, pose.pitch_deg, pose.roll_deg)
    unit = View(rotation, fm.NECK_PIVOT_MM, pose.distance_mm, 1.0, np.zeros(2), vertices)
    points = unit.of_head(fm.on_surface(vertices, fm.scheme_points(chart, "68")))
    low, high = points.min(axis=0), points.max(axis=0)
    px_per_mm = pose.box_share * size / float((high - low).max())
    middle = (size - 1) / 2 + np.array(pose.offset_share) * size
    origin = middle - px_per_mm * (low + high) / 2
    return View(rotation, fm.NECK_PIVOT_MM, pose.distance_mm, px_per_mm, origin, vertices)


def draw(parameters: FaceParameters, scheme: str, size: int) -> RenderedFace:
    """The picture of a face of side `size`, and the landmarks of `scheme` on it.

    Raises ValueError for an unknown scheme.
    """
    face = parameters
    vertices, chart = fm.surface(face.shape), fm.control_points(face.shape)
    landmarks = fm.on_surface(vertices, fm.scheme_points(chart, scheme))  # (L, 3) mm
    view = _view(face, vertices, chart, size)
    canvas = paint_chart(face, chart, size)
    backdrop = _backdrop(face.scene, face.seed, size)
    picture, depth = _draw_head(face, view, canvas, backdrop)
    mask = np.zeros((size, size), np.uint8)
    easel = Easel(
        picture, depth, mask, light=face.light.brightness * (0.6 + 0.4 * face.light.ambient)
    )
    for occluder in face.occluders:
        draw_occluder(occluder, view, easel)
    turned = view.turn(landmarks)
    points = view.project(turned)
    x, y = np.clip(np.rint(points), 0, size - 1).astype(np.int32).T
    hidden_by_head = depth[y, x] > turned[:, 2] + SELF_OCCLUSION_MM
    region = _face_region(view, chart, size)
    return RenderedFace(
        _finish(picture, face.scene, face.seed),
        points,
        hidden_by_head | (mask[y, x] > 0),
        (mask > 0) & region,
        face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg,
    )  # fmt: skip


def _face_region(view: View, chart: Floats, size: int) -> NDArray[np.bool_]:
    """Where the face is: the hull of control points and forehead, a little widened: (S, S)."""
    forehead = np.array([[-50.0, -50], [0, -58], [50, -50]])
    skin = view.of_head(fm.on_surface(view.vertices, chart))
    hull = cv2.convexHull(np.concatenate([skin, view.on_skin(forehead)]).astype(np.float32))
    region = np.zeros((size, size), np.uint8)
    cv2.fillPoly(region, [np.rint(hull).astype(np.int32)], 255)
    return np.asarray(cv2.dilate(region, np.ones((3, 3), np.uint8)) > 0)
