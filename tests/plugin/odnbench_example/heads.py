"""Soft-argmax: each landmark is the mean position under its map, Sun et al., ECCV 2018."""

# B images, C channels, h×w feature map, L landmarks

import torch
from torch import Tensor, nn

from odnbench.networks.heads.head import LandmarkHead


class SoftArgmax(LandmarkHead):
    """Features (B, C, h, w) → maps (B, L, h, w) → points (B, L, 2)."""

    def __init__(self, in_channels: int, side: int, landmarks: int, *, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.maps = nn.Conv2d(in_channels, landmarks, 1)
        self.register_buffer("centres", (torch.arange(side) + 0.5) / side * 2 - 1)

    def forward(self, features: Tensor) -> Tensor:
        maps: Tensor = self.maps(features)
        return maps

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        flat = output.float().flatten(2) / self.temperature
        p = flat.softmax(dim=2).unflatten(2, output.shape[2:])  # (B, L, h, w)
        x, y = ((p.sum(dim=axis) * self.centres).sum(dim=2) for axis in (2, 3))
        return torch.stack([x, y], dim=-1)  # (B, L, 2)
