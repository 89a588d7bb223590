"""Light and sensor: one affine map of the three colours for each picture."""

# n images, s their side

from functools import cache

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # of R, G and B, ITU-R BT.601


def colour(
    images: Tensor, amounts: Tensor, random: Tensor, *, gain: float, saturation: float, hue: float
) -> Tensor:
    """(n, 3, s, s) of another white balance, saturation and hue.

    amounts (n,) are shares of the options: `gain` and `saturation` as powers of two, each channel
    having a gain of its own, `hue` in degrees around the axis of greys. random (n, 8).
    """
    spread = (2 * random[:, :5] - 1) * amounts[:, None]
    grey, identity, _ = _constants(images.device)
    more = 2 ** (saturation * spread[:, 3, None, None])
    saturated = grey + more * (identity - grey)  # (n, 3, 3)
    gains = torch.diag_embed(2 ** (gain * spread[:, :3]))
    return _mapped(images, gains @ saturated @ _turn(torch.deg2rad(hue * spread[:, 4])))


def contrast(
    images: Tensor, amounts: Tensor, random: Tensor, *, contrast: float, brightness: float
) -> Tensor:
    """(n, 3, s, s) of another contrast about the middle grey, and of another brightness.

    amounts (n,) are shares of the options: `contrast` as a power of two, `brightness` in grey
    levels. random (n, 8).
    """
    spread = ((2 * random[:, :2] - 1) * amounts[:, None])[:, :, None, None, None]
    factor = 2 ** (contrast * spread[:, 0])
    changed: Tensor = (images - 127.5) * factor + (127.5 + brightness * spread[:, 1])
    return changed


def grey(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    """(n, 3, s, s) without colour, whatever the amounts."""
    return _mapped(images, _constants(images.device)[0].expand(len(images), 3, 3))


def _mapped(images: Tensor, matrices: Tensor) -> Tensor:
    """(n, 3, s, s) whose colours are multiplied by matrices (n, 3, 3)."""
    return torch.bmm(matrices, images.flatten(2)).view_as(images)


def _turn(angles: Tensor) -> Tensor:
    """(n, 3, 3) rotations by angles (n,), in radians, around the axis R = G = B (Rodrigues)."""
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    _, identity, cross = _constants(angles.device)
    turned: Tensor = cos * identity + (1 - cos) / 3 + sin * cross
    return turned


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(3, 3) each: the map to greys, the identity, and the cross product with (1, 1, 1) / √3."""
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    return torch.tensor([LUMA] * 3).to(device), torch.eye(3).to(device), cross.to(device)
