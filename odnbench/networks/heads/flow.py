"""A density of the plane that is learnt: RealNVP, Dinh et al., ICLR 2017, Eqs. (7) and (8).

Coupling layers lead a point x to z, of which the density is the standard normal one. Each layer
leaves one coordinate as it is, which says how the other is shifted and scaled. Layers, widths and
activations are those of Li et al., ICCV 2021, Sec. 4; one small network per layer gives both shift
and scale here, where the paper's code has two. Before it is trained, the density is close to the
standard normal one.
"""

# N points

import math

import torch
from torch import Tensor, nn


class Flow(nn.Module):
    """Points (N, 2) → logarithm of their density (N,)."""

    def __init__(self, *, layers: int, width: int):
        super().__init__()
        self.couplings = nn.ModuleList(_coupling(width) for _ in range(layers))

    def forward(self, points: Tensor) -> Tensor:
        kept, changed = points.unbind(dim=1)
        log_volume = torch.zeros_like(kept)  # log |∂z / ∂x|
        for coupling in self.couplings:
            shift, scale = coupling(kept[:, None]).unbind(dim=1)
            scale = scale.tanh()
            log_volume = log_volume - scale
            kept, changed = (changed - shift) * (-scale).exp(), kept
        return log_volume - (kept.square() + changed.square()) / 2 - math.log(2 * math.pi)


def _coupling(width: int) -> nn.Module:
    """One coordinate (N, 1) → shift and scale (N, 2) of the other."""
    last = nn.Linear(width, 2)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(1, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(), last
    )
