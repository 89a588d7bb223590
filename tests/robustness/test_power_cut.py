"""Files that a power cut has emptied, cut off or filled with zeros are named, and cost only
themselves; the same command mends them.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from damaged_files import AGAIN, damage
from helpers import Run

from odnbench.engine.checkpoint import Progress, ProgressFile
from odnbench.reports import markdown
from odnbench.reports.report import Report
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import STUDY
from odnbench.sweep.journal import mend
from odnbench.sweep.plan import Plan

DAMAGES = [
    ("metrics.jsonl", "empty"),
    ("metrics.jsonl", "zeros"),
    ("metrics.jsonl", "hole"),
    ("plan.json", "empty"),
    ("trial.json", "empty"),
    ("status.json", "empty"),
    ("predictions.parquet", "empty"),
    ("predictions.parquet", "zeros"),
    ("predictions.parquet", "hole"),
    ("predictions-pasted.parquet", "half"),
    ("result.json", "half"),
    ("result.json", "zeros"),
    ("checkpoint.safetensors", "empty"),
    ("examples.jpg", "zeros"),
    ("done", "zeros"),
    ("done", "half"),
]
OF_TRIALS = [(name, how) for name, how in DAMAGES if name != "plan.json"]


@pytest.fixture
def runs(
    tmp_path: Path,
    finished: Plan,
    cache: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    without_mlflow: None,
) -> Path:
    """A copy of the results of a finished plan, `<storage>/<pipeline>`, for commands that find the
    faces of the plan prepared and MLflow away.
    """
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", str(cache))
    monkeypatch.setattr(markdown, "write_markdown", write_titles)  # drawing takes seconds
    return Path(shutil.copytree(finished.file.parent, tmp_path / "runs" / "ablation"))


def write_titles(report: Report, folder: Path, templates: object) -> Path:
    """A format of reports, called as that whose place it takes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "titles.txt").write_text("\n".join(row.title for row in report.rows))
    return folder / "titles.txt"


def brnet(runs: Path, finished: Plan) -> TrialFolder:
    (trial,) = (one for one in finished.trials if one.spec.variant == "brnet")
    return TrialFolder(runs / trial.id)


@pytest.mark.parametrize(("name", "how"), OF_TRIALS)
def test_a_finished_trial_with_a_damaged_file_is_named_and_the_others_are_shown(
    odnbench: Run, runs: Path, finished: Plan, name: str, how: str
) -> None:
    folder = brnet(runs, finished)
    damage(folder.path / name, how)
    status = odnbench("status")
    assert status.returncode == 1
    assert "3 trials: 2 done, 1 damaged" in status.stdout
    assert f"{folder.path.name}/{name}" in status.stdout
    report = odnbench("report")
    assert report.returncode == 0, report.stderr
    assert "(trials: 2, without numbers: 1)" in report.stdout
    (line,) = (line for line in report.stdout.splitlines() if line.startswith("no numbers: BRNet:"))
    assert f"{folder.path.name}/{name}" in line
    assert line.endswith("the same command trains it again")


def test_a_checkpoint_with_zeros_in_it_is_not_counted_on(
    odnbench: Run, runs: Path, finished: Plan
) -> None:
    """Its size is right, and a report does not read it; a sweep that reuses the trial does."""
    folder = brnet(runs, finished)
    damage(folder.checkpoint, "hole")
    done = odnbench(*AGAIN, "--dry-run")
    assert f"BRNet: {folder.path.name}/checkpoint.safetensors holds other bytes" in done.stdout
    assert "1 to run, 2 finished (reused)" in done.stdout


