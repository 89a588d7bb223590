"""What is wrong with a trial's network is told before it runs; so is the memory that it takes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from helpers import FACES, random_faces, trial_of
from torch import Tensor, nn

from odnbench.engine.check import Footprint, check_trial, check_trials, in_threads, kind_of
from odnbench.engine.probe import probe
from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.networks.odn import OcclusionAdaptiveNetwork
from odnbench.plan.conversion import replace_at
from odnbench.plan.entries import Criterion, Module, Variant
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial

REGISTRY = Registry.load()
HERE = __name__


class OneLayer(LandmarkNetwork):
    """As little as can be trained; counts how often it is built."""

    built = 0

    def __init__(self, landmarks: int, **_: Any):
        super().__init__(landmarks)
        type(self).built += 1
        self.last = nn.Linear(3, 2 * landmarks, bias=False)

    def forward(self, images: Tensor) -> Prediction:
        points = self.last(images.mean(dim=(2, 3))).unflatten(1, (-1, 2))
        return self.spoil(points)

    def spoil(self, points: Tensor) -> Prediction:
        return Prediction(points, None)


class Flat(OneLayer):
    def spoil(self, points: Tensor) -> Prediction:
        return Prediction(points.flatten(1), None)


class WideMap(OneLayer):
    def spoil(self, points: Tensor) -> Prediction:
        return Prediction(points, torch.ones(len(points), 2, 4, 4))


class NotFinite(OneLayer):
    def spoil(self, points: Tensor) -> Prediction:
        return Prediction(points / 0.0, None)


class Bare(OneLayer):
    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(images).points


class Overwrites(OneLayer):
    """Changes what autograd needs."""

    def spoil(self, points: Tensor) -> Prediction:
        exponential = points.exp()
        scaled = exponential * 2
        exponential.add_(1)
        return Prediction(scaled, None)


class Unbuildable(OneLayer):
    def __init__(self, **_: Any):
        raise KeyError("width")


class NoGradient(OneLayer):
    def spoil(self, points: Tensor) -> Prediction:
        return Prediction(points.detach(), None)


class BadModule(nn.Module):
    """A geometry module whose inner layer does not fit."""

    def __init__(self, in_channels: int, *, fits: bool):
        super().__init__()
        if not fits:
            raise ValueError("of two\nlines")
        self.out_channels = in_channels
        self.inner = nn.Sequential(nn.Conv2d(in_channels + 1, in_channels, 1))

    def forward(self, Z: Tensor) -> Tensor:
        out: Tensor = self.inner(Z)
        return out


def not_finite(predicted: Tensor, true: Tensor) -> Tensor:
    return (predicted - true).sum(dim=(1, 2)) / 0.0


def registry_with(**entries: Mapping[str, Any]) -> Registry:
    families = {
        name: {**REGISTRY.entries[name], **entries.get(name, {})} for name in REGISTRY.entries
    }
    return Registry(families)


def with_network(network: type, *overrides: str) -> tuple[Trial, Registry]:
    """A trial of a variant that is `network`."""
    trial = trial_of("odn", overrides)
    name = network.__name__
    variant = Variant(name, name, {}, network=f"{HERE}:{name}")
    spec = dataclasses.replace(trial.spec, variant=name)
    return dataclasses.replace(trial, id=name, spec=spec), registry_with(variants={name: variant})


@pytest.mark.parametrize("variant", REGISTRY.all(Variant))
def test_every_variant_can_be_trained(variant: str) -> None:
    trial = trial_of(variant)
    network = build_network(trial.spec, REGISTRY, trial.scheme.points)
    before = torch.get_rng_state()
    footprint = check_trial(trial, REGISTRY)
    assert torch.equal(torch.get_rng_state(), before)
    assert footprint.parameters == sum(p.numel() for p in network.parameters())
    assert (footprint.training_bytes > 16 * footprint.parameters) == (variant != "mean-shape")


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Flat, r"points of shape \(B, L, 2\), here \(2, 68, 2\), got \(2, 136\)"),
        (WideMap, r"occlusion map of shape \(B, 1, h, w\).*, got \(2, 2, 4, 4\)"),
        (NotFinite, "gives points that are not finite"),
        (Bare, "must return a Prediction, got Tensor"),
        (Overwrites, "backward pass: RuntimeError: .*modified by an inplace operation"),
        (NoGradient, "backward pass: RuntimeError: .*does not require grad"),
        (Unbuildable, f"network {HERE}:Unbuildable: KeyError: 'width'"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_network_that_is_not_one_is_told_with_its_variant(network: type, told: str) -> None:
    with pytest.raises(OdnbenchError, match=f"^variant {network.__name__}: .*{told}"):
        check_trial(*with_network(network))


@pytest.mark.parametrize(
    ("fits", "told"),
    [
        (True, r"model\.geometry 'bad', its inner\.0: RuntimeError: Given groups=1"),
        (False, rf"model\.geometry 'bad' \({HERE}:BadModule\): ValueError: of two lines$"),
    ],
)
def test_a_module_that_fails_is_told_with_its_key(fits: bool, told: str) -> None:
    module = Module("bad", "", f"{HERE}:BadModule", {"fits": fits}, slot="geometry")
    registry = registry_with(modules={"bad": module})
    spec = trial_of().spec
    spec = replace_at(spec, "model.geometry", "bad")
    with pytest.raises(OdnbenchError, match=f"^variant odn: {told}"):
        check_trial(dataclasses.replace(trial_of(), spec=spec), registry)


@pytest.mark.parametrize(
    ("target", "told"), [("not_finite", "gives (nan|-?inf)"), ("absent", "cannot be imported")]
)
def test_a_criterion_that_fails_is_told(target: str, told: str) -> None:
    registry = registry_with(criteria={"bad": Criterion("bad", "", f"{HERE}:{target}")})
    spec = trial_of().spec
    spec = dataclasses.replace(spec, loss=dataclasses.replace(spec.loss, criterion="bad"))
    with pytest.raises(OdnbenchError, match=told):
        check_trial(dataclasses.replace(trial_of(), spec=spec), registry)


def test_all_faults_are_told_at_once_and_each_network_is_checked_once() -> None:
    (flat, registry), (bare, more) = with_network(Flat), with_network(Bare)
    both = Registry({**registry.entries, "variants": {**registry.entries["variants"], **more.entries["variants"]}})  # fmt: skip # noqa: E501
    again = dataclasses.replace(flat, id="again", spec=dataclasses.replace(flat.spec, seed=1))
    Flat.built = 0
    with pytest.raises(OdnbenchError) as raised:
        check_trials([flat, trial_of("brnet"), bare, again], both)
    lines = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["variant Flat", "variant Bare"]
    assert Flat.built == 1


def test_memory_grows_with_parameters_and_batch_as_it_should() -> None:
    """By hand: 16 bytes per parameter (SGD: 12), and the same for each image of the batch."""

    def footprint(*overrides: str) -> Footprint:
        return check_trial(*with_network(OneLayer, "precision=float32", *overrides))

    small, large = footprint("batch_size=8"), footprint("batch_size=16")
    parameters = 3 * 2 * 68
    assert small.parameters == large.parameters == parameters
    assert 2 * small.training_bytes - large.training_bytes == 16 * parameters
    assert footprint("batch_size=24") == footprint("batch_size=1000")  # there are no more faces
    sgd = footprint("batch_size=8", "optimizer=sgd")
    assert small.training_bytes - sgd.training_bytes == 4 * parameters
    # The picture; what the layer keeps of it, 3 numbers; the square's difference, 2 L.
    assert small.training_bytes - 16 * parameters == 8 * 4 * (3 * 32 * 32 + 3 + 2 * 68)


def test_a_trial_that_does_not_fit_the_machine_is_told_with_the_cure() -> None:
    trial = trial_of()
    needed = check_trial(trial, REGISTRY).training_bytes
    assert check_trials([trial], REGISTRY, needed)[trial.id].training_bytes == needed
    with pytest.raises(OdnbenchError, match=r"lower train\.batch_size \(now 8\) or data\.input"):
        check_trials([trial], REGISTRY, needed - 1)


@pytest.mark.slow
def test_the_estimate_of_memory_holds_within_a_factor_of_two() -> None:
    """Against the growth of the process's peak while a network of some size is trained."""
    trial = trial_of("odn", ["backbone=resnet18", "input_size=128", "batch_size=16"])
    faces = random_faces(24, size=trial.spec.data.stored_size)
    estimated = check_trial(trial, REGISTRY).training_bytes
    measured = probe(
        trial, dataclasses.replace(FACES, train=faces, test=faces), REGISTRY, seconds=0
    ).peak_bytes
    assert estimated / 2 < measured < estimated * 2


