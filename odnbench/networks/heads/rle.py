"""Residual log-likelihood estimation, Li et al., Human pose regression with residual log-likelihood
estimation, ICCV 2021, Sec. 3.3.

The head tells each coordinate μ̂ and its deviation σ̂. With x̄ = (μ − μ̂) / σ̂ for the true coordinates
μ, the data term is the negative log-likelihood, summed over the landmarks:

    − log Q(x̄) − log G(x̄) + log σ̂

Q is the Laplace density, exp(−|x̄|) / 2 for each coordinate, and G the density that the flow learns,
the same for all landmarks, of both coordinates. The constant log s of the paper's Eq. (8) is left
out, as in the authors' code, so that the value is no calibrated likelihood. Points outside of the
crop are as any others. W_fc gives the coordinates alone; the layer of the deviations is no part of
λ ‖W_fc‖²_F.
"""

# B images, k length of the features, L landmarks

import math
from typing import NamedTuple

from torch import Tensor, nn

from odnbench.networks.heads.flow import Flow
from odnbench.networks.heads.head import CriterionFunction
from odnbench.networks.heads.regression import Regression
from odnbench.networks.precision import full_precision, widened


class Likely(NamedTuple):
    """What a `ResidualLikelihood` head gives."""

    offsets: Tensor  # (B, L, 2) from the mean shape
    deviations: Tensor  # (B, L, 2) in (0, 1)


class ResidualLikelihood(Regression):
    """Features (B, k) → Likely. layers, width: of the flow."""

    def __init__(self, in_channels: int, side: int, landmarks: int, *, layers: int, width: int):
        super().__init__(in_channels, side, landmarks)
        self.deviations = nn.Linear(in_channels, 2 * landmarks)
        nn.init.normal_(self.deviations.weight, std=0.01)
        self.flow = Flow(layers=layers, width=width)

    def forward(self, features: Tensor) -> Likely:  # type: ignore[override]
        """See LandmarkHead.forward."""
        with full_precision(features):
            deviations = self.deviations(widened(features)).sigmoid().unflatten(1, (-1, 2))
        return Likely(super().forward(features), deviations)

    def decode(self, output: Likely, mean_shape: Tensor) -> Tensor:  # type: ignore[override]
        """See LandmarkHead.decode."""
        return super().decode(output.offsets, mean_shape)

    def data_term(
        self, output: Likely, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkHead.data_term."""
        residuals = (true - points) / output.deviations
        laplace = (residuals.abs() + math.log(2)).sum(dim=2)  # (B, L), − log Q
        learnt = self.flow(residuals.flatten(0, 1)).view_as(laplace)  # log G
        term: Tensor = (laplace - learnt + output.deviations.log().sum(dim=2)).sum(dim=1)
        return term

    def confidence(self, output: Likely) -> Tensor:
        """See LandmarkHead.confidence: 1 less the mean of both deviations, as in the paper."""
        return 1 - output.deviations.mean(dim=2)
