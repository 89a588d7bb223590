"""Occluders of rendered faces without the faces: pictures with a transparent ground.

    sprite = draw_sprite(seed=0, index=7, size=64)

A sprite shows one occluder as it would lie on a frontal face whose landmarks' box stands in the
middle of the sprite and takes SPRITE_BOX of its side. Each sprite is the same for the same
arguments.
"""

# S side of a sprite in px

import dataclasses

import cv2
import numpy as np

from odnbench.arrays import Bytes
from odnbench.datasets.rendering import face_model as fm
from odnbench.datasets.rendering.easel import Easel
from odnbench.datasets.rendering.face_mesh import image_of
from odnbench.datasets.rendering.face_parameters import Pose, sample_parameters
from odnbench.datasets.rendering.occluders import draw_occluder, sample_occluder
from odnbench.datasets.rendering.render import view_of

SPRITE_BOX = 0.5


def draw_sprite(seed: int, index: int, size: int) -> Bytes:
    """Occluder `index` of the endless set `seed`: (S, S, 4) RGB and opacity, 0 to 255."""
    rng = np.random.default_rng([seed, index])
    face = sample_parameters(rng, "train")
    hair = None if face.hair.style == "bald" else face.hair.colour
    occluder = sample_occluder(rng, face.skin.tone, hair, float(rng.uniform(0.8, 1.3)))
    pose = Pose(distance_mm=face.pose.distance_mm, box_share=SPRITE_BOX, offset_share=(0.0, 0.0))
    face = dataclasses.replace(face, pose=pose)
    vertices, chart = fm.surface(face.shape), fm.control_points(face.shape)
    # Twice the side, so that edges become soft when the sprite is made smaller.
    picture = np.zeros((2 * size, 2 * size, 3), np.uint8)
    depth = np.full(picture.shape[:2], -10000, np.float32)
    mask = np.zeros(picture.shape[:2], np.uint8)
    light = face.light.brightness * float(rng.uniform(0.6, 1.1))
    view = view_of(face, vertices, chart, 2 * size)
    draw_occluder(occluder, view, Easel(picture, depth, mask, light=light))
    # Colours are spread beyond the edge, so that no dark ground shines through it.
    spread = np.where(mask[..., None] > 0, picture, cv2.dilate(picture, np.ones((5, 5), np.uint8)))
    both = np.dstack([spread, mask])
    return image_of(cv2.resize(both, (size, size), interpolation=cv2.INTER_AREA))
