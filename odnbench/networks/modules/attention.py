"""Known attention modules in the place of the distillation module, to compare DM with.

All of them weigh the features C of the same pathway as DM's, a residual block of the same width, so
that a comparison is one of the weights alone. DM infers its weights, one per position, from Z and
calls them P; these infer theirs from C, as published, and return no P: η and ζ have nothing to act
on.

    se                  a weight per channel; Hu et al., CVPR 2018
    spatial-attention   a weight per position; the second half of CBAM
    cbam                a weight per channel, then one per position; Woo et al., ECCV 2018

The hidden layer of the channels' weights has at least one neuron, where the papers' reduction would
leave none. The convolution of the positions' weights has no bias, which the paper does not mention.
"""

# B images, C channels, H×W feature map

import torch
from torch import Tensor, nn

from odnbench.networks.modules.distillation import ResidualBlock
from odnbench.networks.modules.layers import Conv2d


class SqueezeExcitation(nn.Module):
    """Z (B, C, H, W) → (B, out_channels, H, W), each channel weighed by a number in (0, 1).

    out: width as a share of C. reduction: channels per neuron of the hidden layer.
    """

    def __init__(self, in_channels: int, *, out: float, reduction: int):
        super().__init__()
        self.out_channels = round(in_channels * out)
        self.pathway_c = ResidualBlock(in_channels, self.out_channels)
        self.excitation = _bottleneck(self.out_channels, reduction)

    def forward(self, Z: Tensor) -> Tensor:
        C = self.pathway_c(Z)  # (B, C', H, W)
        weights = self.excitation(C.mean(dim=(2, 3))).sigmoid()  # (B, C')
        weighed: Tensor = C * weights[:, :, None, None]
        return weighed


class SpatialAttention(nn.Module):
    """Z (B, C, H, W) → (B, out_channels, H, W), each position weighed by a number in (0, 1).

    out: width as a share of C. kernel: side of the convolution, in cells, odd.
    """

    def __init__(self, in_channels: int, *, out: float, kernel: int):
        super().__init__()
        self.out_channels = round(in_channels * out)
        self.pathway_c = ResidualBlock(in_channels, self.out_channels)
        self.positions = _positions(kernel)

    def forward(self, Z: Tensor) -> Tensor:
        return _weigh_positions(self.pathway_c(Z), self.positions)


class ConvolutionalBlockAttention(nn.Module):
    """Z (B, C, H, W) → (B, out_channels, H, W), channels weighed, and then positions.

    out, reduction and kernel: as above.
    """

    def __init__(self, in_channels: int, *, out: float, reduction: int, kernel: int):
        super().__init__()
        self.out_channels = round(in_channels * out)
        self.pathway_c = ResidualBlock(in_channels, self.out_channels)
        self.channels = _bottleneck(self.out_channels, reduction)
        self.positions = _positions(kernel)

    def forward(self, Z: Tensor) -> Tensor:
        C = self.pathway_c(Z)  # (B, C', H, W)
        pooled = C.mean(dim=(2, 3)), C.amax(dim=(2, 3))  # each (B, C')
        weights = (self.channels(pooled[0]) + self.channels(pooled[1])).sigmoid()
        return _weigh_positions(C * weights[:, :, None, None], self.positions)


def _bottleneck(channels: int, reduction: int) -> nn.Sequential:
    """(B, C) → (B, C) through a hidden layer of C / reduction neurons."""
    hidden = max(1, channels // reduction)
    return nn.Sequential(
        nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels)
    )


def _positions(kernel: int) -> Conv2d:
    """Mean and maximum over the channels (B, 2, H, W) → (B, 1, H, W), before the sigmoid."""
    return Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)


def _weigh_positions(C: Tensor, positions: nn.Module) -> Tensor:
    """C (B, C', H, W) times a weight for each position."""
    pooled = torch.cat([C.mean(dim=1, keepdim=True), C.amax(dim=1, keepdim=True)], dim=1)
    weighed: Tensor = C * positions(pooled).sigmoid()
    return weighed
