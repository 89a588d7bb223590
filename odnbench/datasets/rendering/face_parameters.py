"""The parameters that decide a rendered face, and how they are sampled at each difficulty.

Legend: S the picture's side in px.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Floats
from odnbench.datasets.rendering import face_model as fm
from odnbench.datasets.rendering.easel import Colour
from odnbench.datasets.rendering.face_model import FaceShape
from odnbench.datasets.rendering.occluders import Occluder, sample_occluder


@dataclass(frozen=True)
class Pose:
    """The pose of the head and its place in the picture; the body turns by a part of the pose."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    distance_mm: float = 900.0
    # Longer side of the box of the 68 points, over S.
    box_share: float = 0.56
    # From the picture's centre to the centre of that box, right and down, over S.
    offset_share: tuple[float, float] = (0.0, 0.02)


@dataclass(frozen=True)
class Light:
    """One distant key light, and ambient light from all directions."""

    # Towards the light, in the camera's frame.
    direction: tuple[float, float, float] = (0.0, -0.35, 0.94)
    # Share of the ambient light in all light, 0 to 1.
    ambient: float = 0.55
    # Factor on the lit colours, as by the camera's exposure.
    brightness: float = 1.05
    # Factors on R G B in full light, and where no light falls.
    key_tint: Colour = (1.0, 1.0, 1.0)
    shadow_tint: Colour = (0.16, 0.14, 0.14)


@dataclass(frozen=True)
class Skin:
    """Colours and texture of a face; strengths go from 0 to 1."""

    tone: Colour = (205.0, 160.0, 132.0)
    lips: Colour = (178.0, 100.0, 95.0)
    iris: Colour = (92.0, 66.0, 44.0)
    blush: float = 0.5
    # Darkness around the eyes, under the nose and under the lip.
    shadows: float = 0.6
    wrinkles: float = 0.0
    # Standard deviation of the skin's unevenness, in grey levels.
    texture: float = 0.0
    stubble: float = 0.0
    gloss: float = 0.10


@dataclass(frozen=True)
class Hair:
    """Hair of head, brows and chin."""

    # "bald", "short" or "long".
    style: str = "short"
    colour: Colour = (58.0, 42.0, 32.0)
    # How much higher than the average the hairline is over the forehead.
    line_mm: float = 0.0
    # Thickness of the hair over the scalp.
    volume_mm: float = 8.0
    # Lower end of long hair, below the eye line.
    length_mm: float = 90.0
    # Standard deviation of the hair's edge around a smooth line.
    ragged_mm: float = 0.0
    beard: bool = False
    moustache: bool = False
    # Contrast between strands, 0 to 1.
    strands: float = 0.0
    # How far strands lean to the image's right, −2 to 2.
    sweep: int = 0
    # How far the hair falls over the forehead, at the image's left and right.
    fringe_mm: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """The background, the clothes, and the faults of the camera."""

    # "plain", "blobs", "lights" or "room".
    kind: str = "plain"
    colours: tuple[Colour, Colour, Colour] = ((150.0, 155.0, 160.0),) * 3
    clothes: Colour = (70.0, 85.0, 110.0)
    # Standard deviation of the camera's noise, in grey levels.
    noise: float = 0.0
    # Standard deviation of the blur in a picture of side 160.
    blur_px: float = 0.0
    # Whether colour has half of the resolution, as in JPEG.
    soft_colour: bool = False
    # Whether the picture has no colour.
    grey: bool = False


@dataclass(frozen=True)
class FaceParameters:
    """All that decides a rendered face. The default is neutral, frontal and not occluded."""

    shape: FaceShape = field(default_factory=FaceShape)
    pose: Pose = Pose()
    light: Light = Light()
    skin: Skin = Skin()
    hair: Hair = Hair()
    scene: Scene = Scene()
    occluders: tuple[Occluder, ...] = ()
    # Of textures, locks and background.
    seed: int = 0


@dataclass(frozen=True)
class Difficulty:
    """The ranges from which faces are sampled. Yaw, pitch and roll are standard deviations."""

    # Part of the random seed: another number would change every face.
    key: int
    yaw_deg: float
    yaw_limit_deg: float  # the largest yaw, to either side
    pitch_deg: float
    roll_deg: float
    expression: float  # factor on the strength of all expressions
    occluders: tuple[float, ...]  # probability of 0, 1, 2 occluders
    occluder_size: float


DIFFICULTIES: Mapping[str, Difficulty] = {
    "train": Difficulty(1, 20, 75, 9, 9, 0.8, (0.79, 0.19, 0.02), 0.9),
    "common": Difficulty(2, 11, 40, 6, 6, 0.7, (0.91, 0.09, 0.0), 0.75),
    "challenging": Difficulty(3, 28, 60, 15, 18, 1.3, (0.44, 0.47, 0.09), 1.1),
    "profile": Difficulty(4, 45, 90, 15, 12, 1.0, (0.8, 0.18, 0.02), 1.0),
}

