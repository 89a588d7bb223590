"""Nuclear norm ‖M‖_* and its subgradient U Vᵀ, Zhu et al., CVPR 2019, Eqs. (4)–(8).

Both come from the eigenvalues of the small Gram matrix MᵀM = V Σ² Vᵀ instead of an SVD of M:
‖M‖_* = Σ σ and U Vᵀ = M V Σ⁻¹ Vᵀ. Directions whose singular value is zero to rounding get
subgradient 0, which is an element of the subdifferential there. The Gram matrix squares singular
values: those below about 1e-6 of the largest lose digits.
"""

# M (d, k)

import torch
from torch import Tensor


def nuclear_norm(M: Tensor) -> tuple[Tensor, Tensor]:
    """‖M‖_*, a scalar, and U Vᵀ (d, k). No graph is kept."""
    with torch.no_grad():
        if M.shape[0] < M.shape[1]:
            norm, subgradient = nuclear_norm(M.T)
            return norm, subgradient.T
        sigma, V = _spectrum(M)
        inverse = torch.where(sigma > 0, 1 / sigma, 0)
        subgradient = M @ ((V * inverse) @ V.T).to(M.dtype)  # Eq. (8)
        return sigma.sum(), subgradient


def singular_values(M: Tensor) -> Tensor:
    """(min(d, k),) float64, the largest first; 0 where they are zero to rounding."""
    with torch.no_grad():
        return _spectrum(M if M.shape[0] >= M.shape[1] else M.T)[0].flip(0)


def _spectrum(M: Tensor) -> tuple[Tensor, Tensor]:
    """Σ (k,), ascending, and V (k, k) of M (d, k) with d ≥ k, in float64."""
    wide = M.double()  # MᵀM squares the condition number: single precision would lose small σ
    squares, V = torch.linalg.eigh(wide.T @ wide)  # ascending, (k,) and (k, k)
    # Forming MᵀM rounds its eigenvalues by about eps · σ_max².
    kept = squares > squares[-1] * torch.finfo(wide.dtype).eps * M.shape[1]
    return torch.where(kept, squares, 0).sqrt(), V
