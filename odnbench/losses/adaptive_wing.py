"""Adaptive Wing loss, Wang et al., ICCV 2019, Eq. (2), moved from heatmaps to coordinates.

The paper's exponent α − y depends on the heatmap's value y; here y is |coordinate| in [0, 1], so
that landmarks near the crop's centre are treated like background and those near its border like
foreground.
"""

import torch
from torch import Tensor


def adaptive_wing(
    predicted: Tensor, true: Tensor, *, omega: float, theta: float, epsilon: float, alpha: float
) -> Tensor:
    """(B, L, 2) and (B, L, 2), in [-1, 1] → (B,)."""
    x = (predicted - true).abs()
    power = alpha - true.abs().clamp(max=1.0)  # (B, L, 2)
    return adaptive_wing_of(x, power, omega=omega, theta=theta, epsilon=epsilon).sum(dim=(1, 2))


def adaptive_wing_of(
    x: Tensor, power: Tensor, *, omega: float, theta: float, epsilon: float
) -> Tensor:
    """Eq. (2) of each difference in x, 0 or more, with the exponent in `power`; of equal shapes."""
    ratio = (theta / epsilon) ** power
    A = omega / (1 + ratio) * power * (theta / epsilon) ** (power - 1) / epsilon
    C = theta * A - omega * torch.log1p(ratio)
    return torch.where(x < theta, omega * torch.log1p((x / epsilon) ** power), A * x - C)