SKIN_TONES = np.array(
    [[78, 52, 40], [104, 70, 53], [136, 94, 71], [168, 121, 93], [196, 149, 120], [216, 173, 146],
     [232, 195, 172], [242, 212, 195]]
)  # fmt: skip
HAIR_COLOURS = np.array(
    [[22, 18, 17], [38, 28, 23], [62, 44, 33], [98, 68, 44], [150, 112, 70], [196, 164, 112],
     [120, 62, 36], [150, 148, 146], [214, 212, 208]]
)  # fmt: skip
# Mood → the share of faces that have it, and the range of each mode of expression in it.
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
# Share of faces with clear glasses, among those without sunglasses.
GLASSES_SHARE = 0.14


def sample_parameters(rng: np.random.Generator, difficulty: str) -> FaceParameters:
    """Random parameters of a face of `difficulty`. Raises ValueError for an unknown difficulty."""
    level = difficulty_of(difficulty)
    age = rng.random()
    shape = _sample_shape(rng, level)
    skin = _sample_skin(rng, age)
    hair = _sample_hair(rng, age, skin.tone)
    light = _sample_light(rng)
    number = rng.choice(len(level.occluders), p=level.occluders)
    locks = None if hair.style == "bald" else hair.colour
    occluders = [sample_occluder(rng, skin.tone, locks, level.occluder_size) for _ in range(number)]
    if rng.random() < GLASSES_SHARE and all(o.kind != "sunglasses" for o in occluders):
        frame, seed = colour_of(rng.uniform(7, 84, 3)), int(rng.integers(2**31))
        occluders.insert(0, Occluder("clear glasses", colour=frame, seed=seed))
    worn_first = sorted(occluders, key=lambda o: o.kind == "hand")
    return FaceParameters(
        shape, _sample_pose(rng, level), light, skin, hair, _sample_scene(rng), tuple(worn_first),
        int(rng.integers(2**31)),
    )  # fmt: skip


def attributes_of(face: FaceParameters) -> frozenset[str]:
    """The attributes of WFLW that an annotator would tick for `face`.

    WFLW gives no bounds; the bounds here are our choice.
    """
    pose, skin = face.pose, face.skin
    held = {
        "pose": max(abs(pose.yaw_deg), 1.5 * abs(pose.pitch_deg), abs(pose.roll_deg)) > 35,
        "expression": max(face.shape.expression, default=0.0) > 0.75,
        "illumination": face.light.ambient < 0.3,
        "make-up": skin.lips[1] < 0.62 * skin.tone[1],  # lips much redder than the skin
        "occlusion": any(occluder.kind != "clear glasses" for occluder in face.occluders),
        "blur": face.scene.blur_px > 0.7,
    }
    return frozenset(name for name, is_held in held.items() if is_held)


def difficulty_of(name: str) -> Difficulty:
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
        colour_of(tone), colour_of(lips * 0.93), colour_of(_between(IRIS_COLOURS, rng.random())),
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
        style, colour_of(colour), float(rng.normal(4, 4) + receding),
        float(volume), float(rng.uniform(20, 210)), float(rng.uniform(1, 5)),
        bool(facial and rng.random() < 0.22), bool(facial and rng.random() < 0.25),
        float(rng.uniform(0.3, 0.8)), int(rng.integers(-2, 3)),
        (float(fringe * min(1, 1 - parted)), float(fringe * min(1, 1 + parted))),
    )  # fmt: skip


def _sample_scene(rng: np.random.Generator) -> Scene:
    vivid = 0.5 * rng.random() ** 2
    base = rng.uniform(0, 255, 3) * vivid + rng.uniform(20, 235) * (1 - vivid)
    colours = [
        colour_of(base + rng.normal(0, 40) + rng.normal(0, 40 * vivid + 8, 3)) for _ in range(3)
    ]
    clothes = rng.uniform(15, 230) * 0.6 + rng.uniform(0, 255, 3) * 0.4
    return Scene(
        str(rng.choice(["plain", "blobs", "lights", "room"], p=[0.15, 0.4, 0.15, 0.3])),
        (colours[0], colours[1], colours[2]),
        colour_of(clothes),
        float(rng.choice([rng.uniform(0.5, 3), rng.uniform(3, 9)], p=[0.8, 0.2])),
        float(rng.choice([0.0, rng.uniform(0.4, 1.1)], p=[0.6, 0.4])),
        bool(rng.random() < 0.5),
        bool(rng.random() < 0.06),
    )


def _between(anchors: NDArray[Any], t: float) -> Floats:
    """The colour at `t`, from 0 to 1, along the colours `anchors` (N, 3): (3,)."""
    place = t * (len(anchors) - 1)
    return np.array([np.interp(place, np.arange(len(anchors)), anchors[:, k]) for k in range(3)])


def colour_of(rgb: NDArray[Any]) -> Colour:
    r, g, b = np.clip(rgb, 0, 255).tolist()
    return r, g, b
