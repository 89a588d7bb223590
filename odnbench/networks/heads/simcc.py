"""Coordinates as two classifications, Li et al., SimCC: a simple coordinate classification
perspective for human pose estimation, ECCV 2022, Sec. 3.

Each landmark's map is flattened, and two linear layers, which the landmarks share, sort it into
bins along x and y that are finer than a pixel. The label of an axis is a Gaussian around the true
position, with the sum 1, and the data term is the Kullback–Leibler divergence KL(label ‖ bins),
summed over axes and landmarks. As in the paper and in its implementation in mmpose, the most likely
bin is decoded, so that a point is known to half a bin. The label of a landmark outside of the crop
has its mass in the outer bins, and the centre of the outer bin is what can be predicted.
All layers are float32, since bf16 makes neighbouring bins equal.
"""

# B images, C channels, n×n feature map, L landmarks, K bins along an axis

from torch import Tensor, nn

from odnbench.networks.heads.cells import from_cells, log_gaussian, to_cells
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.networks.precision import full_precision, widened


class SimCC(LandmarkHead):
    """Features (B, C, n, n) → logits (B, L, 2, K) of the bins along x and along y.

    split: bins to a cell of the feature map, so that K = split · n. sigma: deviation of the labels,
    in bins.
    """

    def __init__(self, in_channels: int, side: int, landmarks: int, *, split: int, sigma: float):
        super().__init__()
        self._sigma = sigma
        self.maps = nn.Conv2d(in_channels, landmarks, 1)
        self.bins = nn.Linear(side**2, 2 * split * side)

    def forward(self, features: Tensor) -> Tensor:
        """See LandmarkHead.forward."""
        with full_precision(features):
            bins = self.bins(self.maps(widened(features)).flatten(2))
        logits: Tensor = bins.unflatten(2, (2, -1))
        return logits

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        """See LandmarkHead.decode."""
        return from_cells(output.argmax(dim=3), output.shape[3])

    def data_term(
        self, output: Tensor, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkHead.data_term."""
        bins = output.shape[3]
        label = log_gaussian(to_cells(true, bins), bins, self._sigma).log_softmax(dim=3)
        divergence = label.exp() * (label - output.log_softmax(dim=3))  # (B, L, 2, K)
        return divergence.sum(dim=(1, 2, 3))

    def confidence(self, output: Tensor) -> Tensor:
        """See LandmarkHead.confidence: the probability of the decoded bin, of the axis where it is
        lower; a label itself has 1 / (σ √(2π)).
        """
        return output.softmax(dim=3).amax(dim=3).amin(dim=2)
