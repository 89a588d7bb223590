"""Wing loss, Feng et al., CVPR 2018, Eq. (5): logarithmic below w, absolute above."""

import math

import torch
from torch import Tensor


def wing(predicted: Tensor, true: Tensor, *, w: float, epsilon: float) -> Tensor:
    """(B, L, 2) and (B, L, 2) → (B,); w and epsilon are in the unit of the shapes."""
    x = (predicted - true).abs()
    C = w - w * math.log1p(w / epsilon)
    loss = torch.where(x < w, w * torch.log1p(x / epsilon), x - C)
    return loss.sum(dim=(1, 2))
