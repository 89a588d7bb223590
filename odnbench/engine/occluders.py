"""Occluders pasted on faces, with exact masks: rendered ones and patches of other pictures.

Half of the pasted occluders are sprites of the renderer (datasets/rendering/sprites.py), moved,
turned and scaled relative to the face; the others are rounded patches that show the corner of
another picture of the batch, which is mostly its background. Whatever is random is drawn on the
CPU, so that a seed means the same on every device.
"""

# B images, L landmarks, s side of the images, K sprites of side 64 px, n occluders

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.datasets.rendering.sprites import SPRITE_BOX, draw_sprite
from odnbench.engine.transfer import move

_SPRITES = 128
_SPRITE_PX = 64
TRAINING_SEED, TEST_SEED = 101, 202  # of sprites: test faces get none that was trained on


@dataclass(frozen=True)
class Occluders:
    """What can be pasted on faces."""

    sprites: Tensor  # (K, 4, 64, 64) float32: RGB in grey levels, and opacity from 0 to 1
    share: float  # probability that a face gets an occluder

    @classmethod
    def of(cls, seed: int, share: float, device: torch.device) -> "Occluders":
        """The sprites of the endless set `seed`, on `device`."""
        return cls(_drawn(seed).to(device), share)

    def paste(
        self, images: Tensor, points: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """images (B, 3, s, s) in grey levels with occluders, and (B, 1, s, s) 1 where they are.

        points (B, L, 2): landmarks in [-1, 1] over the images, to which occluders are placed.
        """
        count, device = len(images), images.device
        drawn = torch.rand(count, 10, generator=generator)
        donors = torch.randperm(count, generator=generator)
        chosen = torch.nonzero(drawn[:, 0] < self.share)[:, 0]
        is_sprite = drawn[chosen, 1] < 0.5
        masks = images.new_zeros(count, 1, *images.shape[2:])
        pasted = images.clone()
        for rows, texture in (
            (chosen[is_sprite], self._sprites_on),
            (chosen[~is_sprite], _patches_on),
        ):
            if not len(rows):
                continue
            there, random = move(rows, device), move(drawn[rows, 2:], device)
            others = images[move(donors[rows], device)]
            colours, opacity = texture(points[there], random, others)
            pasted[there] = torch.lerp(images[there], colours, opacity)
            masks[there] = (opacity > 0.5).to(masks)
        return pasted, masks

    def _sprites_on(self, points: Tensor, random: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (n, 3, s, s) and opacities (n, 1, s, s) of sprites on faces at points (n, L, 2).

        random (n, 8) in [0, 1); others (n, 3, s, s): only their size is used.
        """
        centre, radius = box_of(points)
        shift = radius * spread(random[:, :2], 0.35)
        place = similarity(
            centre + shift,
            radius / SPRITE_BOX * (0.85 + 0.35 * random[:, 2:3]),
            torch.deg2rad(spread(random[:, 3], 30.0)),
        )
        chosen = self.sprites[(random[:, 4] * len(self.sprites)).long()]
        grid = functional.affine_grid(place, list(others.shape), align_corners=False)
        return sprite_at(chosen, grid, random[:, 5])


def sprite_at(sprites: Tensor, grid: Tensor, brightness: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (n, 3, h, w) and opacities (n, 1, h, w) of sprites (n, 4, 64, 64) at the places grid
    (n, h, w, 2), in [-1, 1] of the sprites. brightness (n,) in [0, 1).
    """
    found = functional.grid_sample(sprites, grid, align_corners=False)
    bright = 0.7 + 0.6 * brightness[:, None, None, None]
    colours = found[:, :3] / found[:, 3:].clamp_min(1e-3) * bright
    return colours.clamp(0, 255), found[:, 3:]


def _patches_on(points: Tensor, random: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (n, 3, s, s) and opacities (n, 1, s, s) of patches on faces at points (n, L, 2).

    A patch is a superellipse around one of the landmarks. random (n, 8) in [0, 1); others
    (n, 3, s, s): the pictures from whose corners the patches are taken.
    """
    n, landmarks = points.shape[:2]
    _, radius = box_of(points)
    at = points[torch.arange(n, device=points.device), (random[:, 0] * landmarks).long()]
    angle = random[:, 1] * torch.pi
    place = similarity(at, radius * (0.35 + 0.4 * random[:, 2:3]), angle)
    grid = functional.affine_grid(place, list(others.shape), align_corners=False)  # (n, s, s, 2)
    opacity = patch_at(grid, random[:, 3], random[:, 4])
    return corners_of(others, at, random[:, 5:7]), opacity


def patch_at(grid: Tensor, aspect: Tensor, power: Tensor) -> Tensor:
    """(n, 1, h, w) opacities of superellipses at the places grid (n, h, w, 2), in [-1, 1] of the
    squares in which they lie. aspect (n,), power (n,): in [0, 1).
    """
    sides = 2 ** spread(aspect, 0.7)
    powers = 2.0 * 4.0**power  # 2: an ellipse, 8: almost a rectangle
    ratio = torch.stack([sides, 1 / sides], dim=-1)[:, None, None]
    radii = (grid * ratio).abs().pow(powers[:, None, None, None]).sum(dim=-1)  # 1 on the outline
    return torch.sigmoid((1 - radii) * 12)[:, None]


def corners_of(others: Tensor, at: Tensor, chosen: Tensor) -> Tensor:
    """(n, 3, s, s): a corner of each of the pictures `others` (n, 3, s, s), at their scale, moved
    to `at` (n, 2) in [-1, 1]. chosen (n, 2) in [0, 1): which corner.
    """
    corner = torch.where(chosen < 0.5, -0.85, 0.85)
    n, one = len(others), torch.ones_like(at[:, :1])
    source = similarity(at - corner, one, torch.zeros(n, device=at.device))
    window = functional.affine_grid(source, list(others.shape), align_corners=False)
    return functional.grid_sample(others, window, padding_mode="reflection", align_corners=False)


def box_of(points: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (n, 2) and half of the longer side (n, 1) of the box of points (n, L, 2)."""
    low, high = points.amin(dim=1), points.amax(dim=1)
    return (low + high) / 2, (high - low).amax(dim=1, keepdim=True) / 2


def similarity(centre: Tensor, radius: Tensor, angle: Tensor) -> Tensor:
    """(n, 2, 3): maps [-1, 1] of an image to [-1, 1] of a square that lies in the image.

    centre (n, 2) and radius (n, 1), half of the square's side, in [-1, 1] of the image; angle (n,)
    by which the square is turned.
    """
    cos, sin = angle.cos() / radius[:, 0], angle.sin() / radius[:, 0]
    A = torch.stack([cos, sin, -sin, cos], dim=1).unflatten(1, (2, 2))
    return torch.cat([A, -(A @ centre[:, :, None])], dim=2)


def spread(random: Tensor, width: float) -> Tensor:
    """Numbers in [0, 1) as numbers within ± width."""
    return (2 * random - 1) * width


@cache
def _drawn(seed: int) -> Tensor:
    """(K, 4, 64, 64) the sprites of a seed, their colours times their opacity."""
    rgba = np.stack([draw_sprite(seed, index, _SPRITE_PX) for index in range(_SPRITES)])
    sprites = torch.from_numpy(rgba).permute(0, 3, 1, 2).float()
    opacity = sprites[:, 3:] / 255
    return torch.cat([sprites[:, :3] * opacity, opacity], dim=1)
