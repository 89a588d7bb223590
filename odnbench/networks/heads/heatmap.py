"""Heatmaps: each landmark is the peak of its map, trained towards a Gaussian around the true point,
Tompson et al., NIPS 2014; decoded as in DARK (dark.py).

The Gaussian is centred on the point itself and not on a cell, as DARK asks for; its deviation of
1.5 cells is that of Wang et al., HRNet, TPAMI 2021, for faces. A landmark outside of the crop has
the part of its Gaussian that lies inside as target, and an empty map from about three deviations
beyond the edge; no decoded point lies further out than a cell beyond the centre of the outer cells.
"""

# B images, C channels, h×w feature map, n×n upsampled map, L landmarks

from torch import Tensor

from odnbench.errors import OdnbenchError
from odnbench.networks.heads.cells import column_and_row, from_cells, log_gaussian, to_cells
from odnbench.networks.heads.dark import refined_peaks
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.networks.heads.maps import LandmarkMaps, begin_with_nothing

_LEAST_CELLS = 3  # along a side, which the derivatives of a peak take


class Heatmap(LandmarkHead):
    """Features (B, C, h, w) → maps (B, L, n, n).

    width, upsamplings: see LandmarkMaps. sigma: deviation of the targets, in cells. Raises
    OdnbenchError for a map of less than 3×3 cells.
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        landmarks: int,
        *,
        width: int,
        upsamplings: int,
        sigma: float,
    ):
        super().__init__()
        if (n := side * 2**upsamplings) < _LEAST_CELLS:
            raise OdnbenchError(
                f"a heatmap must have at least {_LEAST_CELLS}×{_LEAST_CELLS} cells, got {n}×{n}; "
                "raise its option upsamplings, or data.input_size"
            )
        self._sigma = sigma
        self.maps = LandmarkMaps(in_channels, landmarks, width=width, upsamplings=upsamplings)
        begin_with_nothing(self.maps.maps)  # as in Xiao et al.

    def forward(self, features: Tensor) -> Tensor:
        """See LandmarkHead.forward."""
        maps: Tensor = self.maps(features)
        return maps

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        """See LandmarkHead.decode; in training mode the highest cells."""
        output, n = output.detach(), output.shape[-1]
        if self.training:
            return from_cells(column_and_row(output.flatten(2).argmax(dim=2), n), n)
        return from_cells(refined_peaks(output, self._sigma), n)

    def data_term(
        self, output: Tensor, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkHead.data_term."""
        return criterion(output, self.targets(true, output.shape[-1]))

    def targets(self, true: Tensor, n: int) -> Tensor:
        """(B, L, n, n): a Gaussian of height 1 around each of the points true (B, L, 2)."""
        x, y = log_gaussian(to_cells(true, n), n, self._sigma).exp().unbind(dim=2)
        return y[..., :, None] * x[..., None, :]

    def confidence(self, output: Tensor) -> Tensor:
        """See LandmarkHead.confidence: the height of the peak, at most 1 as in the targets."""
        return output.amax(dim=(2, 3)).clamp(0, 1)
