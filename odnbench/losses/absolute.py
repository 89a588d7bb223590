"""Sum of absolute differences of the coordinates."""

from torch import Tensor


def absolute(predicted: Tensor, true: Tensor) -> Tensor:
    """(B, L, 2) and (B, L, 2) → (B,)."""
    return (predicted - true).abs().sum(dim=(1, 2))
