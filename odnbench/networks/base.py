"""What every network of the bench is: pictures in, shapes and, where it has one, an occlusion map
out.
"""

# B images, L landmarks, H×W image, h×w feature map

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn


class Prediction(NamedTuple):
    """points (B, L, 2), x y in [-1, 1] over the crop; occlusion_map P (B, 1, h, w) or None."""

    points: Tensor
    occlusion_map: Tensor | None


class LandmarkNetwork(nn.Module):
    """A network that regresses the offset from the mean training shape.

    The paper does not say whether shapes are centred; regressing the offset is the field's habit
    and spares the regression layer a bias, which Eq. (3) does not have either.
    """

    mean_shape: Tensor  # (L, 2)

    def __init__(self, landmarks: int):
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(landmarks, 2))

    def forward(self, images: Tensor) -> Prediction:
        """images (B, 3, H, W), normalised by ImageNet's mean and deviation → Prediction."""
        raise NotImplementedError

    @property
    def structural_matrix(self) -> nn.Parameter | None:
        """M (d, k) of the low-rank module, where the network has one."""
        return None

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """W_fc (2L, k): the weights of the last, fully connected layer."""
        return None

    @property
    def convolution_weights(self) -> list[nn.Parameter]:
        """W_c: the weights of all convolutions."""
        return [cast(nn.Parameter, m.weight) for m in self.modules() if isinstance(m, nn.Conv2d)]
