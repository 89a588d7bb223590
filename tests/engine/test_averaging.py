"""The moving average of weights, by hand."""

import copy

import torch
from torch import Tensor, nn

from odnbench.engine.averaging import Average
from odnbench.networks.base import LandmarkNetwork


class Tiny(LandmarkNetwork):
    """A weight, and a batch norm whose statistics are buffers."""

    def __init__(self) -> None:
        super().__init__(landmarks=2)
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.norm = nn.BatchNorm1d(1)


def after_three_steps(decay: float) -> tuple[Tiny, Average]:
    network = Tiny()
    average = Average(network, decay)
    for step in range(3):
        with torch.no_grad():
            network.weight += 10.0**step
            network.norm.running_mean.fill_(step + 1.0)  # type: ignore[operator, union-attr]
            network.norm.num_batches_tracked.fill_(step + 1)  # type: ignore[operator, union-attr]
        average.update(network)
    return network, average


def by_hand(values: list[float], first: float, decays: list[float]) -> float:
    average = first
    for value, decay in zip(values, decays, strict=True):
        average = decay * average + (1 - decay) * value
    return average


def test_after_three_steps_the_average_is_that_of_hand_whose_decay_rises() -> None:
    rising = [2 / 11, 3 / 12, 4 / 13]
    for decay, decays in ((0.999, rising), (0.2, [2 / 11, 0.2, 0.2])):
        _, average = after_three_steps(decay)
        expected = [
            by_hand([first + 1, first + 11, first + 111], first, decays) for first in (1.0, -2.0)
        ]
        torch.testing.assert_close(average.network.weight, torch.tensor(expected))
        # Statistics are averaged as weights are, and begin at 0.
        mean = average.network.norm.running_mean
        torch.testing.assert_close(mean, torch.tensor([by_hand([1.0, 2.0, 3.0], 0.0, decays)]))


def test_counts_of_batches_are_taken_over_and_the_network_is_left_alone() -> None:
    network, average = after_three_steps(0.9)
    norm: nn.BatchNorm1d = average.network.norm  # type: ignore[assignment]
    assert norm.num_batches_tracked == 3 and norm.num_batches_tracked.dtype == torch.long
    torch.testing.assert_close(network.weight, torch.tensor([112.0, 109.0]))
    assert network.weight.requires_grad and not average.network.weight.requires_grad


def test_an_average_that_is_restored_goes_on_as_if_it_had_not_stopped() -> None:
    network, average = after_three_steps(0.999)
    state = copy.deepcopy(average.state_dict())
    other = Average(Tiny(), 0.999)
    other.load_state_dict(state)
    for one in (average, other):
        one.update(network)
    found: list[Tensor] = [one.network.weight.detach() for one in (average, other)]
    assert torch.equal(*found)
