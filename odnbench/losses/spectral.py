"""The penalties of M's singular values that β of Eq. (3) can weigh, by name.

The paper's is the nuclear norm; the others are nearer to the rank, but not convex. None of them
enters the graph: a penalty gives its value from the singular values, which are computed once an
epoch, and adds its gradient to that of the data term after each backward pass.
"""

from typing import Protocol

from torch import Tensor

from odnbench.arrays import Floats
from odnbench.losses.nuclear import NuclearNorm
from odnbench.losses.smooth_rank import LogDet, SchattenNorm
from odnbench.networks.base import SpectralName, SpectralPenalty
from odnbench.plan.conversion import convert, from_mapping


class Spectral(Protocol):
    """A function of the singular values of M (d, k) that is 0 where M is."""

    def value(self, sigma: Floats) -> float:
        """The penalty of a matrix with the singular values `sigma` (min(d, k),)."""

    def add_gradient(self, gradient: Tensor, M: Tensor, weight: float) -> None:
        """Adds weight · ∂/∂M to `gradient`, in place; both (d, k). On a GPU without waiting."""


PENALTIES: dict[SpectralName, type[Spectral]] = {
    "nuclear": NuclearNorm,
    "log-det": LogDet,
    "schatten": SchattenNorm,
}


def build_spectral(penalty: SpectralPenalty) -> Spectral:
    """The penalty that a module names; OdnbenchError for an unknown name, or options it lacks."""
    name: SpectralName = convert(penalty.name, SpectralName, "penalty")
    return from_mapping(PENALTIES[name], penalty.options, f"penalty '{name}'")
