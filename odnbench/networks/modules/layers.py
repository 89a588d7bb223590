"""The convolution that all modules are made of."""

from torch import nn


def conv(in_channels: int, out_channels: int, kernel: int, *, relu: bool = True) -> nn.Sequential:
    """kernel × kernel convolution that keeps H and W, batch norm and, if `relu`, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)