def test_the_same_command_trains_what_is_damaged_again_and_nothing_else(
    odnbench: Run, runs: Path, finished: Plan
) -> None:
    """One trial has lost its spec, one is unfinished with a torn progress; plan and study are torn
    as well, the mean shape is whole.
    """
    mean_shape, broken, torn = (TrialFolder(runs / trial.id) for trial in finished.trials)
    damage(broken.path / "trial.json", "empty")
    as_if_killed(torn)
    state = {"weight": torch.ones(1000)}
    ProgressFile(torn.progress).save(Progress(1, best_state=state, training=state))
    damage(torn.progress, "hole")
    lines = (torn.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (torn.path / "metrics.jsonl").write_bytes(lines[0] + bytes(200) + b"\n")
    damage(runs / "plan.json", "empty")
    (runs / STUDY).write_bytes(b"\0" * 64)
    before = (mean_shape.path / "done").stat().st_mtime_ns

    done = odnbench(*AGAIN)
    assert done.returncode == 0, done.stderr
    for told in (
        f"BRNet: {broken.path.name}/trial.json has 0 bytes, where the trial wrote ",
        "metrics.jsonl: line 2 is not an epoch",
        "progress.pt: cannot be read as progress; its training begins anew",
        "ablation/plan.json: cannot be read as a plan: it is empty; it is written anew",
        f"{STUDY}: line 1 cannot be read as a study",
    ):
        assert told in done.stdout
    assert done.stdout.count(": reused, validation NME") == 1
    assert (mean_shape.path / "done").stat().st_mtime_ns == before
    assert len(broken.epochs) == len(torn.epochs) == 2
    status = odnbench("status")
    assert (status.returncode, "3 trials: 3 done" in status.stdout) == (0, True)


@pytest.mark.parametrize("how", ["empty", "zeros", "half", "lost"])
def test_a_damaged_plan_is_named_with_its_cure(
    odnbench: Run, runs: Path, finished: Plan, how: str
) -> None:
    shutil.copytree(runs, runs.parent / "other")
    if how == "lost":
        (runs / "plan.json").unlink()
    else:
        damage(runs / "plan.json", how)
    for command in ("status", "report"):
        shown = odnbench(command)
        assert shown.returncode == 2
        (error,) = shown.stderr.splitlines()
        assert "runs/ablation/plan.json: cannot be read as a plan: " in error
        assert f"writes it anew, or copy plan-{finished.id}.json over it" in error
        assert "trials: 3" in shown.stdout or "3 trials: 3 done" in shown.stdout  # of the other


def test_a_damaged_file_of_an_earlier_version_is_named_too(
    odnbench: Run, tmp_path: Path, runs: Path, finished: Plan
) -> None:
    """Whose marker is empty, so that the files must speak for themselves."""
    for marker in runs.glob("*/done"):
        marker.write_bytes(b"")
    assert odnbench("status").returncode == 0
    folder = brnet(runs, finished)
    kept = {path: path.read_bytes() for path in folder.path.iterdir()}
    for name in ("metrics.jsonl", "trial.json", "result.json", "predictions.parquet"):
        for how in ("zeros", "half"):
            damage(folder.path / name, how)
            status = odnbench("status")
            assert (status.returncode, "1 damaged" in status.stdout) == (1, True), (name, how)
            assert name in status.stdout
            for path, content in kept.items():
                path.write_bytes(content)
    content = (folder.path / "predictions.parquet").read_bytes()
    (folder.path / "predictions.parquet").write_bytes(content[:4] + bytes(500) + content[504:])
    report = odnbench("report")
    assert report.returncode == 0, report.stderr
    assert "(trials: 2, without numbers: 1)" in report.stdout
    assert "predictions.parquet: cannot be read as predictions" in report.stdout


def as_if_killed(folder: TrialFolder) -> TrialFolder:
    """The folder of a finished trial, as if its sweep had been killed."""
    folder.unmark()
    folder.set_status("running")
    return folder


@pytest.mark.parametrize("name", ["trial.json", "status.json"])
@pytest.mark.parametrize("how", ["empty", "zeros"])
def test_a_damaged_file_of_an_unfinished_trial_stops_nobody(
    odnbench: Run, runs: Path, finished: Plan, name: str, how: str
) -> None:
    folder = as_if_killed(brnet(runs, finished))
    damage(folder.path / name, how)
    status = odnbench("status")
    assert status.returncode == 1
    assert "3 trials: 2 done, 1 damaged" in status.stdout
    assert f"{folder.path.name}/{name}: cannot be read" in status.stdout
    report = odnbench("report")
    assert report.returncode == 0, report.stderr
    assert "no numbers: BRNet: damaged" in report.stdout


@pytest.mark.parametrize("line", [b"\0" * 200, b"\0" * 200 + b"\n", b'{"epoch": 2, "lo', b"7\n"])
def test_a_line_that_is_no_epoch_costs_what_stands_after_it(
    odnbench: Run, runs: Path, finished: Plan, line: bytes
) -> None:
    folder = as_if_killed(brnet(runs, finished))
    lines = (folder.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder.path / "metrics.jsonl").write_bytes(lines[0] + line + lines[1])
    status = odnbench("status")
    assert status.returncode == 1
    assert re.search(r"BRNet +interrupted +1/2 ", status.stdout)
    assert odnbench("report").returncode == 0


@pytest.mark.parametrize("how", ["empty", "zeros", "half", "hole"])
def test_a_torn_progress_is_not_gone_on_with(tmp_path: Path, how: str) -> None:
    """With zeros in the middle, torch would load it and go on from other weights."""
    file = ProgressFile(tmp_path / "progress.pt")
    assert not file.is_torn
    state = {"weight": torch.ones(1000)}
    file.save(Progress(1, best_state=state, training=state))
    assert not file.is_torn and file.load() is not None
    damage(file.path, how)
    assert file.is_torn and file.load() is None


@pytest.mark.parametrize("torn", [b"", b'{"op_code":4,"wor', b"\0" * 64 + b"\n"])
def test_a_torn_journal_of_a_search_keeps_what_stands_before(tmp_path: Path, torn: bytes) -> None:
    line = json.dumps({"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]})
    whole = line.encode() + b"\n"
    journal = tmp_path / STUDY
    journal.write_bytes(whole + torn + (whole if torn else b""))
    before = journal.read_bytes()
    mend(journal)
    assert journal.read_bytes() == whole
    kept = tmp_path / f"{STUDY}.torn"
    assert kept.read_bytes() == before if torn else not kept.exists()


def test_a_damaged_local_copy_is_brought_anew_from_the_uri(
    odnbench: Run, tmp_path: Path, runs: Path, finished: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"file://{runs.parent}"
    with monkeypatch.context() as patch:
        patch.setattr("odnbench.cli.terminal.cache_folder", lambda: tmp_path / "own-cache")
        assert odnbench("status", "--storage", uri).returncode == 0
        (copy,) = (tmp_path / "own-cache").glob(
            f"storage/*/ablation/{brnet(runs, finished).path.name}"
        )
        for name, how in (("predictions.parquet", "zeros"), ("trial.json", "empty")):
            damage(copy / name, how)
            assert odnbench("status", "--storage", uri).returncode == 0
            assert (copy / name).read_bytes() == (runs / copy.name / name).read_bytes()
