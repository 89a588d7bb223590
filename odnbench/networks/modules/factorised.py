"""A structural matrix that is low in rank by construction: M = A B, to compare LM with.

LM asks the objective for a low rank; here the rank is at most r whatever the objective. β and γ of
Eq. (3) act on a matrix that is a parameter, and so not on this product: a nuclear norm of M would
mix both ways to a low rank, since its least upper bound, (‖A‖²_F + ‖B‖²_F) / 2, is weight decay of
the factors (Srebro et al., Maximum-margin matrix factorization, NIPS 2004).
"""

# B images, L landmarks, d length of the hybrid feature vector, k columns of M, r the rank

import torch
from torch import Tensor, nn

from odnbench.errors import OdnbenchError
from odnbench.networks.modules.low_rank import columns_for
from odnbench.networks.precision import full_precision, widened


class FactorisedModule(nn.Module):
    """X (B, d) → (A B)ᵀ X (B, k), in float32 in every precision.

    k is that of LM for as many landmarks. rank: r, by default a quarter of k. Raises OdnbenchError
    for a rank that is no restriction.
    """

    def __init__(self, in_features: int, landmarks: int, *, rank: int | None = None):
        super().__init__()
        self.out_features = columns_for(landmarks)
        rank = max(1, self.out_features // 4) if rank is None else rank
        full = min(in_features, self.out_features)
        if not 1 <= rank < full:
            raise OdnbenchError(
                f"rank must be at least 1 and below {full}, the rank of any {in_features}×"
                f"{self.out_features} matrix, got {rank}; try {max(1, full // 4)}"
            )
        self.A = nn.Parameter(torch.empty(in_features, rank))
        self.B = nn.Parameter(torch.empty(rank, self.out_features))
        # Together they give the entries of A B the variance of those of LM's M, 1/d.
        nn.init.normal_(self.A, std=in_features**-0.5)
        nn.init.normal_(self.B, std=rank**-0.5)

    @property
    def M(self) -> Tensor:  # noqa: N802  the paper's letter
        """(d, k) the structural matrix A B."""
        return self.A @ self.B

    def forward(self, X: Tensor) -> Tensor:
        with full_precision(X):
            return widened(X) @ self.A @ self.B