def test_the_number_of_threads_is_set_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), in_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_a_network_of_the_registry_is_built_like_its_trial() -> None:
    """Attributes and slots of the network's own modules are named as the spec names them."""
    network = build_network(trial_of().spec, REGISTRY, 68)
    assert isinstance(network, OcclusionAdaptiveNetwork)
    names = {name for name, _ in network.named_children()}
    assert {"backbone", "geometry", "distillation", "low_rank"} <= names


def test_a_network_that_is_not_trained_needs_no_criterion_of_its_points() -> None:
    trial = trial_of("mean-shape")
    spec = replace_at(trial.spec, "loss.criterion", "adaptive-wing-maps")
    check_trial(dataclasses.replace(trial, spec=spec), REGISTRY)


def test_what_decides_a_check_tells_trials_apart() -> None:
    """A teacher must have the crops of its pupil, ζ acts where occluders are pasted, and an effect
    of which there is nothing is not built.
    """
    trial = trial_of("odn")
    box = dataclasses.replace(trial.box, factor=2.0)
    occluded = replace_at(trial.spec, "augment.occluders", 0.5)
    alike = replace_at(trial.spec, "seed", 5)
    kinds = {
        kind_of(trial),
        kind_of(dataclasses.replace(trial, box=box)),
        kind_of(dataclasses.replace(trial, spec=occluded)),
        *(kind_of(trial_of("odn", [f"blur={amount}"])) for amount in (0, 0.1, 0.2)),
    }
    assert len(kinds) == 5
    assert kind_of(dataclasses.replace(trial, spec=alike)) in kinds
