"""Soft wing loss, Lin et al., Structure-coherent deep feature learning for robust face alignment,
TIP 2021: absolute below ω₁, logarithmic above. Errors of a medium size get the largest
gradient, and not those that are as small as the annotators' own.
"""

import math

import torch
from torch import Tensor


def soft_wing(
    predicted: Tensor, true: Tensor, *, omega_1: float, omega_2: float, epsilon: float
) -> Tensor:
    """(B, L, 2) and (B, L, 2) → (B,); omega_1 and epsilon are in the unit of the shapes."""
    x = (predicted - true).abs()
    B = omega_1 - omega_2 * math.log1p(omega_1 / epsilon)
    loss = torch.where(x < omega_1, x, omega_2 * torch.log1p(x / epsilon) + B)
    return loss.sum(dim=(1, 2))
