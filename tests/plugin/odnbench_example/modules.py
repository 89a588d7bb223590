"""Channel attention, Hu et al., CVPR 2018, before all branches."""

# B images, C channels, H×W feature map

from torch import Tensor, nn


class ChannelGate(nn.Module):
    """Z (B, C, H, W) → Z, each channel weighed by a number in (0, 1)."""

    def __init__(self, in_channels: int, *, reduction: int):
        super().__init__()
        self.out_channels = in_channels
        hidden = max(1, in_channels // reduction)
        self.weights = nn.Sequential(
            nn.Linear(in_channels, hidden), nn.ReLU(), nn.Linear(hidden, in_channels), nn.Sigmoid()
        )

    def forward(self, Z: Tensor) -> Tensor:
        w: Tensor = self.weights(Z.mean(dim=(2, 3)))  # (B, C)
        return Z * w[:, :, None, None]
