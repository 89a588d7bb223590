"""Positions in cells along a side of a square map, and Gaussians around them.

Positions count from the centre of the first cell: cell i of n has its centre at i, which is
(2i + 1) / n − 1 in [-1, 1] over the crop. Positions outside of the crop are beyond −1/2 or n − 1/2.
"""

# n cells along a side

import torch
from torch import Tensor


def to_cells(points: Tensor, n: int) -> Tensor:
    """Positions in cells, of positions in [-1, 1] over the crop; any shape."""
    return (points + 1) * (n / 2) - 0.5


def from_cells(positions: Tensor, n: int) -> Tensor:
    """The inverse of `to_cells`."""
    return (positions + 0.5) * (2 / n) - 1


def column_and_row(index: Tensor, n: int) -> Tensor:
    """(…, 2): x y of the cells that have the numbers `index` (…) in a map of n×n, row by row."""
    return torch.stack([index % n, index // n], dim=-1)


def log_gaussian(positions: Tensor, n: int, sigma: float) -> Tensor:
    """(…, n): logarithm of a Gaussian of height 1 and deviation `sigma` around each of `positions`
    (…), at the centres of the n cells; positions and sigma in cells.
    """
    cells = torch.arange(n, dtype=positions.dtype, device=positions.device)
    return (cells - positions[..., None]).square() * (-0.5 / sigma**2)
