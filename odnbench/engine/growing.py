"""Occluders that are as large as a coverage asks: the share of the tight box of a face's landmarks
that they cover.

Half of the faces get a sprite of the renderer, the others a patch of another picture, as in
training (engine/occluders.py), but no sprite that was trained on. A sprite lies where the renderer
put it on a face, and grows from its deepest point, which stays where it is; a patch grows from one
of the landmarks. So the same face has the same occluder at each coverage, only larger.
"""

# n faces, L landmarks, S side of the pictures, K sprites of side 64 px, G points along a side

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.datasets.rendering.sprites import SPRITE_BOX
from odnbench.engine.occluders import (
    TEST_SEED,
    Occluders,
    box_of,
    corners_of,
    patch_at,
    similarity,
    spread,
    sprite_at,
)

RANDOM = 9  # numbers that decide an occluder
_POINTS = 48  # G of the grid over the box, on which coverage is looked up while an occluder grows
_HALVINGS = 14
_LARGEST = 6.0  # log2 of the largest size of a sprite's square over that of the box

Look = tuple[Tensor, Tensor]  # colours (n, 3, S, S) in grey levels, opacities (n, 1, S, S)


def grown(images: Tensor, points: Tensor, random: Tensor, coverage: float) -> tuple[Tensor, Tensor]:
    """images (n, 3, S, S) in grey levels with an occluder on each, and (n, 1, S, S) whether it is
    there.

    points (n, L, 2): landmarks in [-1, 1] over the pictures. random (n, RANDOM): in [0, 1).
    coverage: above 0 and below 1.
    """
    pasted, masks = images.clone(), torch.zeros_like(images[:, :1], dtype=torch.bool)
    is_sprite = random[:, 0] < 0.5
    donors = _others(random[:, 1]).to(images.device)
    for rows, look in ((is_sprite, _sprites), (~is_sprite, _patches)):
        if rows.any():
            there = torch.nonzero(rows)[:, 0].to(images.device)
            drawn = random[rows, 2:].to(images.device)
            colours, opacity = look(images[donors[there]], points[there], drawn, coverage)
            pasted[there] = torch.lerp(images[there], colours, opacity)
            masks[there] = opacity > 0.5
    return pasted, masks


def covered_share(masks: Tensor, points: Tensor) -> Tensor:
    """(n,) coverage: the share of the pixels in the tight box of points (n, L, 2) at which masks
    (n, 1, S, S) are true. A part of the box outside of the picture does not count.
    """
    S = masks.shape[-1]
    centres = (2 * torch.arange(S, device=masks.device) + 1) / S - 1
    low, high = points.amin(dim=1), points.amax(dim=1)  # (n, 2)
    x, y = ((low[:, d, None] <= centres) & (centres <= high[:, d, None]) for d in (0, 1))  # (n, S)
    inside = y[:, :, None] & x[:, None]
    covered = (masks[:, 0] & inside).sum(dim=(1, 2))
    return covered / inside.sum(dim=(1, 2)).clamp_min(1)


def _sprites(others: Tensor, points: Tensor, random: Tensor, coverage: float) -> Look:
    """Sprites of this coverage on faces at points (n, L, 2). others (n, 3, S, S): only their size
    is used.
    """
    sprites, anchors = _solid_sprites()
    chosen = (random[:, 0] * len(sprites)).long().cpu()
    sprites, anchors = sprites[chosen].to(points.device), anchors[chosen].to(points.device)
    centre, radius = box_of(points)
    angle = torch.deg2rad(spread(random[:, 1], 30.0))
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack(
        [cos * anchors[:, 0] - sin * anchors[:, 1], sin * anchors[:, 0] + cos * anchors[:, 1]], 1
    )  # (n, 2)
    natural = centre + radius * (turned / SPRITE_BOX + spread(random[:, 2:4], 0.35))
    at = natural.clamp(points.amin(dim=1), points.amax(dim=1))

    def place(size: Tensor) -> Tensor:
        return similarity(at - radius * size * turned, radius * size, angle)

    def opacity(grid: Tensor) -> Tensor:
        return functional.grid_sample(sprites[:, 3:], grid, align_corners=False)

    size = _size(opacity, place, points, coverage)
    grid = functional.affine_grid(place(size), list(others.shape), align_corners=False)
    return sprite_at(sprites, grid, random[:, 4])


