"""A plain convolutional network, which knows the words of `model.attach` by itself."""

# B images, C channels, H×W pixels, s stride

from torch import Tensor, nn

from odnbench.errors import unknown

_STRIDES = {"stride-8": 8, "stride-16": 16, "stride-32": 32, "last-unit": 32, "whole": 32}


class PlainNetwork(nn.Module):
    """(B, 3, H, W) → (B, out_channels, H/stride, W/stride); each layer halves the sides."""

    def __init__(self, attach: str, pretrained: str, *, width: int):
        super().__init__()
        if attach not in _STRIDES:
            raise unknown("place to attach", attach, _STRIDES)
        if pretrained != "none":
            raise unknown("weights", pretrained, ["none"])
        self.stride, self.out_channels = _STRIDES[attach], 2 * width
        layers: list[nn.Module] = []
        channels = 3
        for depth in range(self.stride.bit_length() - 1):
            layers += [self._layer(channels, 2 * width if depth else width, stride=2)]
            channels = 2 * width if depth else width
        if attach == "whole":
            layers.append(self._layer(channels, channels, stride=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        Z: Tensor = self.layers(images)
        return Z

    @staticmethod
    def _layer(channels: int, width: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
