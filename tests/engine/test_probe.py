"""What a trial costs, measured by a few of its steps."""

import dataclasses
import time
from pathlib import Path

import pytest
from helpers import FACES, REGISTRY, random_faces, trial_of

from odnbench.engine.fit import fit
from odnbench.engine.probe import Probe, probe, trials_per_gpu
from odnbench.results.folder import TrialFolder


@pytest.mark.slow
def test_a_probe_foretells_about_how_long_a_trial_takes(tmp_path: Path) -> None:
    trial = trial_of("odn", ["epochs=4", "learning_rate=1e-3"])
    faces = dataclasses.replace(FACES, train=random_faces(400), test=random_faces(40, seed=1))
    foretold = probe(trial, faces, REGISTRY, seconds=0.3).trial_seconds(trial, faces)
    started = time.perf_counter()
    fit(trial, faces, REGISTRY, TrialFolder(tmp_path / "a"))
    taken = time.perf_counter() - started
    assert taken / 8 < foretold < taken * 8  # other processes may come and go meanwhile


def test_the_time_of_a_trial_is_that_of_its_steps_and_predictions() -> None:
    """By hand: 24 faces of which 2 are validated on make two batches of 8; 6 are tested, twice."""
    cost = Probe(
        start_seconds=100.0, step_seconds=10.0, epoch_seconds=1.0, face_seconds=0.1, peak_bytes=0
    )
    assert cost.trial_seconds(trial_of(), FACES) == pytest.approx(
        100 + 3 * (2 * 10 + 2 * 0.1 + 1) + (6 + 6) * 0.1
    )
    chosen_on_test = trial_of("odn", ["select=test"])
    assert cost.trial_seconds(chosen_on_test, FACES) == pytest.approx(
        100 + 3 * (2 * 10 + 6 * 0.1 + 1) + (6 + 6) * 0.1
    )


def test_what_is_not_trained_costs_predictions_alone() -> None:
    trial = trial_of("mean-shape")
    cost = probe(trial, FACES, REGISTRY, seconds=0)
    assert cost.step_seconds == 0.0
    assert cost.trial_seconds(trial, FACES) == pytest.approx(
        cost.start_seconds + (6 + 6 + 2) * cost.face_seconds
    )


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_a_probe_may_take_more_steps_than_the_trial_has(schedule: str) -> None:
    trial = trial_of("brnet", ["epochs=1", f"schedule={schedule}"])
    assert probe(trial, FACES, REGISTRY, seconds=0.3).step_seconds > 0


@pytest.mark.parametrize(
    ("images_per_second", "most", "chosen"),
    [
        ({1: 100, 2: 190, 4: 300, 8: 320}, 8, 8),
        ({1: 100, 2: 190, 4: 300, 8: 314}, 8, 4),  # 5 % more would be 315
        ({1: 100, 2: 190, 4: 300}, 7, 4),  # memory does not allow 8
        ({1: 100, 2: 104}, 8, 1),  # 4 and 8 are not tried
        ({1: 100, 2: 90}, 8, 1),
        ({1: 100, 2: 105, 4: 0}, 8, 2),
        ({}, 1, 1),
        ({}, 0, 1),
    ],
)
def test_trials_share_a_gpu_as_long_as_that_is_faster(
    images_per_second: dict[int, float], most: int, chosen: int
) -> None:
    tried: list[int] = []

    def throughput(count: int) -> float:
        tried.append(count)
        return images_per_second[count]

    assert trials_per_gpu(throughput, most) == chosen
    assert tried == list(images_per_second)