def _patches(others: Tensor, points: Tensor, random: Tensor, coverage: float) -> Look:
    """Patches of this coverage on faces at points (n, L, 2), each with a corner of another picture
    in others (n, 3, S, S).
    """
    n, landmarks = points.shape[:2]
    _, radius = box_of(points)
    at = points[torch.arange(n, device=points.device), (random[:, 0] * landmarks).long()]
    angle = random[:, 1] * torch.pi

    def place(size: Tensor) -> Tensor:
        return similarity(at, radius * size, angle)

    def opacity(grid: Tensor) -> Tensor:
        return patch_at(grid, random[:, 2], random[:, 3])

    size = _size(opacity, place, points, coverage)
    grid = functional.affine_grid(place(size), list(others.shape), align_corners=False)
    return corners_of(others, at, random[:, 4:6]), opacity(grid)


def _size(
    opacity: Callable[[Tensor], Tensor],
    place: Callable[[Tensor], Tensor],
    points: Tensor,
    coverage: float,
) -> Tensor:
    """(n, 1) sizes, as `place` takes them, at which occluders cover this share of the boxes of
    points (n, L, 2).

    opacity: (n, G, G, 2) places in an occluder's square → (n, 1, G, G). An occluder covers nothing
    at size 0 and the whole box at a large one, so that halving finds a size in between, though its
    coverage need not rise all the way.
    """
    steps = (torch.arange(_POINTS, device=points.device) + 0.5) / _POINTS
    low, high = points.amin(dim=1).clamp(-1, 1), points.amax(dim=1).clamp(-1, 1)
    x, y = (low[:, d, None] + (high - low)[:, d, None] * steps for d in (0, 1))  # (n, G)
    box = torch.stack(
        [x[:, None].expand(-1, _POINTS, -1), y[:, :, None].expand(-1, -1, _POINTS)], dim=-1
    )  # (n, G, G, 2)
    smaller = torch.full_like(points[:, :1, 0], -_LARGEST)
    larger = -smaller
    for _ in range(_HALVINGS):
        middle = (smaller + larger) / 2
        A, t = place(2**middle).split([2, 1], dim=2)
        grid = torch.einsum("nij,nhwj->nhwi", A, box) + t[:, None, None, :, 0]
        too_small = (opacity(grid) > 0.5).float().mean(dim=(1, 2, 3))[:, None] < coverage
        smaller = torch.where(too_small, middle, smaller)
        larger = torch.where(too_small, larger, middle)
    return 2.0**larger


def _others(random: Tensor) -> Tensor:
    """(n,) for each face another one of the batch; random (n,) in [0, 1)."""
    n = len(random)
    return (torch.arange(n) + 1 + (random * (n - 1)).long()) % n


@cache
def _solid_sprites() -> tuple[Tensor, Tensor]:
    """The half of the test sprites (K/2, 4, 64, 64) that are deepest, and (K/2, 2) the deepest
    point of each, in [-1, 1] of the sprite. Of the others, as glasses, little but a frame or a blur
    would be left at the size that covers half of a face.
    """
    sprites = Occluders.of(TEST_SEED, 1.0, torch.device("cpu")).sprites
    opaque = (sprites[:, 3] > 0.5).numpy().astype(np.uint8)
    depths = np.stack([cv2.distanceTransform(one, cv2.DIST_L2, 5) for one in opaque])
    side = depths.shape[1]
    deepest = depths.reshape(len(depths), -1)
    chosen = np.sort(np.argsort(-deepest.max(axis=1), kind="stable")[: len(sprites) // 2])
    rows, columns = np.divmod(deepest[chosen].argmax(axis=1), side)
    anchors = (2 * np.stack([columns, rows], axis=1) + 1) / side - 1
    return sprites[torch.from_numpy(chosen)], torch.from_numpy(anchors).float()
