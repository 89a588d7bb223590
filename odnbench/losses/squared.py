"""Squared distance, the data term of Eq. (3) in Zhu et al., CVPR 2019: ‖Ŝ_i − S_i‖²_F.

Of maps it is the same sum over all cells: a Gaussian of a given deviation in cells weighs equally
much in a map of any size.
"""

from torch import Tensor


def squared(predicted: Tensor, true: Tensor) -> Tensor:
    """(B, L, 2) and (B, L, 2), or (B, L, h, w) and (B, L, h, w) → (B,)."""
    return (predicted - true).square().sum(dim=tuple(range(1, true.ndim)))
