"""Distillation module (DM), Zhu et al., CVPR 2019, Sec. 3.2.

Pathway C is a residual block; pathway D infers how much each position can be trusted, as one map P
in (0, 1) that weighs all channels of C. P is near 1 on the clean face and, driven by its L1
penalty, small on occluders and background: 1 - P is the occlusion probability.

The paper does not give the widths: D takes an eighth of the input's channels, C ends at half of
them.
"""

# B images, C channels, H×W feature map

from torch import Tensor, nn

from odnbench.networks.modules.layers import conv


class DistillationModule(nn.Module):
    """Z (B, C, H, W) → clean features (B, out_channels, H, W) and P (B, 1, H, W) in (0, 1).

    hidden: width of pathway D, out: width of pathway C, as shares of C.
    """

    def __init__(self, in_channels: int, *, hidden: float, out: float):
        super().__init__()
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
        P = self.pathway_d(Z)  # (B, 1, H, W)
        clean = P * self.pathway_c(Z)  # (B, C', H, W)
        return clean, P


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
