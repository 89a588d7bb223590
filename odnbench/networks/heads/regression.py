"""The paper's head: one linear layer W_fc regresses the shape, Zhu et al., CVPR 2019, Sec. 3.3.

The paper does not say whether shapes are centred; regressing the offset from the mean training
shape is the field's habit and spares W_fc a bias, which Eq. (3) does not have either. The shape and
its gradient are computed in float32 in every precision.
"""

# B images, k length of the features, L landmarks

from torch import Tensor, nn

from odnbench.networks.heads.head import LandmarkHead
from odnbench.networks.precision import full_precision, widened


class Regression(LandmarkHead):
    """Features (B, k) → offsets (B, L, 2) from the mean shape."""

    def __init__(self, in_channels: int, side: int, landmarks: int):
        super().__init__()
        layer = nn.Linear(in_channels, 2 * landmarks, bias=False)
        self.weight = nn.Parameter(layer.weight)  # W_fc
        nn.init.normal_(self.weight, std=0.01)  # start near the mean shape

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, 2)."""
        with full_precision(features):
            offsets = nn.functional.linear(widened(features), self.weight)
        shapes: Tensor = offsets.unflatten(1, (-1, 2))
        return shapes

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        """See LandmarkHead.decode."""
        points: Tensor = mean_shape + output
        return points

    @property
    def regression_matrix(self) -> nn.Parameter:
        """See LandmarkHead."""
        return self.weight
