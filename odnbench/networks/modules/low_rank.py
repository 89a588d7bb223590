"""Low-rank learning module (LM), Zhu et al., CVPR 2019, Sec. 3.3.

A shared structural matrix M, kept low in rank by the nuclear norm in the objective, maps the hybrid
feature vector X to k features from which the shape is regressed: S = W_fcᵀ Mᵀ X. The paper does not
give k; W_fc has rank at most 2L, so that more columns than 2L get no gradient of the data term. The
product with M is computed in float32 in every precision, as is its gradient.
"""

# B images, d length of the hybrid feature vector, k columns of M

import torch
from torch import Tensor, nn

from odnbench.networks.precision import full_precision, widened


class LowRankModule(nn.Module):
    """X (B, d) → Mᵀ X (B, k)."""

    def __init__(self, in_features: int, *, rank: int):
        super().__init__()
        self.out_features = rank
        self.M = nn.Parameter(torch.empty(in_features, rank))
        nn.init.normal_(self.M, std=in_features**-0.5)

    def forward(self, X: Tensor) -> Tensor:
        with full_precision(X):
            return widened(X) @ self.M  # rows of X are faces, so that this is (Mᵀ X)ᵀ
