"""Sub-pixel position of a map's peak, Zhang et al., Distribution-aware coordinate representation
for human pose estimation (DARK), CVPR 2020, Sec. 3.2.

The map is smoothed by the Gaussian of its targets, Eq. (8); from the highest cell m, a Newton step
leads to the maximum of the logarithm, m − D''⁻¹ D', Eq. (7), which is exact where the map is a
Gaussian. The paper gives no differences for the derivatives; ours span a cell to either side, taken
around the nearest cell that has all its neighbours. A step of more than a cell, or without a
maximum, is no refinement.
"""

# B images, L landmarks, n×n map

import torch
from torch import Tensor

from odnbench.networks.heads.cells import column_and_row, log_gaussian
from odnbench.networks.precision import full_precision

_LEAST = 1e-10  # where the smoothed map is not positive, its logarithm is that of this


def refined_peaks(maps: Tensor, sigma: float) -> Tensor:
    """(B, L, 2): x y of the peaks of maps (B, L, n, n), in cells; n at least 3, sigma in cells."""
    n = maps.shape[-1]
    smooth = smoothed(maps, sigma).flatten(2)  # (B, L, n²)
    peaks = column_and_row(smooth.argmax(dim=2), n)
    middle = peaks.clamp(1, n - 2)
    near = torch.arange(-1, 2, device=maps.device)
    columns, rows = (middle[..., None] + near).unbind(dim=2)  # (B, L, 3)
    patches = smooth.gather(2, (rows[..., :, None] * n + columns[..., None, :]).flatten(2))
    step = _newton_step(patches.clamp(min=_LEAST).log().unflatten(2, (3, 3)))
    found = middle + step
    reached = (found - peaks).abs().amax(dim=2, keepdim=True) <= 1  # False for nan
    return torch.where(reached, found, peaks.to(found))


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """maps (B, L, n, n), convolved with a Gaussian of height 1 and deviation `sigma` cells.

    Beyond its edge a map is 0, which draws a peak that lies less than 2 `sigma` from the edge away
    from it.
    """
    n = maps.shape[-1]
    K = log_gaussian(torch.arange(n, dtype=maps.dtype, device=maps.device), n, sigma).exp()
    with full_precision(maps):
        return K @ maps @ K


def _newton_step(patches: Tensor) -> Tensor:
    """(B, L, 2): from the middle of patches (B, L, 3, 3), rows first, to the maximum of the
    quadratic function through them; nan where it has none.
    """
    left, right = patches[..., 1, 0], patches[..., 1, 2]
    above, below = patches[..., 0, 1], patches[..., 2, 1]
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx = right + left - 2 * patches[..., 1, 1]
    dyy = below + above - 2 * patches[..., 1, 1]
    falling, rising = (
        patches[..., 2, 2] + patches[..., 0, 0],
        patches[..., 0, 2] + patches[..., 2, 0],
    )
    dxy = (falling - rising) / 4
    determinant = dxx * dyy - dxy.square()
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    is_maximum = (dxx < 0) & (determinant > 0)
    return torch.where(is_maximum[..., None], step / determinant[..., None], torch.nan)
