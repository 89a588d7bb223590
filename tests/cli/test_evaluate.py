"""`odnbench evaluate`: a trained network on a split, as a row beside others."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import Run

from odnbench.results.predictions import read_predictions
from odnbench.scoring.scores import scores
from odnbench.sweep.plan import Plan


def test_a_network_on_its_own_test_split_gives_the_numbers_of_its_trial(
    finished: Plan, odnbench: Run, tmp_path: Path
) -> None:
    trial = next(one for one in finished.trials if one.spec.variant == "odn")
    folder = finished.folder(trial)
    done = odnbench("evaluate", str(folder.path), "--dataset", "300w/common", "--digits", "6")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "evaluated").glob("*.parquet")
    found, before = read_predictions(file), folder.predictions
    rows = [before.ids.index(face) for face in found.ids]
    np.testing.assert_allclose(found.predicted, before.predicted[rows], atol=1e-4)
    (score,) = scores(before, trial, finished.registry, ["300w/common"])
    told = float(re.findall(r"\d+\.\d{6}", done.stdout)[0])
    assert told == pytest.approx(score.nme_percent, abs=1e-4)
    assert f"box rule {trial.box.name}" in done.stdout

    scored = odnbench(
        "report", "ablation", "--storage", str(finished.storage), "--with", str(file),
        "--format", "markdown",
    )  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    (report,) = tmp_path.glob("reports/**/ablation.md")
    assert re.search(rf"{file.stem}.*{score.nme_percent:.2f}", report.read_text())


def test_a_network_is_tested_on_other_points_by_a_map(
    finished: Plan, odnbench: Run, tmp_path: Path
) -> None:
    trial = next(one for one in finished.trials if one.spec.variant == "odn")
    path = str(finished.folder(trial).path)
    done = odnbench("evaluate", path, "--dataset", "cofw/test", "--rendered", "60")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "predicted with 68 points and mapped to 29 by 68-to-29 (Ghiasi and Fowlkes" in said
    assert "box rule landmarks (68-to-29)" in said
    assert (
        "the landmarks' tight box, grown" in said
    )  # tests/datasets/test_scheme_maps.py: which crop
    (file,) = (tmp_path / "evaluated").glob("*.parquet")
    found = read_predictions(file)
    assert found.predicted.shape == found.true.shape == (60, 29, 2)
    corners = found.true[:, [8, 9]]
    length = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)
    nme = np.linalg.norm(found.predicted - found.true, axis=2).mean(axis=1) / length
    assert f"{100 * np.mean(nme):.3f}" in said


def test_a_split_or_protocol_of_other_points_is_refused(finished: Plan, odnbench: Run) -> None:
    path = str(finished.folder(finished.trials[0]).path)
    for more, told in (
        (["--dataset", "aflw/full"], "aflw has the points of scheme 19"),
        (["--dataset", "cofw/test", "--protocol", "300w-paper"], "300w-paper' has the points"),
        (["--dataset", "300w/full", "--protocol", "wflw"], "protocol 'wflw' has the points"),
        (["--dataset", "300w/ful"], "did you mean 'full'"),
    ):
        done = odnbench("evaluate", path, *more)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
