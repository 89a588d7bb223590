"""The ranks of the structural matrix M, and of what the network makes of it."""

# d×k the structural matrix M, k×2L the regression matrix W_fcᵀ, σ singular values

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from odnbench.metrics.rank import effective_rank, stable_rank
from odnbench.reports.rows import Row


@dataclass(frozen=True)
class RankRow:
    """The ranks of M and M W_fcᵀ for a row's first seed.

    A pair holds a rank after the first epoch, and that of the weights that were kept.
    """

    row: Row
    shape: tuple[int, int] | None  # (d, k); None in results that do not hold it
    spectrum: tuple[float, ...]  # σ of M, the largest first: min(d, k) numbers
    effective: tuple[float, float]
    stable: tuple[float, float]
    # σ of M W_fcᵀ, which maps features to shapes; empty in results that do not hold them.
    product_spectrum: tuple[float, ...] = ()

    @property
    def product_effective(self) -> float | None:
        """The effective rank of M W_fcᵀ, of the weights that were kept."""
        return effective_rank(np.array(self.product_spectrum)) if self.product_spectrum else None

    @property
    def product_stable(self) -> float | None:
        """The stable rank of M W_fcᵀ, of the weights that were kept."""
        return stable_rank(np.array(self.product_spectrum)) if self.product_spectrum else None


def ranks_of(rows: Iterable[Row]) -> tuple[RankRow, ...]:
    """The ranks for the rows whose networks have a structural matrix."""
    found = []
    for row in rows:
        first = row.trials[0]
        result = first.result
        if result.spectrum and first.epochs:
            sigma, start = np.array(result.spectrum), first.epochs[0]
            found.append(
                RankRow(
                    row,
                    shape=result.shapes.structural_matrix if result.shapes else None,
                    spectrum=result.spectrum,
                    effective=(start.effective_rank or 0.0, effective_rank(sigma)),
                    stable=(start.stable_rank or 0.0, stable_rank(sigma)),
                    product_spectrum=result.product_spectrum,
                )
            )
    return tuple(found)
