"""Distillation: what a teacher adds to the objective, and whom it cannot teach."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, trial_of
from torch import Tensor, nn

from odnbench.engine.check import check_trial
from odnbench.engine.export import load_network
from odnbench.engine.fit import fit
from odnbench.engine.training import Training
from odnbench.errors import OdnbenchError
from odnbench.networks.base import IMAGENET, Normalisation
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.plan.conversion import replace_at
from odnbench.plan.entries import Head
from odnbench.plan.ids import trial_id
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import CHECKPOINT, TRIAL, TrialFolder
from odnbench.results.teachers import teacher_content

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def taught_before(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    """A finished trial of another network."""
    folder = TrialFolder(tmp_path_factory.mktemp("teacher") / "trial")
    fit(trial_of("cut", ["epochs=1"]), FACES, REGISTRY, folder)
    return folder


def training_of(trial: Trial) -> Training:
    return Training.of(trial, FACES.train, np.arange(24), REGISTRY, CPU)


@pytest.mark.parametrize("unit", ["crop", "pixels"])
@pytest.mark.parametrize("given", ["folder", "checkpoint"])
def test_the_term_is_the_weighted_criterion_of_both_networks_points(
    taught_before: TrialFolder, unit: str, given: str
) -> None:
    path = taught_before.path if given == "folder" else taught_before.checkpoint
    overrides = [f"unit={unit}", f"teacher={path}", "teacher_weight=0.3", "precision=float32"]
    training = training_of(trial_of("odn", overrides))
    batch = next(training.batches.epoch(training.generator))
    training.network.train()
    with torch.no_grad():
        points = training.network(batch.inputs).points
    other = load_network(taught_before.trial, taught_before, REGISTRY).eval()
    with torch.no_grad():
        taught = other(batch.inputs).points
    scale = 16.0 if unit == "pixels" else 1.0  # half of 32 px
    expected = 0.3 * float(((points - taught) * scale).square().sum(dim=(1, 2)).mean())
    found = training.step(batch).terms
    assert float(found["teacher"]) == pytest.approx(expected, rel=1e-4)
    assert found.keys() == {"data", "eta", "teacher"}


def test_a_teacher_sees_pictures_that_are_normalised_as_it_wants_them(
    taught_before: TrialFolder,
) -> None:
    training = training_of(trial_of("odn", [f"teacher={taught_before.path}", "precision=float32"]))
    batch = next(training.batches.epoch(training.generator))
    assert training.teacher is not None
    wanted = training.teacher.points(batch.inputs, IMAGENET, bf16=False)
    grey = batch.inputs * torch.tensor(IMAGENET.std)[:, None, None]
    grey = grey + torch.tensor(IMAGENET.mean)[:, None, None]  # on [0, 1]
    halves = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    found = training.teacher.points(2 * grey - 1, halves, bf16=False)
    assert torch.allclose(found, wanted, atol=1e-4)
    unlike = training.teacher.points(2 * grey - 1, IMAGENET, bf16=False)
    assert not torch.allclose(unlike, wanted, atol=1e-3)


def test_a_teacher_pulls_points_towards_its_own_and_learns_nothing(
    taught_before: TrialFolder, tmp_path: Path
) -> None:
    def distance(weight: float) -> float:
        overrides = [f"teacher={taught_before.path}", f"teacher_weight={weight}", "epochs=4"]
        folder = TrialFolder(tmp_path / str(weight))
        fit(trial_of("cut", [*overrides, "learning_rate=3e-3"]), FACES, REGISTRY, folder)
        assert [e.penalties.keys() >= {"teacher"} for e in folder.epochs] == [True] * 4
        moved = folder.predictions.predicted - taught_before.predictions.predicted
        return float(np.linalg.norm(moved))

    weights = taught_before.checkpoint.read_bytes()
    assert distance(100.0) < distance(0.0)
    training = training_of(trial_of("odn", [f"teacher={taught_before.path}"]))
    assert training.teacher is not None
    before = {k: v.clone() for k, v in training.teacher.network.state_dict().items()}
    training.epoch()
    assert all(torch.equal(v, before[k]) for k, v in training.teacher.network.state_dict().items())
    assert taught_before.checkpoint.read_bytes() == weights


def test_the_id_takes_the_content_of_a_teacher_and_not_its_path(
    taught_before: TrialFolder, tmp_path: Path
) -> None:
    def identity(*overrides: str) -> str:
        spec = trial_of("odn", overrides).spec
        return trial_id(spec, REGISTRY, "faces", teacher_content(spec, REGISTRY))

    copy, other = tmp_path / "copy", tmp_path / "other"
    copy.mkdir()
    for name in (TRIAL, CHECKPOINT):
        shutil.copy(taught_before.path / name, copy)
    fit(trial_of("cut", ["epochs=1", "seed=5"]), FACES, REGISTRY, TrialFolder(other))
    by = identity(f"teacher={taught_before.path}")
    assert by == identity(f"teacher={copy / CHECKPOINT}")
    assert by != identity(f"teacher={other}")
    assert by != identity(f"teacher={copy}", "teacher_weight=0.5")
    assert by != identity()
    assert identity() == identity("teacher_weight=0.5")  # which is that of no teacher
    assert identity("epochs=0") == identity("epochs=0", f"teacher={taught_before.path}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: [f"teacher={path}/nowhere"], "nowhere holds no trained network; give the"),
        (lambda path: [f"teacher={'x' * 5000}"], "holds no trained network"),
        (
            lambda path: [f"teacher={path}", "input_size=64"],
            r"its data\.input_size is 32, but this trial's is 64",
        ),
    ],
)
def test_what_cannot_teach_is_told_before_training(
    taught_before: TrialFolder, change: Callable[[Path], list[str]], told: str
) -> None:
    with pytest.raises(OdnbenchError, match=told):
        check_trial(trial_of("odn", change(taught_before.path)), REGISTRY)


def test_a_teacher_of_other_crops_is_refused(taught_before: TrialFolder) -> None:
    trial = trial_of("odn", [f"teacher={taught_before.path}"])
    wider = dataclasses.replace(trial, box=dataclasses.replace(trial.box, factor=2.0))
    told = "its box rule is square crop, 1.3 × the landmarks' tight box, but this trial's is square"
    with pytest.raises(OdnbenchError, match=re.escape(told)):
        check_trial(wider, REGISTRY)


def test_a_teacher_of_other_landmarks_is_refused(taught_before: TrialFolder) -> None:
    trial = trial_of("odn", [f"teacher={taught_before.path}"])
    fewer = dataclasses.replace(trial, scheme=REGISTRY.get(Scheme, "29"))
    with pytest.raises(OdnbenchError, match="its point scheme is 68, but this trial's is 29"):
        check_trial(fewer, REGISTRY)


class Deaf(LandmarkHead):
    """Decodes points without a gradient, as by the cell of a maximum."""

    def __init__(self, in_channels: int, side: int, landmarks: int):
        super().__init__()
        self.layer = nn.Linear(in_channels, 2 * landmarks)

    def forward(self, features: Tensor) -> Tensor:
        return self.layer(features)

    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        return mean_shape + output.detach().unflatten(1, (-1, 2)).float()

    def data_term(
        self, output: Any, points: Tensor, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        return criterion(output.unflatten(1, (-1, 2)).float(), true)


def test_a_head_whose_points_have_no_gradient_cannot_be_taught(
    taught_before: TrialFolder,
) -> None:
    deaf = Head("deaf", "Deaf", target=f"{__name__}:Deaf", takes="vector")
    registry = Registry({**REGISTRY.entries, "heads": {**REGISTRY.entries["heads"], "deaf": deaf}})

    def with_head(*overrides: str) -> Trial:
        trial = trial_of("cut", overrides)
        return dataclasses.replace(trial, spec=replace_at(trial.spec, "model.head", "deaf"))

    assert check_trial(with_head(), registry).parameters
    with pytest.raises(OdnbenchError, match=r"train\.teacher: head 'deaf' decodes points without"):
        check_trial(with_head(f"teacher={taught_before.path}"), registry)
