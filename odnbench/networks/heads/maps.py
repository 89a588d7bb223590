"""A map per landmark: features, upsampled by deconvolutions, Xiao et al., Simple baselines for
human pose estimation, ECCV 2018, Sec. 2.

A deconvolution (4×4, stride 2) takes 4 multiplications per channel and cell that it makes, a 3×3
convolution after bilinear upsampling 9. A step on the CPU took 1.3 to 2 times as long with the
latter. The paper has three deconvolutions of 256 channels.
"""

# B images, C channels, h×w feature map, L landmarks

from torch import Tensor, nn

from odnbench.networks.precision import full_precision, widened


class LandmarkMaps(nn.Module):
    """Features (B, C, h, w) → (B, L, 2ᵘ h, 2ᵘ w), float32 in every precision.

    upsamplings: u, each of which doubles the sides. width: channels of the upsampled features. The
    last layer is float32, since bf16 makes neighbouring cells equal near a peak.
    """

    def __init__(self, in_channels: int, landmarks: int, *, width: int, upsamplings: int):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(upsamplings):
            layers += [
                nn.ConvTranspose2d(in_channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            in_channels = width
        self.upsampling = nn.Sequential(*layers)
        self.maps = nn.Conv2d(in_channels, landmarks, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = self.upsampling(features)
        with full_precision(features):
            maps: Tensor = self.maps(widened(features))
        return maps


def begin_with_nothing(layer: nn.Conv2d) -> None:
    """Has the last layer of a head give almost 0 at first."""
    nn.init.normal_(layer.weight, std=0.001)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
