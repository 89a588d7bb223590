"""The convolution that all modules are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv2d(nn.Conv2d):
    """nn.Conv2d of odd kernels that keep H and W, with a gradient for a 1×1 map as well.

    On a 1×1 map, only the middle of the kernel meets anything but padding. There oneDNN leaves the
    gradient of the rest of a bf16 weight unwritten (torch 2.13, 5×5 kernels, processors with
    AVX512-BF16): it holds what the memory held before, now and then nan. So the middle alone is
    convolved with, which gives the same bits in bf16, and the rest has the gradient 0.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) → (B, out_channels, H, W)."""
        on_cpu = input.device.type == "cpu"
        if on_cpu and input.shape[-2:] == (1, 1) and torch.is_autocast_enabled("cpu"):
            middle = self.kernel_size[0] // 2
            inside = slice(middle, middle + 1)
            return functional.conv2d(input, self.weight[:, :, inside, inside])
        return super().forward(input)


def conv(in_channels: int, out_channels: int, kernel: int, *, relu: bool = True) -> nn.Sequential:
    """kernel × kernel convolution that keeps H and W, batch norm and, if `relu`, ReLU."""
    layers: list[nn.Module] = [
        Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)
