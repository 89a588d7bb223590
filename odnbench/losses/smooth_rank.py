"""Smooth functions of the singular values σ of M that are nearer to its rank than their sum.

    log det (I + MᵀM / δ)                 Σ log (1 + σ²/δ)
    Tr (MᵀM + δI)^(p/2) − k δ^(p/2)       Σ (σ² + δ)^(p/2) − δ^(p/2)

The first is log det (MᵀM + δI) up to a constant that makes it 0 at M = 0. The second tends to the
Schatten-p quasi norm Σ σ^p for δ → 0, whose gradient has no bound near σ = 0. Both are those of
Mohan and Fazel, Iterative reweighted algorithms for matrix rank minimization, JMLR 2012.

Their gradients, 2 M (MᵀM + δI)^(-1) and p M (MᵀM + δI)^(p/2 − 1), need the small Gram matrix alone,
in double precision, since it squares the singular values. A power between −1 and 0 is an integral
of inverses: they are computed all at once, without a decomposition, for which a GPU would have to
be waited for.
"""

# M (d, k) with d ≥ k, G = MᵀM (k, k), n shifts

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from odnbench.arrays import Floats
from odnbench.plan.conversion import bound

_NODES = 48  # of the integral
_TAIL = 1e-5  # of the smallest eigenvalue, and its inverse of the largest: where the tails begin


@dataclass(frozen=True)
class LogDet:
    """log det (I + MᵀM / δ). delta: δ; a σ well below its root counts as zero."""

    delta: float

    def __post_init__(self) -> None:
        bound("log-det", self, "delta", 1e-8)

    def value(self, sigma: Floats) -> float:
        """See Spectral."""
        return float(np.log1p(sigma**2 / self.delta).sum())

    @torch.no_grad()
    def add_gradient(self, gradient: Tensor, M: Tensor, weight: float) -> None:
        """See Spectral."""
        if M.shape[0] < M.shape[1]:
            gradient, M = gradient.T, M.T
        wide = M.double()
        shift = torch.full((1,), self.delta, dtype=wide.dtype, device=wide.device)
        gradient.add_(wide @ _inverses(wide.T @ wide, shift)[0], alpha=2 * weight)


@dataclass(frozen=True)
class SchattenNorm:
    """Σ (σ² + δ)^(p/2) − δ^(p/2). p: in (0, 1); delta: δ; a σ well below its root counts as 0."""

    p: float
    delta: float

    def __post_init__(self) -> None:
        bound("schatten", self, "p", 0.01, 0.99)
        bound("schatten", self, "delta", 1e-8)

    def value(self, sigma: Floats) -> float:
        """See Spectral."""
        powers = (sigma**2 + self.delta) ** (self.p / 2) - self.delta ** (self.p / 2)
        return float(powers.sum())

    @torch.no_grad()
    def add_gradient(self, gradient: Tensor, M: Tensor, weight: float) -> None:
        """See Spectral."""
        if M.shape[0] < M.shape[1]:
            gradient, M = gradient.T, M.T
        wide = M.double()
        power = _power(wide.T @ wide, self.delta, 1 - self.p / 2)
        gradient.add_(wide @ power, alpha=self.p * weight)


def _power(G: Tensor, delta: float, a: float) -> Tensor:
    """(G + δI)^(−a) of G (k, k), symmetric, positive semi-definite, float64; 0 < a < 1.

    It is sin(πa)/π ∫ e^((1−a)x) (G + δI + e^x I)^(−1) dx over all x. The trapezoidal rule converges
    exponentially, and where e^x is far below or above all eigenvalues the rest is a geometric
    series. The relative error is below 1e-6 where no root of an eigenvalue of G is above 1e7 √δ.
    """
    low, high = math.log(_TAIL * delta), ((G.trace() + delta) / _TAIL).log()
    step = (high - low) / _NODES
    x = low + step * torch.arange(_NODES + 1, dtype=G.dtype, device=G.device)
    weights = step * torch.exp((1 - a) * x)
    power = (weights[:, None, None] * _inverses(G, delta + x.exp())).sum(dim=0)
    below = weights[:1] / torch.expm1((1 - a) * step)
    power += below * _inverses(G, torch.full_like(below, delta))[0]
    power.diagonal().add_(step * torch.exp(-a * high) / torch.expm1(a * step))
    return power * (math.sin(math.pi * a) / math.pi)


def _inverses(G: Tensor, shifts: Tensor) -> Tensor:
    """(n, k, k) the inverses of G + tI for each t of `shifts` (n,), above 0, float64."""
    identity = torch.eye(len(G), dtype=G.dtype, device=G.device)
    shifted = G + shifts[:, None, None] * identity
    factors = torch.linalg.cholesky_ex(shifted).L  # `cholesky` would wait for a GPU
    return torch.cholesky_inverse(factors)
