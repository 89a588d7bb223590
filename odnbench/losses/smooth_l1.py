"""Smooth L1, Girshick, ICCV 2015: squared below `beta`, absolute above."""

from torch import Tensor
from torch.nn import functional


def smooth_l1(predicted: Tensor, true: Tensor, *, beta: float) -> Tensor:
    """(B, L, 2) and (B, L, 2) → (B,); beta is in the unit of the shapes."""
    loss = functional.smooth_l1_loss(predicted, true, reduction="none", beta=beta)
    return loss.sum(dim=(1, 2))
