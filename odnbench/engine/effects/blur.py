"""A lens out of focus: a Gaussian blur of another width for each picture.

A blur along one axis is a product with a matrix whose rows are Gaussians that sum to 1. So widths
may differ within a batch, and a picture's border is an average of what lies inside alone.
"""

# n images, s their side

import torch
from torch import Tensor


def blur(images: Tensor, amounts: Tensor, random: Tensor, *, largest: float) -> Tensor:
    """(n, 3, s, s) blurred; the deviations are amounts (n,) times `largest`, a share of the side.

    random (n, 8) is not used.
    """
    size = images.shape[-1]
    # A twentieth of a pixel changes nothing that float32 shows.
    deviation = (amounts * largest * size).clamp_min(0.05)
    at = torch.arange(size, dtype=images.dtype, device=images.device)
    distance = (at[:, None] - at) / deviation[:, None, None]  # (n, s, s)
    weights = torch.softmax(-distance.square() / 2, dim=-1)[:, None]
    return weights @ images @ weights.mT
