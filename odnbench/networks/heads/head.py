"""The interface of every head: features to an output, and that output to points and data term.

A head owns how points are predicted: the targets that its output is compared with (inside
`data_term`), the data term of Eq. (3), and the decoding of its output into points.
"""

# B images, L landmarks

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

# Predicted and true points (B, L, 2), or maps (B, L, h, w), as the criterion compares → (B,).
CriterionFunction = Callable[[Tensor, Tensor], Tensor]


class LandmarkHead(nn.Module):
    """Features (B, d), or (B, C, h, w) where the registry says that it takes a map → output.

    Points are x y in [-1, 1] over the crop.
    """

    def set_mean_shape(self, mean_shape: Tensor) -> None:
        """Called once, before the first step, with the mean shape (L, 2) of the training set.

        What a head derives from the mean shape must stand in its buffers, so that a checkpoint
        holds it. The default derives nothing.
        """

    def forward(self, features: Tensor) -> Any:
        """The head's own output, as tensors with the images along their first axis."""
        raise NotImplementedError

    def decode(self, output: Any, mean_shape: Tensor) -> Tensor:
        """(B, L, 2) float32: the points that `output` stands for; mean_shape (L, 2) is that of the
        training set.

        Called in training as well, where the points serve the data term alone: a head whose data
        term does not need them decodes coarsely there, and refines them in evaluation mode.
        """
        raise NotImplementedError

    def data_term(
        self, output: Any, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """(B,) the data term of each image.

        points (B, L, 2) as decoded from `output`; true (B, L, 2), which lie beyond ±1 for landmarks
        outside of the crop. The default is `criterion` of both. A head that is not trained on
        coordinates encodes `true` as a target of its own and compares `output` with the target: by
        `criterion` where the target is a map for each landmark and its entry says so, else by a
        distance of its own.
        """
        return criterion(points, true)

    def confidence(self, output: Any) -> Tensor | None:
        """(B, L) in [0, 1]: how sure the head is of each point; None for a head that cannot tell.

        The values of a head rank its points. They are not calibrated, and those of unlike heads do
        not compare.
        """
        return None

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """W_fc (2L, k) in λ ‖W_fc‖²_F of Eq. (3); None for a head without W_fc."""
        return None
