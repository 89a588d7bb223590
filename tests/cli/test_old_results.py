"""`report` and `status` on results of an earlier version, and on many trials."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from helpers import Run

LEFT, RIGHT = 36, 45  # outer eye corners of the 68 points
COMMON = ("300w/helen-test", "300w/lfpw-test")


def nme_percent(trial: Path) -> float:
    """The mean over the faces of 300w/common of mean distance over inter-ocular distance."""
    table = pd.read_parquet(trial / "predictions.parquet")
    table = table[table["part"].isin(COMMON)]
    predicted, true = (
        np.stack(table[name].to_list()).astype(np.float64).reshape(len(table), 68, 2)
        for name in ("predicted", "true")
    )
    distances = np.linalg.norm(predicted - true, axis=2).mean(axis=1)
    return float(100 * (distances / np.linalg.norm(true[:, LEFT] - true[:, RIGHT], axis=1)).mean())


def table_of(page: str, split: str) -> dict[str, dict[str, str]]:
    """Line → column → cell of the table of a split, of a Markdown page."""
    lines = [
        [re.sub(r"\*\*|</?ins>", "", cell).strip() for cell in line.strip("|\n").split("|")]
        for line in page[page.index(f"<b>{split} (") :].splitlines()
        if line.startswith("|")
    ]
    heading, _, *rows = lines
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row[0] == "model":  # the next table
            break
        found[row[0].removesuffix(" †")] = dict(zip(heading, row, strict=True))
    return found


def test_a_report_of_old_results_has_the_numbers_of_their_predictions(
    odnbench: Run, old_results: Path, tmp_path: Path
) -> None:
    done = odnbench("report", "ablation")
    assert done.returncode == 0, done.stderr
    assert "(trials: 6, without numbers: 0)" in done.stdout
    table = table_of((tmp_path / "reports" / "out" / "ablation.md").read_text(), "300w/common")
    plan = json.loads((old_results / "ablation" / "plan.json").read_text())
    seeds: dict[str, list[float]] = {}
    for identity, title in zip(plan["trials"], plan["titles"], strict=True):
        error = nme_percent(old_results / "ablation" / identity)
        seeds.setdefault(title.partition(", seed ")[0], []).append(error)
    assert [len(errors) for errors in seeds.values()] == [2, 2, 2]
    for title, errors in seeds.items():
        shown = f"{np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f} ("
        assert table[title]["NME, %"].startswith(shown), title


def test_the_status_of_old_results_is_what_was_written(odnbench: Run, old_results: Path) -> None:
    done = odnbench("status")
    assert done.returncode == 0, done.stderr
    assert "ablation: no sweep is at work" in done.stdout
    assert "6 trials: 6 done" in done.stdout
    for path in (old_results / "ablation").glob("*/result.json"):
        best = json.loads(path.read_text())["validation_nme_percent"]
        assert re.search(rf"done +\d/\d +{best:.2f} ", done.stdout), best


def test_every_one_of_many_trials_has_a_line(odnbench: Run, many_trials: Path) -> None:
    done = odnbench("status", "--storage", str(many_trials))
    assert done.returncode == 0, done.stderr
    assert "150 trials: 150 done" in done.stdout
    assert re.findall(r"seed (\d+) +done", done.stdout) == [str(seed) for seed in range(150)]
