"""A lens that darkens the corners."""

# n pictures, s their side

import torch
from torch import Tensor


def vignette(images: Tensor, amounts: Tensor, random: Tensor, *, darkest: float) -> Tensor:
    """Pictures (n, 3, s, s), darker towards the corners by amounts (n,) times `darkest`."""
    at = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    distance = (at[:, None].square() + at.square()) / 2  # (s, s), 1 in the corners
    return images * (1 - darkest * amounts[:, None, None, None] * distance)
