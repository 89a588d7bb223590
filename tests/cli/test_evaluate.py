"""`odnbench evaluate`: a trained network on a split, as a row beside others."""

import re
from pathlib import Path

import numpy as np
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
    assert f"{score.nme_percent:.4f}" in done.stdout
    assert f"box rule {trial.box.name}" in done.stdout

    scored = odnbench(
        "report", "ablation", "--storage", str(finished.storage), "--with", str(file),
        "--format", "markdown",
    )  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    (report,) = tmp_path.glob("reports/**/ablation.md")
    assert re.search(rf"{file.stem}.*{score.nme_percent:.2f}", report.read_text())


def test_a_split_or_protocol_of_other_points_is_refused(finished: Plan, odnbench: Run) -> None:
    path = str(finished.folder(finished.trials[0]).path)
    for more, told in (
        (["--dataset", "cofw/test"], "cofw/test has the points of scheme 29"),
        (["--dataset", "300w/full", "--protocol", "wflw"], "protocol 'wflw' has the points"),
        (["--dataset", "300w/ful"], "did you mean 'full'"),
    ):
        done = odnbench("evaluate", path, *more)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
