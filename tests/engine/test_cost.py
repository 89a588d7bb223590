"""What predicting a face costs: work by hand, memory by hand, and a trial that is not disturbed."""

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from helpers import FACES, REGISTRY, trial_of
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from odnbench.engine import cost, fit
from odnbench.engine.cost import LiveTensors, cost_of, least_seconds, multiply_adds
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.entries import Backbone
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Cost
from odnbench.results.searches import OBJECTIVES

CPU = torch.device("cpu")


class Tiny(LandmarkNetwork):
    """A convolution of 3×3 and stride 2 to four channels, and a linear layer to five points."""

    def __init__(self) -> None:
        super().__init__(landmarks=5)
        self.convolution = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.linear = nn.Linear(4 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Prediction:
        features = self.convolution(images).relu()
        return Prediction(self.linear(features.flatten(1)).unflatten(1, (5, 2)))


def test_multiply_adds_are_those_of_a_calculation_by_hand() -> None:
    """4×4 outputs in 4 channels, each of 3×3×3 inputs; then 64 inputs for each of 10 outputs."""
    assert multiply_adds(Tiny(), torch.zeros(1, 3, 8, 8)) == 4 * 4 * 4 * 27 + 64 * 10


def test_a_resnet_18_has_the_multiply_adds_that_its_paper_gives() -> None:
    """1.8e9 at 224 px (He et al., CVPR 2016, Table 1), its last layer of 512 × 1000 included."""
    backbone = REGISTRY.build(Backbone, "resnet18", attach="layer4", pretrained="none")
    found = multiply_adds(backbone.eval(), torch.zeros(1, 3, 224, 224))
    assert found + 512 * 1000 == pytest.approx(1.8e9, rel=0.02)


def test_attention_counts_as_its_two_products() -> None:
    """2 heads of 5 queries and 7 keys of length 3: 5·7·3 for the scores, as many for the values."""

    class Attention(nn.Module):
        def forward(self, queries: Tensor) -> Tensor:
            keys = queries.new_zeros(1, 2, 7, 3)
            return functional.scaled_dot_product_attention(queries, keys, keys)

    assert multiply_adds(Attention(), torch.zeros(1, 2, 5, 3)) == 2 * 2 * 5 * 7 * 3


def test_live_tensors_are_counted_as_long_as_something_holds_them() -> None:
    held = torch.zeros(100)  # 400 bytes
    with LiveTensors([held]) as live, torch.inference_mode():
        first = held + 1
        second = first * 2
        assert live.peak_bytes == 1200
        del first
        part = second[:10]  # the memory of `second`
        del second
        third = held + 1
        assert live.peak_bytes == 1200
        held.add_(1)
        assert live.peak_bytes == 1200
        fourth = held + 1
        assert live.peak_bytes == 1600
    assert len(part) == 10 and torch.equal(third, fourth - 1)


def test_peak_memory_is_that_of_weights_pictures_and_live_tensors() -> None:
    """Of 32 faces at the linear layer: pictures, features, the same flattened from channels-last
    order, and the layer's output.
    """
    network = Tiny()
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    found = cost_of(network, 8, bf16=False)
    assert found is not None
    assert found.peak_bytes == weights + 32 * 4 * (3 * 8 * 8 + 2 * 4 * 4 * 4 + 10)


def test_a_flip_test_counts_both_passes(tmp_path: Path) -> None:
    plain, flipped = TrialFolder(tmp_path / "plain"), TrialFolder(tmp_path / "flipped")
    fit.fit(trial_of("cut"), FACES, REGISTRY, plain)
    fit.fit(trial_of("cut", ["flip_test=true"]), FACES, REGISTRY, flipped)
    assert plain.result.cost is not None and flipped.result.cost is not None
    assert flipped.result.cost.multiply_adds == 2 * plain.result.cost.multiply_adds


@pytest.mark.parametrize(
    ("seconds", "least"),
    [
        ((9, 0.01, 0.03, 0.02), 9),  # nothing is run a second time that takes so long
        ((0.1, 0.02, 0.05, 0.01, 0.04, 0.03, 7), 0.01),
        ((0.3, 0.2, 0.1, 0.01), 0.2),  # 0.4 s are over after the second run
    ],
)
def test_times_are_those_of_the_fastest_run(
    seconds: tuple[float, ...], least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.chain.from_iterable((0.0, taken) for taken in seconds)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(ticks))
    assert least_seconds(lambda: None, CPU) == pytest.approx(least)


def test_a_trial_is_the_same_whether_or_not_its_cost_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for name in ("measured", "not"):
        fit.fit(trial_of("odn"), FACES, REGISTRY, TrialFolder(tmp_path / name))
        ends.append((TrialFolder(tmp_path / name), torch.get_rng_state()))
        monkeypatch.setattr(fit, "cost_of", lambda *_: None)
    (measured, state), (without, other_state) = ends
    assert torch.equal(state, other_state)
    assert (measured.predictions.predicted == without.predictions.predicted).all()
    weights, others = load_file(measured.checkpoint), load_file(without.checkpoint)
    assert all(torch.equal(weights[key], others[key]) for key in others)
    assert without.result.cost is None
    found = measured.result.cost
    assert isinstance(found, Cost)
    assert min(found.multiply_adds, found.ms_single, found.ms_batched) > 0
    assert found.peak_bytes > 4 * measured.result.parameters
    assert found.threads == torch.get_num_threads()


def test_the_mean_shape_has_no_cost(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "a")
    fit.fit(trial_of("mean-shape"), FACES, REGISTRY, folder)
    result = folder.result
    assert result.cost is None
    # As an objective of a search, it would count as no number.
    assert math.isnan(OBJECTIVES["madds"].of(result))
    measured = dataclasses.replace(result, cost=Cost(2_500_000, 1.0, 1.0, 1, 1))
    assert OBJECTIVES["madds"].of(measured) == 2.5
