"""Benchmarks: what they report is what was timed, and their baselines do the same work."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import Run

from odnbench.bench.augment import bench_augment
from odnbench.bench.evaluate import bench_evaluate
from odnbench.bench.habit import PerSample
from odnbench.bench.nuclear import BAD, SIZES, bench_nuclear
from odnbench.bench.predict import BARE as ALONE
from odnbench.bench.predict import END_TO_END, bench_predict
from odnbench.bench.subject import Subject, make_subject
from odnbench.bench.timing import Benchmark, Timing, in_turns
from odnbench.bench.train import AUGMENTED, BARE, FULL, HABIT, PLAIN, bench_train
from odnbench.datasets.sources import split_validation
from odnbench.engine.augment import IDENTITY
from odnbench.engine.training import Batches
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import replace_at
from odnbench.plan.registry import Registry

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    overrides = ["backbone=resnet18-slim", "input_size=32", "batch_size=8"]
    return make_subject(Registry.load(), None, tmp_path_factory.mktemp("subject"), overrides)


def test_the_habit_sees_the_same_faces_as_the_engine(subject: Subject) -> None:
    spec = replace_at(subject.trial.spec, "augment", IDENTITY)
    trial = dataclasses.replace(subject.trial, spec=spec)
    faces, device = subject.faces.train, torch.device("cpu")
    batches = Batches.of(faces, np.arange(len(faces)), trial, subject.registry, device)
    by_id = {face.id: face for face in subject.files}
    samples = PerSample([by_id[name] for name in faces.ids[:8]], trial)
    still = torch.eye(2, 3).expand(8, -1, -1)
    inputs, targets, _ = batches.batch(
        torch.arange(8), still, torch.zeros(8, dtype=torch.bool), torch.Generator()
    )
    for i, (image, points) in enumerate(samples[i] for i in range(8)):
        assert torch.corrcoef(torch.stack([image, inputs[i]]).flatten(1))[0, 1] > 0.95
        # One pixel is 1/16: the engine's crops are windows of whole pixels of the file.
        torch.testing.assert_close(points, targets[i], atol=0.06, rtol=0)


def test_every_contender_takes_its_steps(subject: Subject) -> None:
    found = bench_train(subject, steps=2, repeats=1)
    assert [t.name for t in found.timings] == [BARE, FULL, PLAIN, HABIT, AUGMENTED]
    assert found.facts["images"] == 16
    assert found.baselines == {FULL: BARE, AUGMENTED: FULL, PLAIN: FULL, HABIT: FULL}
    assert found.facts["flops_per_image"] > 1e6


def test_prediction_of_files_is_timed_beside_the_network(subject: Subject) -> None:
    found = bench_predict(subject, batch_size=8, batches=2, repeats=1)
    assert [t.name for t in found.timings] == [END_TO_END, ALONE]
    assert found.baselines == {END_TO_END: ALONE}
    assert found.facts["images"] == 16


def test_augmentation_and_prediction_are_timed_on_every_face(subject: Subject) -> None:
    assert bench_augment(subject, repeats=1).facts == {"batch": 8.0, "size_px": 32}
    assert bench_evaluate(subject, repeats=1).facts["faces"] == len(subject.faces.test)
    rows, _ = split_validation(subject.faces.train, 0.1)
    assert len(rows) > 16


def test_the_subgradient_is_timed_and_right_at_every_size() -> None:
    found = bench_nuclear(repeats=1)
    deviations = [v for name, v in found.facts.items() if name.startswith("deviation")]
    assert len(deviations) == 2 * len(SIZES)
    assert max(deviations) < 1e-4
    assert sum(BAD in name for name in found.baselines) == len(SIZES)


@pytest.mark.slow
def test_overheads_of_a_sweep_are_printed_and_written(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench("bench", "orchestration", "--trials", "4")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench" / "orchestration.json").read_text())
    overhead = found["facts"]["overhead of a trial, 4 trials, s"]
    assert f"overhead of a trial, 4 trials: {overhead:.2f} s" in done.stdout


def test_what_was_timed_is_named_after_all_settings(odnbench: Run) -> None:
    sizes = ("--batch", "4", "--batches", "1", "--repeats", "1")
    settings = ("-s", "variant=gm", "-s", "backbone=resnet18-slim", "-s", "input_size=64")
    done = odnbench("bench", "predict", *sizes, *settings)
    assert done.returncode == 0, done.stderr
    assert "gm, resnet18-slim, regression, 64 px, batch 4: " in done.stdout


def test_a_ratio_is_one_of_medians() -> None:
    timings = (Timing("a", (9.0, 1.0, 2.0)), Timing("b", (4.0, 100.0, 3.0)))
    found = Benchmark("x", "here", timings, {"a": "b"}, {})
    assert found.ratio("a") == found.ratio("a", "b") == 2.0 / 4.0


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    timings = in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        repeats=2,
        before={"b": lambda: calls.append("before b")},
    )
    assert calls == ["a", "before b", "b"] * 3
    assert [(t.name, len(t.seconds)) for t in timings] == [("a", 2), ("b", 2)]


def test_settings_of_several_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match="these settings give 2; give each key one value"):
        make_subject(Registry.load(), None, tmp_path, ["variant=odn,cut"])
    with pytest.raises(OdnbenchError, match="expected key=value"):
        make_subject(Registry.load(), None, tmp_path, ["foo"])
