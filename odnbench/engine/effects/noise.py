"""Noise of a sensor: white, Gaussian, independent in the three channels.

The noise of a picture is a window of one fixed field, placed at random: numbers for every pixel
need not be drawn on the CPU for each batch.
"""

# n images, s their side

from functools import cache

import torch
from torch import Tensor

_SIDE = 512  # of the field, which goes on from its other side
_SEED = 303


def noise(images: Tensor, amounts: Tensor, random: Tensor, *, deviation: float) -> Tensor:
    """(n, 3, s, s) with noise; its deviation is amounts (n,) times `deviation`, in grey levels.

    random (n, 8): the first two place the window.
    """
    found = windows(random[:, :2], images.shape[-1])
    return torch.addcmul(images, found, (amounts * deviation)[:, None, None, None])


def windows(random: Tensor, size: int) -> Tensor:
    """(n, 3, s, s) white noise of deviation 1, at places random (n, 2) in [0, 1)."""
    at = torch.arange(size, device=random.device)
    rows, columns = (((random * _SIDE).long()[:, :, None] + at) % _SIDE).unbind(1)  # each (n, s)
    return _field(random.device)[:, rows[:, :, None], columns[:, None]].transpose(0, 1)


@cache
def _field(device: torch.device) -> Tensor:
    """(3, _SIDE, _SIDE)."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(3, _SIDE, _SIDE, generator=generator).to(device)
