"""Learning rates by hand, and which parameters have which."""

import math

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, trial_of

from odnbench.engine.build import build_network
from odnbench.engine.optimisation import build_optimizer
from odnbench.engine.training import Training
from odnbench.errors import OdnbenchError
from odnbench.losses.objective import Objective, build_objective
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.specs import TrainSpec

CPU = torch.device("cpu")


def objective_of(*overrides: str) -> Objective:
    spec = trial_of("odn", overrides).spec
    torch.manual_seed(0)
    return build_objective(spec.loss, build_network(spec, REGISTRY, 68), REGISTRY, 32)


def rates(train: TrainSpec, steps_per_epoch: int) -> list[list[float]]:
    """The learning rate of each step, of each parameter group."""
    optimizer, schedule = build_optimizer(objective_of(), train, steps_per_epoch)
    found = []
    for _ in range(train.epochs * steps_per_epoch):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_linearly_and_then_follows_its_schedule() -> None:
    """Of 8 steps in 4 epochs, 1.5 epochs are 3 steps."""
    rise = [0.25, 0.5, 0.75, 1.0]
    cosine = [(1 + math.cos(math.pi * step / 5)) / 2 for step in range(1, 5)]
    for schedule, rest in (("constant", [1.0] * 4), ("cosine", cosine)):
        train = TrainSpec(
            epochs=4, learning_rate=2.0, schedule=schedule, warmup_epochs=1.5  # type: ignore[arg-type]
        )  # fmt: skip
        for found, expected in zip(rates(train, 2), [*rise, *rest], strict=True):
            assert found == pytest.approx([2.0 * expected] * len(found))


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_the_backbone_has_its_share_of_every_rate(schedule: str) -> None:
    train = TrainSpec(epochs=3, schedule=schedule, backbone_rate=0.25)  # type: ignore[arg-type]
    plain = TrainSpec(epochs=3, schedule=schedule)  # type: ignore[arg-type]
    for found, whole in zip(rates(train, 2), rates(plain, 2), strict=True):
        assert sorted(set(found)) == pytest.approx([0.25 * whole[0], whole[0]])
        assert found[0] == whole[0]  # which records of epochs name


def test_groups_keep_the_weight_decay_of_every_parameter() -> None:
    objective = objective_of("loss.alpha=1e-3", "loss.gamma=2e-3", "loss.lambda=3e-3")
    network = objective.network
    optimizer, _ = build_optimizer(objective, TrainSpec(backbone_rate=0.1), 1)
    by_parameter = {p: group for group in optimizer.param_groups for p in group["params"]}
    assert len(by_parameter) == sum(len(group["params"]) for group in optimizer.param_groups)
    for name, parameter in network.named_parameters():
        decay = 2e-3 if parameter.ndim == 4 and not name.endswith("bias") else 0.0
        decay += {"low_rank.M": 4e-3, "regression.weight": 6e-3}.get(name, 0.0)
        group = by_parameter.pop(parameter)
        assert group["weight_decay"] == pytest.approx(decay), name
        # One cycle begins at a 25th of its rate.
        rate = 1e-3 * (0.1 if name.startswith("backbone") else 1.0) / 25
        assert group["lr"] == pytest.approx(rate), name
    assert not by_parameter


def test_a_rate_of_zero_leaves_the_weights_of_the_backbone() -> None:
    trial = trial_of("odn", ["backbone_rate=0", "loss.alpha=1"])
    training = Training.of(trial, FACES.train, np.arange(24), REGISTRY, CPU)
    before = {n: p.detach().clone() for n, p in training.network.named_parameters()}
    training.epoch()
    moved = {n for n, p in training.network.named_parameters() if not torch.equal(p, before[n])}
    assert moved and not any(name.startswith("backbone") for name in moved)


def test_a_network_without_backbone_takes_no_rate_for_it() -> None:
    class Bare(LandmarkNetwork):
        def __init__(self) -> None:
            super().__init__(2)
            self.weight = torch.nn.Parameter(torch.zeros(1))

    objective = build_objective(trial_of().spec.loss, Bare(), REGISTRY, 32)
    with pytest.raises(OdnbenchError, match=r"backbone_rate is 0\.5.*no part named 'backbone'"):
        build_optimizer(objective, TrainSpec(backbone_rate=0.5), 1)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["warmup_epochs=1"], "one-cycle schedule has a warm-up of its own; add -s schedule=cos"),
        (["warmup_epochs=3", "schedule=cosine"], r"must be below train\.epochs \(3\), got 3"),
        (["ema=1"], r"train\.ema must be between 0 and 0\.99999, got 1"),
        (["clip=-1"], r"train\.clip must be at least 0"),
    ],
)
def test_settings_that_contradict_each_other_are_told(overrides: list[str], told: str) -> None:
    with pytest.raises(OdnbenchError, match=told):
        trial_of("odn", overrides)


def test_training_shortens_only_a_gradient_that_is_too_long() -> None:
    """By the norm of the gradient that a step of plain gradient descent shows."""

    def moved(clip: float) -> float:
        overrides = [f"clip={clip}", "optimizer=sgd", "schedule=constant", "precision=float32"]
        trial = trial_of("odn", [*overrides, "learning_rate=1e-3"])
        training = Training.of(trial, FACES.train, np.arange(24), REGISTRY, CPU)
        before = [p.detach().clone() for p in training.network.parameters()]
        training.step(next(training.batches.epoch(training.generator)))
        after = [p.detach() for p in training.network.parameters()]
        squares = [(b - a).double().square().sum() for a, b in zip(before, after, strict=True)]
        # Nesterov's first step is 1 + 0.9 times the gradient.
        return float(torch.stack(squares).sum().sqrt()) / (1.9 * 1e-3)

    whole = moved(0.0)
    assert moved(0.5 * whole) == pytest.approx(0.5 * whole, rel=1e-3)
    assert moved(2 * whole) == pytest.approx(whole, rel=1e-3)


def test_a_warm_up_that_takes_nearly_all_steps_leaves_one_at_the_full_rate() -> None:
    train = TrainSpec(epochs=2, learning_rate=1.0, schedule="cosine", warmup_epochs=1.9)
    found = [rate for rate, *_ in rates(train, 2)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0])
