"""Squared distance, the data term of Eq. (3) in Zhu et al., CVPR 2019: ‖Ŝ_i − S_i‖²_F."""

from torch import Tensor


def squared(predicted: Tensor, true: Tensor) -> Tensor:
    """(B, L, 2) and (B, L, 2) → (B,)."""
    return (predicted - true).square().sum(dim=(1, 2))
