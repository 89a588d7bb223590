"""Adaptive Wing loss on heatmaps, Wang et al., ICCV 2019, Eqs. (2) and (5).

Eq. (5) weighs the cells in and around a peak: those where the target, after a 3×3 dilation, is at
least 0.2 count W + 1 times. The paper takes the mean over cells; the sum is taken here, as for the
squared distance.
"""

from torch import Tensor
from torch.nn import functional

from odnbench.losses.adaptive_wing import adaptive_wing_of

_PEAK = 0.2  # least value of the dilated target in what counts as the peak


def adaptive_wing_maps(
    predicted: Tensor,
    true: Tensor,
    *,
    omega: float,
    theta: float,
    epsilon: float,
    alpha: float,
    weight: float,
) -> Tensor:
    """(B, L, h, w) and (B, L, h, w), true in [0, 1] → (B,). weight: W."""
    loss = adaptive_wing_of(
        (predicted - true).abs(), alpha - true, omega=omega, theta=theta, epsilon=epsilon
    )
    peak = functional.max_pool2d(true, 3, stride=1, padding=1) >= _PEAK
    return (loss * (1 + weight * peak)).sum(dim=(1, 2, 3))
