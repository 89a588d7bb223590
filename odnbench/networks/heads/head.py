"""The interface of every head: features to an output, and that output to points and data term.

A head owns how points are predicted: the targets that its output is compared with (inside
`data_term`), the data term of Eq. (3), and the decoding of its output into points.
"""

# B images, L landmarks

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

# (B, L, 2) predicted and true points → (B,).
CoordinateLoss = Callable[[Tensor, Tensor], Tensor]


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
        """(B,) the data term of each image.

        points (B, L, 2) as decoded from `output`; true (B, L, 2). The default is `criterion` of
        both. A head that is not trained on coordinates encodes `true` as a target of its own and
        compares `output` with the target.
        """
        return criterion(points, true)

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """W_fc (2L, k) in λ ‖W_fc‖²_F of Eq. (3); None for a head without W_fc."""
        return None
