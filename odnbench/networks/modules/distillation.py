"""Distillation module (DM), Zhu et al., CVPR 2019, Sec. 3.2.

Pathway C is a residual block; pathway D infers how much each position can be trusted, as one map P
in (0, 1) that weighs all channels of C. The paper intends 1 - P as the probability that a position
is occluded. Eq. (3) does not bring that about: only the product P C enters the loss, and the scale
of C is free, so that a smaller P and a larger C give the same shapes. Trained so, 1 - P tells
occluded positions of a face from visible ones no better than chance (docs/findings.md). Two ways
make P identifiable: `normalise` gives C the same norm at every position, so that P alone weighs;
and the weight zeta of the objective compares P with the masks of pasted occluders.

The paper does not give the widths: D takes an eighth of the input's channels, C ends at half of
them. D and P are float32 in every precision, since the L1 penalty of P is small.
"""

# B images, C channels, H×W feature map

import torch
from torch import Tensor, nn

from odnbench.networks.modules.layers import conv
from odnbench.networks.precision import full_precision, widened


class DistillationModule(nn.Module):
    """Z (B, C, H, W) → clean features (B, out_channels, H, W) and P (B, 1, H, W) in (0, 1).

    hidden: width of pathway D, out: width of pathway C, as shares of C. normalise: whether C is
    divided by the root of the mean of its squared channels, position by position.
    """

    def __init__(self, in_channels: int, *, hidden: float, out: float, normalise: bool = False):
        super().__init__()
        self.normalise = normalise
        self.out_channels = round(in_channels * out)
        width = round(in_channels * hidden)
        self.pathway_c = ResidualBlock(in_channels, self.out_channels)
        self.pathway_d = nn.Sequential(
            conv(in_channels, width, 1),
            conv(width, width, 3),
            nn.Conv2d(width, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(Z):
            P = self.pathway_d(widened(Z))  # (B, 1, H, W)
        C = self.pathway_c(Z)  # (B, C', H, W)
        if self.normalise:
            C = _normalised(C)
        return P * C, P


def _normalised(C: Tensor) -> Tensor:
    """(B, C', H, W) divided by the root mean square over the channels of each position."""
    C = widened(C)
    return C * torch.rsqrt(C.square().mean(dim=1, keepdim=True) + 1e-6)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a 1×1 shortcut that changes the width, He et al., CVPR 2016."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.body = nn.Sequential(
            conv(in_channels, out_channels, 3), conv(out_channels, out_channels, 3, relu=False)
        )
        self.shortcut = conv(in_channels, out_channels, 1, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y
