"""A network in an ONNX file as a variant, and an exported network for `odnbench predict`."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers import TINY, Run

import odnbench as package
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.engine.export import load_network
from odnbench.plan.entries import Dataset
from odnbench.plan.registry import Registry
from odnbench.results.folder import TrialFolder
from odnbench.results.predictions import read_predictions
from odnbench.sweep.plan import Plan
from odnbench.sweep.trained import export

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
SAME_PX = 2e-3  # of the pictures, which are some five times as large as crops of 32 pixels


@dataclass(frozen=True)
class Opponent:
    file: Path  # the network of `trained`, exported
    registry: Path  # where it is the variant "theirs"
    trained: TrialFolder


@pytest.fixture(scope="module")
def exported(
    finished: Plan, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrialFolder]:
    (trial,) = (trial for trial in finished.trials if trial.spec.variant == "odn")
    folder, path = finished.folder(trial), tmp_path_factory.mktemp("exported") / "theirs.onnx"
    export(trial, folder, registry, path, "onnx", quantised=False, nme_percent={})
    return path, folder


@pytest.fixture
def opponent(
    exported: tuple[Path, TrialFolder],
    tmp_path: Path,
    cache: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Opponent:
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", str(cache))
    path, folder = exported
    file = Path(shutil.copy(path, tmp_path))
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "variants.toml").write_text(
        f"""[theirs]
title = "Théirs <1_0>"
network = "odnbench.networks.onnx_network:OnnxNetwork"
changes = {{ "train.epochs" = 0, "model.pretrained" = "{file}" }}
options = {{ points = "pixels", confidence = "", occlusion_map = "occlusion_map" }}
"""
    )
    return Opponent(file, tmp_path / "registry", folder)


def run_theirs(odnbench: Run, opponent: Opponent, *more: str) -> TrialFolder:
    settings = [text for text in TINY if "epochs" not in text]
    options = [part for text in (*settings, "variant=theirs", *more) for part in ("-s", text)]
    done = odnbench(
        "run", "ablation", *options, "--registry", str(opponent.registry), "--executor", "inline"
    )
    assert done.returncode == 0, done.stderr
    (path,) = Path(opponent.file.parent, "runs").glob("*/*/predictions.parquet")
    return TrialFolder(path.parent)


@pytest.mark.usefixtures("without_mlflow")
def test_it_predicts_what_the_exported_network_predicts(odnbench: Run, opponent: Opponent) -> None:
    theirs = run_theirs(odnbench, opponent, "precision=bf16")  # which does not reach the file
    ours, found = opponent.trained.predictions, theirs.predictions
    assert found.ids == ours.ids
    np.testing.assert_allclose(found.predicted, ours.predicted, atol=SAME_PX)
    assert found.occlusion is not None and ours.occlusion is not None
    result, cost = theirs.result, theirs.result.cost
    assert result.best_epoch == 0
    assert (result.precision, result.device) == ("float32", "cpu")
    assert result.parameters == pytest.approx(opponent.trained.result.parameters, rel=0.02)
    assert cost is not None and cost.ms_single > 0 and cost.ms_batched > 0
    assert cost.multiply_adds is None and cost.peak_bytes is None

    report = odnbench("report", "--format", "json", "--format", "markdown", "--registry",
                      str(opponent.registry))  # fmt: skip
    assert report.returncode == 0, report.stderr
    assert "Théirs" in next(opponent.file.parent.glob("reports/*/*.md")).read_text()


@pytest.mark.usefixtures("without_mlflow")
def test_its_checkpoint_needs_the_file_no_more(odnbench: Run, opponent: Opponent) -> None:
    theirs = run_theirs(odnbench, opponent)
    opponent.file.unlink()
    network = load_network(theirs.trial, theirs, Registry.load([opponent.registry]))
    assert network.parameter_count == theirs.result.parameters
    done = odnbench(
        "evaluate", str(theirs.path), "--dataset", "300w/challenging", "--registry",
        str(opponent.registry), "--out", "again",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = Path(opponent.file.parent, "again").glob("*.parquet")
    again, split = read_predictions(path), theirs.predictions
    rows = [split.ids.index(face) for face in again.ids]
    np.testing.assert_allclose(again.predicted, split.predicted[rows], atol=1e-4)


@pytest.mark.usefixtures("without_mlflow")
def test_another_file_is_another_trial(odnbench: Run, opponent: Opponent) -> None:
    identity = run_theirs(odnbench, opponent).trial.id
    opponent.file.write_bytes(opponent.file.read_bytes() + b"\x3a\x00")  # an empty graph name
    plan = odnbench("run", "ablation", "--dry-run", *[
        part for text in (*(t for t in TINY if "epochs" not in t), "variant=theirs")
        for part in ("-s", text)
    ], "--registry", str(opponent.registry))  # fmt: skip
    assert plan.returncode == 0, plan.stderr
    assert identity not in plan.stdout


def test_a_file_that_does_not_fit_is_told_before_anything_runs(
    odnbench: Run, opponent: Opponent
) -> None:
    opponent.file.write_bytes(b"nothing")
    done = odnbench("run", "ablation", "-s", "variant=theirs", "--registry", str(opponent.registry))
    assert done.returncode == 2
    assert "variant theirs" in done.stderr and "theirs.onnx" in done.stderr


def test_the_check_of_a_registry_runs_the_file(odnbench: Run, opponent: Opponent) -> None:
    done = odnbench("registry", "check", "--registry", str(opponent.registry))
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == ["variants theirs: ok"]
    opponent.file.write_bytes(b"nothing")
    done = odnbench("registry", "check", "--registry", str(opponent.registry))
    assert done.returncode == 1
    assert "theirs.onnx" in done.stdout


def test_predict_takes_an_exported_network(
    odnbench: Run, opponent: Opponent, registry: Registry
) -> None:
    data = opponent.file.parent / "data"
    render_layout(registry.get(Dataset, "300w"), data / "300w", 2, 96, seed=1)
    found = []
    for model in (opponent.file, opponent.trained.path):
        out = opponent.file.parent / f"of-{model.stem}"
        done = odnbench(
            "predict", str(model), str(data / "300w"), "--boxes", "300w", "--data-root", str(data),
            "--no-overlays", "--out", str(out),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads((out / "predictions.json").read_text())["files"])
    assert len(found[0]) == len(found[1]) > 3
    for theirs, ours in zip(*found, strict=True):
        for one, other in zip(theirs["faces"], ours["faces"], strict=True):
            for what in ("points", "occlusion", "occlusion_map", "box", "seen"):
                np.testing.assert_allclose(one[what], other[what], atol=SAME_PX, err_msg=what)
    loaded, image = package.load(opponent.file), np.full((40, 40, 3), 99, np.uint8)
    expected = package.load(opponent.trained.path).predict(image, (5, 5, 30, 30)).points
    np.testing.assert_allclose(loaded.predict(image, (5, 5, 30, 30)).points, expected, atol=SAME_PX)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gone.onnx", None, "is not there"),
        ("bad.onnx", b"nothing", "cannot read the file"),
        ("program.pt2", b"PK", "may run whatever is in it"),
    ],
)
def test_a_file_that_is_no_exported_network_is_told(
    odnbench: Run, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "face.png").write_bytes(b"")
    done = odnbench("predict", name, "face.png", "--whole-picture")
    assert done.returncode == 2
    assert told in done.stderr and name in done.stderr
