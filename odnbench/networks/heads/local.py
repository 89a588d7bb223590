"""Pixel-in-pixel regression on the feature map itself, Jin et al., Pixel-in-pixel net (PIPNet),
IJCV 2021, Secs. 3.1 and 3.2.

For each landmark, a cell tells how likely it holds the landmark, where in the cell the landmark
lies, and where the landmarks lie that are the nearest ones in the mean shape. The cell of the
highest score counts; a landmark's point is the mean of what its own cell says and of what the cells
of the landmarks say whose neighbour it is. The data term is the paper's for each landmark, with its
weights, and is summed over the landmarks:

    10 · mean over cells of (score − target)² + |offset − true|₁ + mean over neighbours of |…|₁

A landmark outside of the crop belongs to the nearest cell, and its offset leads out of that cell.
All layers are float32, since bf16 rounds an offset to 1/256 of a cell.
"""

# B images, C channels, n×n feature map, L landmarks, N neighbours of each

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.networks.heads.cells import column_and_row
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.networks.heads.maps import begin_with_nothing
from odnbench.networks.precision import full_precision, widened


class LocalMaps(NamedTuple):
    """What a `Local` head gives; offsets are x y in cells, from the left upper corner of a cell."""

    scores: Tensor  # (B, L, n²)
    offsets: Tensor  # (B, L, 1 + N, 2, n²): the landmark's own, and those of its neighbours


class Local(LandmarkHead):
    """Features (B, C, n, n) → LocalMaps.

    neighbours: N, or one less than the landmarks where there are fewer. score_weight: of the scores
    beside the offsets.
    """

    neighbours: Tensor  # (L, N) indices of landmarks, the nearest first

    def __init__(
        self, in_channels: int, side: int, landmarks: int, *, neighbours: int, score_weight: float
    ):
        super().__init__()
        self._score_weight = score_weight
        count = min(neighbours, landmarks - 1)
        others = torch.arange(landmarks)[:, None] + torch.arange(1, count + 1)
        self.register_buffer("neighbours", others % landmarks)  # until the mean shape is known
        self.layer = nn.Conv2d(in_channels, landmarks * (1 + 2 * (1 + count)), 1)
        begin_with_nothing(self.layer)  # as in the paper's code

    def set_mean_shape(self, mean_shape: Tensor) -> None:
        """See LandmarkHead.set_mean_shape."""
        distances = (mean_shape[:, None] - mean_shape).square().sum(dim=2)
        distances.fill_diagonal_(-1)  # before a landmark that has the same place
        order = distances.argsort(dim=1, stable=True)
        self.neighbours.copy_(order[:, 1 : 1 + self.neighbours.shape[1]])

    def forward(self, features: Tensor) -> LocalMaps:
        """See LandmarkHead.forward."""
        landmarks, count = self.neighbours.shape
        with full_precision(features):
            maps = self.layer(widened(features)).flatten(2)  # (B, L (1 + 2 (1 + N)), n²)
        return LocalMaps(
            maps[:, :landmarks], maps[:, landmarks:].unflatten(1, (landmarks, 1 + count, 2))
        )

    def decode(self, output: LocalMaps, mean_shape: Tensor) -> Tensor:
        """See LandmarkHead.decode."""
        n, peaks = _side(output), output.scores.argmax(dim=2)  # (B, L)
        said = _at(output.offsets.detach(), peaks) + column_and_row(peaks, n)[:, :, None]
        votes = functional.one_hot(self.neighbours, len(self.neighbours)).to(said)  # (L, N, L)
        with full_precision(said):
            sums = said[:, :, 0] + torch.einsum("blnx,lnk->bkx", said[:, :, 1:], votes)
        return sums / (1 + votes.sum(dim=(0, 1)))[:, None] * (2 / n) - 1

    def data_term(
        self, output: LocalMaps, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkHead.data_term."""
        n = _side(output)
        at = (true + 1) * (n / 2)  # (B, L, 2), in cells from the corner of the map
        cells = at.floor().clamp(0, n - 1)
        index = (cells[..., 1] * n + cells[..., 0]).long()  # (B, L)
        targets = torch.zeros_like(output.scores).scatter_(2, index[..., None], 1.0)
        score = (output.scores - targets).square().mean(dim=2)  # (B, L)
        wanted = torch.cat([at[:, :, None], at[:, self.neighbours]], dim=2) - cells[:, :, None]
        errors = (_at(output.offsets, index) - wanted).abs().sum(dim=3)  # (B, L, 1 + N)
        others = errors[:, :, 1:].sum(dim=2) / max(1, self.neighbours.shape[1])
        return (self._score_weight * score + errors[:, :, 0] + others).sum(dim=1)

    def confidence(self, output: LocalMaps) -> Tensor:
        """See LandmarkHead.confidence: the highest score, which is trained to be 1."""
        return output.scores.amax(dim=2).clamp(0, 1)


def _side(output: LocalMaps) -> int:
    return math.isqrt(output.scores.shape[2])


def _at(offsets: Tensor, index: Tensor) -> Tensor:
    """(B, L, 1 + N, 2): offsets (B, L, 1 + N, 2, n²) in the cells index (B, L)."""
    wanted = index[:, :, None, None, None].expand(*offsets.shape[:-1], 1)
    return offsets.gather(4, wanted)[..., 0]
