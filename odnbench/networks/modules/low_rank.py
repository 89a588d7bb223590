"""Low-rank learning module (LM), Zhu et al., CVPR 2019, Sec. 3.3.

A shared structural matrix M, kept low in rank by the nuclear norm in the objective, maps the hybrid
feature vector X to k features from which the shape is regressed: S = W_fcᵀ Mᵀ X. The paper does not
give k. W_fc has rank at most 2L, so that beyond 2L columns some directions of M would get no
gradient of the data term: by default, k is the largest power of two that is at most 2L. The
product with M is computed in float32 in every precision, as is its gradient.

To compare with, another penalty of M's singular values may stand in the place of the nuclear norm
(losses/spectral.py), or none at all: then M is a plain linear layer of the same size and the same
first weights, on which neither β nor γ acts.
"""

# B images, L landmarks, d length of the hybrid feature vector, k columns of M

from typing import Literal

import torch
from torch import Tensor, nn

from odnbench.errors import OdnbenchError
from odnbench.networks.base import SpectralName, SpectralPenalty
from odnbench.networks.precision import full_precision, widened


class LowRankModule(nn.Module):
    """X (B, d) → Mᵀ X (B, k).

    rank: k, by default `columns_for(landmarks)`. penalty: the name of what β weighs, or "none", and
    options: its options.
    """

    def __init__(
        self,
        in_features: int,
        landmarks: int,
        *,
        rank: int | None = None,
        penalty: SpectralName | Literal["none"] = SpectralPenalty.name,
        **options: float,
    ):
        super().__init__()
        if penalty == "none" and options:
            raise OdnbenchError(f"the penalty 'none' has no options, got {', '.join(options)}")
        rank = rank or columns_for(landmarks)
        self.out_features = rank
        self.penalty = None if penalty == "none" else SpectralPenalty(penalty, options)
        self.M = nn.Parameter(torch.empty(in_features, rank))
        nn.init.normal_(self.M, std=in_features**-0.5)

    def forward(self, X: Tensor) -> Tensor:
        with full_precision(X):
            return widened(X) @ self.M  # rows of X are faces, so that this is (Mᵀ X)ᵀ


def columns_for(landmarks: int) -> int:
    """k = 2^⌊log₂ 2L⌋, the number of columns of M for L landmarks."""
    return 1 << (2 * landmarks).bit_length() - 1
