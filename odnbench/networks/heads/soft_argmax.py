"""Soft-argmax: each landmark is the mean position under its map, Sun et al., Integral human pose
regression, ECCV 2018, Eq. (2).

The maps are free as long as their means are right. A divergence towards a Gaussian around the true
point keeps them in one piece, Nibali et al., Numerical coordinate regression with convolutional
neural networks, 2018, Eqs. (5) and (9), there with weight 1 beside the mean distance.
A mean position lies between the centres of the outer cells: a point closer to the edge of the crop
than half a cell, or beyond it, cannot be reached. Its Gaussian is cut off at the edge, with all of
its mass in the nearest cells.
"""

# B images, C channels, h×w feature map, n×n upsampled map, L landmarks

import torch
from torch import Tensor

from odnbench.networks.heads.cells import from_cells, log_gaussian, to_cells
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.networks.heads.maps import LandmarkMaps

_TINY = 1e-24  # no probability in float32 is seen to differ by it, and its logarithm is finite


class SoftArgmax(LandmarkHead):
    """Features (B, C, h, w) → probabilities (B, L, n, n), each map of sum 1.

    width, upsamplings: see LandmarkMaps. divergence: weight of the Jensen–Shannon divergence, in
    nats and summed over the landmarks. sigma: deviation of its Gaussian, in cells.
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        landmarks: int,
        *,
        width: int,
        upsamplings: int,
        divergence: float = 0.0,
        sigma: float = 1.0,
    ):
        super().__init__()
        self._divergence, self._sigma = divergence, sigma
        self.maps = LandmarkMaps(in_channels, landmarks, width=width, upsamplings=upsamplings)

    def forward(self, features: Tensor) -> Tensor:
        """See LandmarkHead.forward."""
        maps: Tensor = self.maps(features)
        p: Tensor = maps.flatten(2).softmax(dim=2).unflatten(2, maps.shape[2:])
        return p

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        """See LandmarkHead.decode."""
        n = output.shape[-1]
        centres = from_cells(torch.arange(n, dtype=output.dtype, device=output.device), n)
        x, y = ((output.sum(dim=axis) * centres).sum(dim=2) for axis in (2, 3))
        return torch.stack([x, y], dim=-1)

    def data_term(
        self, output: Tensor, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkHead.data_term."""
        term = criterion(points, true)
        if self._divergence:
            term = term + self._divergence * self._divergences(output, true).sum(dim=1)
        return term

    def _divergences(self, p: Tensor, true: Tensor) -> Tensor:
        """(B, L): divergences of p (B, L, n, n) from Gaussians around true (B, L, 2)."""
        n = p.shape[-1]
        x, y = log_gaussian(to_cells(true, n), n, self._sigma).softmax(dim=-1).unbind(dim=2)
        q = y[..., :, None] * x[..., None, :]  # (B, L, n, n)
        log_m = ((p + q) / 2 + _TINY).log()
        divergence = p * ((p + _TINY).log() - log_m) + q * ((q + _TINY).log() - log_m)
        return divergence.sum(dim=(2, 3)) / 2
