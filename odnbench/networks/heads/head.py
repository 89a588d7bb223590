"""What every head is: features in, its own output out, and the way from that to points and back.

A head owns how points are predicted: the targets that its output is compared with (inside
`data_term`), the data term of Eq. (3), and the decoding of its output into points.
"""

# B images, L landmarks

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

CoordinateLoss = Callable[[Tensor, Tensor], Tensor]  # (B, L, 2) predicted and true points → (B,)


class LandmarkHead(nn.Module):
    """Features (B, d), or (B, C, h, w) where the registry says that it takes a map → output.

    Points are x y in [-1, 1] over the crop.
    """

    def forward(self, features: Tensor) -> Any:
        """The head's own output, as tensors with the images along their first axis."""
        raise NotImplementedError

    def decode(self, output: Any, mean_shape: Tensor) -> Tensor:
        """(B, L, 2) float32: the points that `output` stands for; mean_shape (L, 2) is that of the
        training set.
        """
        raise NotImplementedError

    def data_term(
        self, output: Any, points: Tensor, true: Tensor, criterion: CoordinateLoss
    ) -> Tensor:
        """(B,): how far each image is from its truth.

        points (B, L, 2) as decoded from `output`; true (B, L, 2). A head that is trained on
        coordinates compares both by `criterion`, which is the default; another one makes its
        target of `true` and compares its output with that.
        """
        return criterion(points, true)

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """W_fc (2L, k), whose square λ of Eq. (3) weighs, where the head has one."""
        return None
