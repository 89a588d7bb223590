"""Augmentation of geometry: one random affine transform per face, drawn and applied for a whole
batch at once.

A transform takes a window of the crop: its sides are the crop's, scaled by `scale` together and by
`aspect` each on its own, sheared along the width, turned, moved, and mirrored or not.

The prepared picture is larger than the network's input by the margin, so that rotation, scale and
translation find pixels there. Without augmentation the resampling is the exact central crop.
"""

# B images, L landmarks, S side of a prepared picture, s side of the network's input

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from odnbench.networks.base import IMAGENET as IMAGENET
from odnbench.networks.base import Normalisation
from odnbench.plan.specs import AugmentSpec

IDENTITY = AugmentSpec(rotation_deg=0.0, scale=0.0, translation=0.0, flip=0.0)


def sample_transforms(
    count: int, spec: AugmentSpec, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Affine maps (B, 2, 3) from the input's [-1, 1] to the crop's [-1, 1], and (B,) whether each
    is a mirror image.

    spec: as from `plan.effects.resolved`. Drawn on the CPU, so that a seed means the same on every
    device; what is off draws no number, so that the others stay what they are without it.
    """

    def uniform(width: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * width

    angle = torch.deg2rad(uniform(spec.rotation_deg))
    scale = 1 + uniform(spec.scale)
    shift = torch.stack([uniform(2 * spec.translation), uniform(2 * spec.translation)], dim=1)
    mirrored = torch.rand(count, generator=generator) < spec.flip
    slope = torch.deg2rad(uniform(spec.shear_deg)).tan() if spec.shear_deg else torch.zeros(count)
    width, height = (
        1 + uniform(spec.aspect) if spec.aspect else torch.ones(count) for _ in range(2)
    )
    cos, sin = scale * angle.cos(), scale * angle.sin()
    across = torch.where(mirrored, -width, width)
    # The rotation, times [[width, slope · height], [0, height]] and the mirror image.
    x_of_y, y_of_y = (cos * slope - sin) * height, (sin * slope + cos) * height
    rows = [cos * across, x_of_y, shift[:, 0], sin * across, y_of_y, shift[:, 1]]
    return torch.stack(rows, dim=1).unflatten(1, (2, 3)), mirrored


def resample(
    images: Tensor,
    points: Tensor,
    offsets: Tensor,
    transforms: Tensor,
    mirrored: Tensor,
    flip: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """The network's input and its targets.

    images (B, S, S, 3) uint8; points (B, L, 2) in pixels of the prepared pictures; offsets (B, 2)
    how far right of and below the meant point these points lie, in the same pixels; transforms and
    mirrored as from `sample_transforms`; flip (L,) the scheme's permutation.
    Returns images (B, 3, s, s) in grey levels, 0 to 255, and points (B, L, 2) in [-1, 1] over the
    input.
    """
    stored = images.shape[1]
    ratio = size / stored
    inputs = functional.grid_sample(
        _channels_first(images), _sampling_grid(transforms * ratio, size), align_corners=False
    )

    A, t = transforms[:, :, :2], transforms[:, None, :, 2]
    crop = to_unit(points, stored) / ratio  # (B, L, 2) in [-1, 1] over the crop
    inverse = torch.linalg.inv_ex(A).inverse  # `inv` would wait for a GPU
    moved = (crop - t) @ inverse.mT
    # A mirror image has its offset to the other side. It is moved back, so that every target is off
    # as a published annotation is: the offset has turned with the picture, but is not mirrored.
    offset = (offsets[:, None] * (2 / stored / ratio)) @ inverse.mT  # (B, 1, 2), mirrored
    moved_back = moved[:, flip] - functional.pad(2 * offset[..., :1], (0, 1))
    return inputs, torch.where(mirrored[:, None, None], moved_back, moved)


def central_crop(images: Tensor, size: int) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, s, s) in grey levels, 0 to 255, without resampling."""
    start = (images.shape[1] - size) // 2
    return _channels_first(images[:, start : start + size, start : start + size])


def normalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(B, 3, s, s) RGB in grey levels → zero mean and unit deviation, channels-last."""
    shift, scale = _scaling(normalisation, images.device)
    normalised = torch.empty_like(images, memory_format=torch.channels_last)
    return torch.addcmul(shift, images, scale, out=normalised)  # one pass for layout and values


def renormalise(inputs: Tensor, before: Normalisation, after: Normalisation) -> Tensor:
    """Inputs (B, 3, s, s) that are normalised by `before`, normalised by `after` instead."""
    (shift, scale), (new_shift, new_scale) = (
        _scaling(one, inputs.device) for one in (before, after)
    )
    return (inputs - shift) * (new_scale / scale) + new_shift


def to_unit(points_px: Tensor, size: int) -> Tensor:
    """Pixels of a picture of side `size` → [-1, 1], from its left edge to its right edge."""
    return (2 * points_px + 1) / size - 1


def to_pixels(points_unit: Tensor, size: int) -> Tensor:
    """The inverse of `to_unit`."""
    return ((points_unit + 1) * size - 1) / 2


@cache
def _scaling(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) shift and scale that `normalise` applies to grey levels, on `device`."""
    mean, deviation = torch.tensor(normalisation)[:, :, None, None]
    return (-mean / deviation).to(device), (1 / (255 * deviation)).to(device)


def _channels_first(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32, contiguous, as `grid_sample` is fastest."""
    channels_first = images.permute(0, 3, 1, 2)
    return channels_first.to(torch.float32, memory_format=torch.contiguous_format)


def _sampling_grid(transforms: Tensor, size: int) -> Tensor:
    """(B, s, s, 2) the values of `functional.affine_grid`, in a fifth of its time."""
    centres = (2 * torch.arange(size, device=transforms.device) + 1) / size - 1  # (s,)
    x, y, t = transforms.transpose(1, 2)[:, :, None].unbind(1)  # each (B, 1, 2)
    return (x * centres[:, None])[:, None] + (y * centres[:, None] + t)[:, :, None]
