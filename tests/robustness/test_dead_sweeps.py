"""Who is at work is asked of the lock: of a sweep that was killed, nothing says that it runs."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Run, trial_of
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord, alone_in
from odnbench.tracking.machine import LoadMonitor
from odnbench.tracking.runs import PlanRuns

TRIALS = [
    dataclasses.replace(trial_of(variant), id=variant, pipeline="ablation")
    for variant in ("odn", "brnet", "dm")
]


def save_plan(folder: Path, identity: str, trials: list[Trial]) -> Path:
    """Writes the plan of a sweep as it begins."""
    PlanRecord(
        id=identity,
        pipeline=load_pipeline("ablation"),
        trials=tuple(trial.id for trial in trials),
        titles=tuple(trial.title for trial in trials),
        notes=(),
        saved_at="2026-01-01T00:00:00+00:00",
    ).save(folder)
    return folder / f"plan-{identity}.json"


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The pipeline's folder after its sweep was killed: ODN was running, BRNet had failed, and DM
    had not begun.
    """
    folder = tmp_path / "runs" / "ablation"
    save_plan(folder, "first", TRIALS)
    for trial in TRIALS[:2]:
        TrialFolder(folder / trial.id).start(trial)
    TrialFolder(folder / "brnet").set_status("failed", "out of memory")
    return folder


def states(odnbench: Run) -> list[str]:
    """The state of ODN, BRNet and DM, as `status` tells them."""
    shown = odnbench("status").stdout
    found = [re.search(rf"^ *{trial.title} +(\w+)", shown, re.M) for trial in TRIALS]
    return [match[1] if match else "" for match in found]


def test_a_trial_of_a_killed_sweep_is_interrupted(odnbench: Run, killed: Path) -> None:
    assert states(odnbench) == ["interrupted", "failed", "waiting"]
    report = odnbench("report")
    assert (report.returncode, "running" in report.stdout) == (0, False)


def test_what_the_sweep_at_work_has_not_come_to_waits(odnbench: Run, killed: Path) -> None:
    with alone_in(killed):
        save_plan(killed, "first", TRIALS)
        assert states(odnbench) == ["waiting", "waiting", "waiting"]
        assert told_by_report(killed) == ["waiting", "waiting", "waiting"]
        TrialFolder(killed / "odn").set_status("running")
        assert states(odnbench) == told_by_report(killed) == ["running", "waiting", "waiting"]


def test_a_trial_that_the_sweep_at_work_does_not_have_is_not_running(
    odnbench: Run, killed: Path
) -> None:
    """Another plan in the same folder, as after a change of the settings."""
    with alone_in(killed):
        save_plan(killed, "second", TRIALS[2:])
        standings = told_by_report(killed, "plan-first.json")
        assert standings == ["interrupted", "failed", "waiting"]
        assert "1 trials: 1 waiting" in odnbench("status").stdout


def told_by_report(folder: Path, plan: str = "plan.json") -> list[str]:
    """The states that a report gives for the trials without numbers."""
    from odnbench.reports.read import read_report

    return [one.standing.state for one in read_report(folder / plan, Registry.load()).missing]


@pytest.fixture
def runs_of(
    empty_store: Path,
    tmp_path: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    killed: Path,
) -> Callable[[], dict[str, MlflowRun]]:
    """Trial → its run in MLflow, "" for the plan; at first those that the killed sweep has left:
    ODN and DM are running.
    """
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'own.db')}"
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(LoadMonitor, "where_possible", lambda *_: None)
    left = PlanRuns(killed / "plan-first.json", Registry.load(), uri)
    for trial in (TRIALS[0], TRIALS[2]):
        left.follow(trial, [])

    def runs() -> dict[str, MlflowRun]:
        mlflow = MlflowClient(uri)
        experiment = mlflow.get_experiment_by_name("odnbench/ablation")
        assert experiment is not None
        found = mlflow.search_runs([experiment.experiment_id])
        return {run.data.tags["odnbench.trial"]: run for run in found}

    left_running = dict.fromkeys(("", "odn", "dm"), "RUNNING")
    assert {name: run.info.status for name, run in runs().items()} == left_running
    return runs


def test_sync_ends_every_run_of_a_killed_sweep(
    odnbench: Run, killed: Path, runs_of: Callable[[], dict[str, MlflowRun]]
) -> None:
    """Of DM, the sweep had told MLflow, and had written no file yet."""
    assert odnbench("sync").returncode == 0
    found = {name: run.info.status for name, run in runs_of().items()}
    assert found == {"": "FAILED", "odn": "KILLED", "brnet": "FAILED", "dm": "KILLED"}
    assert runs_of()["dm"].data.tags["reason"] == "interrupted"
    assert "trials delivered: 0, already there: 2" in odnbench("sync").stdout


def test_sync_ends_runs_of_a_killed_sweep_that_left_no_folder(
    odnbench: Run, killed: Path, runs_of: Callable[[], dict[str, MlflowRun]]
) -> None:
    for trial in TRIALS[:2]:
        shutil.rmtree(killed / trial.id)
    assert odnbench("sync").returncode == 0
    found = {name: run.info.status for name, run in runs_of().items()}
    assert found == {"": "FAILED", "odn": "KILLED", "dm": "KILLED"}


def test_sync_leaves_the_runs_of_a_sweep_at_work_running(
    odnbench: Run, killed: Path, runs_of: Callable[[], dict[str, MlflowRun]]
) -> None:
    with alone_in(killed):
        save_plan(killed, "first", TRIALS)
        TrialFolder(killed / "odn").set_status("running")
        assert odnbench("sync").returncode == 0
        found = {name: run.info.status for name, run in runs_of().items()}
        assert [found[name] for name in ("", "odn", "dm")] == ["RUNNING"] * 3


def test_sync_ends_the_runs_of_a_killed_sweep_while_another_is_at_work(
    odnbench: Run, killed: Path, runs_of: Callable[[], dict[str, MlflowRun]]
) -> None:
    with alone_in(killed):
        save_plan(killed, "second", TRIALS[1:2])
        assert odnbench("sync").returncode == 0
        found = {name: run.info.status for name, run in runs_of().items()}
        assert (found["odn"], found["dm"]) == ("KILLED", "KILLED")


def test_sync_names_a_damaged_trial_and_leaves_its_run_as_it_is(
    odnbench: Run, killed: Path, runs_of: Callable[[], dict[str, MlflowRun]]
) -> None:
    (killed / "brnet" / "status.json").write_bytes(b"")
    done = odnbench("sync")
    assert done.returncode == 1
    assert "not delivered: brnet: damaged: " in done.stdout
    assert "brnet/status.json: cannot be read" in done.stdout
    assert "trials delivered: 1, already there: 0" in done.stdout
    assert set(runs_of()) == {"", "odn", "dm"}
