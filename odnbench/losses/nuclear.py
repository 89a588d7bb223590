"""Nuclear norm ‖M‖_* and its subgradient U Vᵀ, Zhu et al., CVPR 2019, Eqs. (4)–(8).

The subgradient is M (MᵀM)^(-1/2), Eq. (8), so that a step needs the inverse root of the small Gram
matrix MᵀM instead of an SVD of M. The Gram matrix squares the singular values: single precision
is enough where the largest is up to 16 times the smallest; other matrices need double precision.
Directions whose singular value is below about 1e-5 of the largest get a smaller subgradient or 0,
which is an element of the subdifferential where they are zero. In all others the subgradient is
within 1e-4 of the SVD's, in the spectral norm.
"""

# M (d, k) with d ≥ k, MᵀM = V Σ² Vᵀ

from dataclasses import dataclass

import torch
from torch import Tensor

from odnbench.arrays import Floats

_WELL_CONDITIONED = 16.0  # σ_max / σ_min up to which single precision is enough for the Gram matrix
_SMALLEST = 1e-5  # singular values below it, relative to the largest, count as zero


@dataclass(frozen=True)
class NuclearNorm:
    """‖M‖_*, as one of the penalties of losses/spectral.py."""

    def value(self, sigma: Floats) -> float:
        """See Spectral."""
        return float(sigma.sum())

    def add_gradient(self, gradient: Tensor, M: Tensor, weight: float) -> None:
        """See Spectral."""
        add_nuclear_subgradient(gradient, M, weight)


@torch.no_grad()
def singular_values(M: Tensor) -> Tensor:
    """(min(d, k),) float64, the largest first; their sum is ‖M‖_*."""
    sigma: Tensor = torch.linalg.svdvals(M.double())
    return sigma


@torch.no_grad()
def add_nuclear_subgradient(gradient: Tensor, M: Tensor, weight: float) -> None:
    """Adds weight · U Vᵀ to `gradient`, in place; both (d, k). On a GPU without waiting for it."""
    if M.shape[0] < M.shape[1]:
        gradient, M = gradient.T, M.T
    if M.is_cuda:
        wide = M.double()
        gradient.add_(wide @ _inverse_root(wide.T @ wide), alpha=weight)
        return
    squares, V = torch.linalg.eigh(M.T @ M)  # ascending, (k,) and (k, k)
    if M.dtype != torch.float64 and squares[-1] > _WELL_CONDITIONED**2 * squares[0]:
        M = M.double()
        squares, V = torch.linalg.eigh(M.T @ M)
    kept = squares > squares[-1] * _SMALLEST**2
    root = (V * torch.where(kept, squares.rsqrt(), 0)) @ V.T
    if M.dtype == gradient.dtype:
        gradient.addmm_(M, root, alpha=weight)
    else:
        gradient.add_(M @ root, alpha=weight)


def _inverse_root(gram: Tensor) -> Tensor:
    """G^(-1/2) of G (k, k), symmetric, positive semi-definite, float64, by matrix products alone.

    Coupled Newton–Schulz iteration, Higham, Functions of Matrices, 2008, Eq. (6.35), scaled as in
    Chen and Chow, A stable scaling of Newton-Schulz for improving the sign function computation of
    a Hermitian matrix, 2014: with a bound on the smallest singular value, the number of iterations
    and the scale of each are known beforehand.
    """
    # An upper bound of the eigenvalues of G.
    bound = torch.linalg.matrix_norm(gram) + torch.finfo(gram.dtype).tiny
    Y, Z = gram / bound, torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    smallest = _SMALLEST / 4  # the bound is up to √k times the largest eigenvalue
    while smallest < 1 - 1e-9:
        a = (3 / (1 + smallest + smallest**2)) ** 0.5
        T = (Z @ Y).mul_(-(a**3) / 2)
        T.diagonal().add_(1.5 * a)
        Y, Z = Y @ T, T @ Z
        smallest = a * smallest * (3 - a**2 * smallest**2) / 2
    inverse_root: Tensor = Z / bound.sqrt()
    return inverse_root
