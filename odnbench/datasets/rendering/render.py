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

Legend: S the picture's side in px, L landmarks.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from odnbench.arrays import Bytes, Flags, Floats
from odnbench.datasets.rendering import face_model as fm
from odnbench.datasets.rendering.easel import Easel, View, shade
from odnbench.datasets.rendering.face_mesh import draw_head, image_of
from odnbench.datasets.rendering.face_paint import noise, noise_patch, paint_chart
from odnbench.datasets.rendering.face_parameters import (
    FaceParameters,
    Scene,
    attributes_of,
    difficulty_of,
    sample_parameters,
)
from odnbench.datasets.rendering.occluders import draw_occluder

RENDERER_VERSION = 2  # part of the cache key: raise it whenever a pixel or a point changes
SELF_OCCLUSION_MM = 30.0  # less deep is the rim of the cheek, which annotators call visible


@dataclass(frozen=True)
class RenderedFace:
    """A picture and its truth; coordinates in the image frame, pixel centres counted from 0."""

    image: Bytes  # (S, S, 3) RGB
    points: Floats  # (L, 2) x y
    occluded: Flags  # (L,) by an occluder or by the head itself
    occlusion_mask: Flags  # (S, S) where an occluder covers the face region
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    attributes: frozenset[str]  # those of WFLW
    grey: bool  # whether the camera saw no colour


def render_face(
    seed: int, index: int, *, scheme: str = "68", size: int = 192, difficulty: str = "train"
) -> RenderedFace:
    """Face `index` of the endless set `seed`: the same for the same arguments, byte for byte.

    The scheme ("68", "29", "19", "98") decides only which points come out, never the picture.
    Raises ValueError for an unknown scheme or difficulty.
    """
    rng = np.random.default_rng([seed, index, difficulty_of(difficulty).key])
    return draw(sample_parameters(rng, difficulty), scheme, size)


def _backdrop(scene: Scene, seed: int, size: int) -> Bytes:
    """The background (S, S, 3), drawn small and enlarged, so that it is out of focus."""
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
    return image_of(cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC))


def _camera_effects(picture: Bytes, scene: Scene, seed: int) -> Bytes:
    """The picture as a camera records it: blurred, with coarse colour or none, and with noise."""
    size = len(picture)
    if scene.blur_px > 0:
        picture = image_of(cv2.GaussianBlur(picture, (0, 0), scene.blur_px * size / 160))
    if scene.soft_colour:
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
        half = cv2.resize(luma, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
        luma[..., 1:] = cv2.resize(half, (size, size), interpolation=cv2.INTER_LINEAR)[..., 1:]
        picture = image_of(cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB))
    if scene.grey:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        picture = image_of(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    if scene.noise > 0:
        grain = cv2.merge([noise_patch(noise("grain"), seed + k, size, size) for k in (7, 8, 9)])
        noisy = cv2.scaleAdd(grain, scene.noise / 32, picture.astype(np.float32))
        picture = image_of(cv2.convertScaleAbs(noisy))
    return picture


def view_of(face: FaceParameters, vertices: Floats, chart: Floats, size: int) -> View:
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
    view = view_of(face, vertices, chart, size)
    canvas = paint_chart(face, chart, size)
    backdrop = _backdrop(face.scene, face.seed, size)
    picture, depth = draw_head(face, view, canvas, backdrop)
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
        _camera_effects(picture, face.scene, face.seed),
        points,
        hidden_by_head | (mask[y, x] > 0),
        (mask > 0) & region,
        face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg,
        attributes_of(face), face.scene.grey,
    )  # fmt: skip


def _face_region(view: View, chart: Floats, size: int) -> Flags:
    """(S, S) where the face is: the hull of control points and forehead, a little widened."""
    forehead = np.array([[-50.0, -50], [0, -58], [50, -50]])
    skin = view.of_head(fm.on_surface(view.vertices, chart))
    hull = cv2.convexHull(np.concatenate([skin, view.on_skin(forehead)]).astype(np.float32))
    region = np.zeros((size, size), np.uint8)
    cv2.fillPoly(region, [np.rint(hull).astype(np.int32)], 255)
    return np.asarray(cv2.dilate(region, np.ones((3, 3), np.uint8)) > 0)
