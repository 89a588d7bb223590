"""The moving average of a network's weights, which is validated and kept in the network's place.

    average ← d · average + (1 − d) · weights        after each step of the optimiser

The decay d rises to its full value: step t, counted from 1, has d = min(decay, (1 + t) / (10 + t)),
so that the average of a short training does not consist of its first weights. The running means and
variances of batch norms are averaged alike, since they belong to the weights that made them; their
counts of batches are taken over. What epochs record of M and of penalties is that of the weights,
not of their average.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from odnbench.networks.base import LandmarkNetwork


class Average:
    """The average of `network`, beginning at the network as it is now."""

    def __init__(self, network: LandmarkNetwork, decay: float):
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self._decay, self._steps = decay, 0

    @torch.no_grad()
    def update(self, network: LandmarkNetwork) -> None:
        """Takes the weights after a step into the average; a GPU is not waited for."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        averaged = [(own, new) for own, new in pairs if own.is_floating_point()]
        get_ema_multi_avg_fn(decay)(*map(list, zip(*averaged, strict=True)), 0)
        for own, new in pairs:
            if not own.is_floating_point():
                own.copy_(new)

    def state_dict(self) -> dict[str, Any]:
        """All that later averages depend on."""
        return {"network": self.network.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the average as it was when `state_dict` was called."""
        self.network.load_state_dict(state["network"])
        self._steps = state["steps"]


def _tensors(network: LandmarkNetwork) -> Iterator[Tensor]:
    """The parameters and the buffers of `network`, in their order."""
    yield from network.parameters()
    yield from network.buffers()
