"""MLflow holds everything that the trial folders hold, once, whatever happens to the connection."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import plan_in
from mlflow.tracking import MlflowClient
from mlflow_store import all_runs, assert_mirrors, assert_nothing_to_add, folder_of, runs_by_trial

from odnbench.plan.conversion import replace_at, to_mapping
from odnbench.plan.searches import Search
from odnbench.plan.spaces import Parameter, Space
from odnbench.results.folder import INTERRUPTED, TrialFolder
from odnbench.results.plans import PlanRecord, alone_in
from odnbench.results.records import State
from odnbench.results.searches import SearchedPoint, SearchRecord, SearchSettings
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.tracking import client as mlflow_client
from odnbench.tracking.client import UNREACHABLE
from odnbench.tracking.runs import Delivered, PlanRuns
from odnbench.tracking.sync import sync

pytestmark = pytest.mark.slow


class Flaky:
    """A client whose connection is lost in the answer to the `last`-th call that writes."""

    def __init__(self, client: MlflowClient, writes: list[str], last: int):
        self._client, self._writes, self._last = client, writes, last

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        def called(*arguments: Any, **options: Any) -> Any:
            if len(self._writes) >= self._last:
                raise ConnectionError("the server is away")
            result = call(*arguments, **options)
            # A call that only reads leaves MLflow as the call before it did.
            if not name.startswith(("get_", "search_")):
                self._writes.append(name)
                if len(self._writes) == self._last:
                    raise ConnectionError("no answer")
            return result

        return called


class Stuttering(Flaky):
    """A client that sends everything twice, as MLflow's does when an answer does not come."""

    def __init__(self, client: MlflowClient):
        super().__init__(client, [], sys.maxsize)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = super().__getattr__(name)

        def called(*arguments: Any, **options: Any) -> Any:
            call(*arguments, **options)
            return call(*arguments, **options)

        return called


def replay(plan: Plan, plan_file: Path, uri: str) -> None:
    """What a mirror sends while the trials of a finished plan run."""
    runs = PlanRuns(plan_file, plan.registry, uri)
    for trial in plan.trials:
        folder = plan.folder(trial)
        runs.follow(trial, [])
        for epoch in folder.epochs:
            runs.follow(trial, [epoch])
        runs.deliver(trial, folder)
    runs.deliver_all()


def test_a_connection_that_is_lost_anywhere_costs_nothing(
    finished: Plan,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    without_files_that_take_long: None,
    tmp_path: Path,
) -> None:
    """Loses the answer to each call in turn, and everything after it, and then synchronises."""
    for last in range(1, 1000):
        # Each time a pipeline of its own in the one store: a new store takes longer than the rest.
        storage = tmp_path / str(last)
        shutil.copytree(folder_of(finished), storage, ignore=shutil.ignore_patterns("plan*"))
        pipeline = dataclasses.replace(finished.pipeline, name=f"lost-{last}")
        record = dataclasses.replace(
            PlanRecord.load(finished.file), id=f"{last:016x}", pipeline=pipeline
        )
        plan_file = storage / "plan.json"
        plan_file.write_text(json.dumps(to_mapping(record)))
        writes: list[str] = []
        client = Flaky(MlflowClient(uri), writes, last)
        lost = False
        with monkeypatch.context() as patch:
            patch.setattr(mlflow_client, "MlflowClient", lambda tracking_uri, client=client: client)
            try:
                replay(finished, plan_file, uri)
            except ConnectionError:
                lost = True
        sync(storage, finished.registry, uri)
        assert_mirrors(uri, plan_file, finished.registry)
        assert sync(storage, finished.registry, uri) == Delivered(0, 2)
        if not lost:
            break
    assert last > 30
    assert {"create_run", "log_batch", "log_artifact", "finalize_logged_model"} <= set(writes)


def test_what_arrives_twice_is_there_once(
    finished: Plan, uri: str, monkeypatch: pytest.MonkeyPatch, without_files_that_take_long: None
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            mlflow_client, "MlflowClient", lambda tracking_uri: Stuttering(MlflowClient(uri))
        )
        for _ in range(5):  # MLflow refuses to create some things twice, and so each time goes on
            try:
                replay(finished, finished.own_file, uri)
            except UNREACHABLE:
                continue
    assert_mirrors(uri, finished.file, finished.registry)
    assert_nothing_to_add(uri, finished)


def test_a_trial_whose_numbers_do_not_repeat_gets_the_run_of_the_last_ones(
    tmp_path: Path, finished: Plan, uri: str
) -> None:
    """On a GPU, a trial that starts anew does not repeat its numbers to the last bit."""
    folder = tmp_path / "ablation"
    shutil.copytree(folder_of(finished), folder)
    trial = finished.trials[1]
    other = dataclasses.replace(finished.folder(trial).epochs[0], loss=0.125)
    PlanRuns(folder / "plan.json", finished.registry, uri).follow(trial, [other])
    sync(folder, finished.registry, uri)
    assert_mirrors(uri, folder / "plan.json", finished.registry)


def test_a_trial_goes_on_although_its_weights_file_was_moved(finished: Plan, uri: str) -> None:
    trial = finished.trials[1]
    spec = replace_at(trial.spec, "model.pretrained", "elsewhere/weights.npz")
    runs = PlanRuns(finished.own_file, finished.registry, uri)
    runs.follow(dataclasses.replace(trial, spec=spec), [])
    sync(folder_of(finished), finished.registry, uri)
    assert_mirrors(uri, finished.file, finished.registry)


def test_a_failed_trial_has_its_reason_and_is_no_longer_failed_once_it_is_done(
    tmp_path: Path, finished: Plan, uri: str
) -> None:
    folder = tmp_path / "ablation"
    shutil.copytree(folder_of(finished), folder)
    own = TrialFolder(folder / finished.trials[1].id)
    (own.path / "done").unlink()
    own.set_status("failed", "its worker died")
    sync(folder, finished.registry, uri)
    assert_mirrors(uri, folder / "plan.json", finished.registry)
    own.set_status("done")
    (own.path / "done").touch()
    assert sync(folder, finished.registry, uri) == Delivered(1, 1)
    assert_mirrors(uri, folder / "plan.json", finished.registry)


def test_every_plan_of_a_pipeline_is_brought(tmp_path: Path, cache: Path, uri: str) -> None:
    """plan.json is of the last plan alone."""
    plans = [
        plan_in(tmp_path / "runs", cache, f"variant={name}")
        for name in ("mean-shape", "brnet", "mean-shape,brnet")
    ]
    for plan in plans:
        run(plan, run_inline, [])
    assert sync(folder_of(plan), plan.registry, uri) == Delivered(4, 0)
    for plan in plans:
        assert_mirrors(uri, plan.own_file, plan.registry)


def unfinished(finished: Plan, storage: Path, state: State, reason: str = "") -> TrialFolder:
    """The folder of one trial, in a copy of a finished plan, as if it had not ended."""
    shutil.copytree(folder_of(finished), storage / "ablation")
    folder = TrialFolder(storage / "ablation" / finished.trials[1].id)
    (folder.path / "done").unlink()
    folder.set_status(state, reason)
    return folder


def test_no_run_is_running_for_ever_after_its_sweep_was_killed(
    tmp_path: Path, finished: Plan, uri: str
) -> None:
    folder = unfinished(finished, tmp_path, "running")
    plan_file = tmp_path / "ablation" / "plan.json"
    PlanRuns(plan_file, finished.registry, uri).follow(finished.trials[1], folder.epochs[:1])
    assert {one.info.status for one in all_runs(uri)} == {"RUNNING"}

    sync(tmp_path / "ablation", finished.registry, uri)
    runs = runs_by_trial(uri)
    own = runs[folder.trial.id]
    assert (own.info.status, own.data.tags["reason"]) == ("KILLED", "interrupted")
    assert runs[""].info.status == "FAILED"
    history = MlflowClient(uri).get_metric_history(own.info.run_id, "loss")
    assert [point.step for point in history] == [epoch.epoch for epoch in folder.epochs]
    assert sync(tmp_path / "ablation", finished.registry, uri) == Delivered(0, 2)

    restarted = PlanRuns(plan_file, finished.registry, uri)
    restarted.follow(finished.trials[1], [])
    runs = runs_by_trial(uri)
    assert runs[folder.trial.id].info.run_id == own.info.run_id
    assert {runs[identity].info.status for identity in (folder.trial.id, "")} == {"RUNNING"}

    folder.set_status("done")
    (folder.path / "done").touch()
    assert sync(tmp_path / "ablation", finished.registry, uri) == Delivered(1, 1)
    assert_mirrors(uri, plan_file, finished.registry)


def shared(finished: Plan, storage: Path, study: str) -> Path:
    """The plan of a search, of which another machine with the study at `study` has trained a
    point.
    """
    folder = Path(shutil.copytree(folder_of(finished), storage / "ablation"))
    record = PlanRecord.load(folder / "plan.json")
    pipeline = dataclasses.replace(record.pipeline, search=Search())
    dataclasses.replace(record, pipeline=pipeline).save(folder)
    points = tuple(
        SearchedPoint(number, "complete", {"loss.eta": 0.0}, (5.0,), {}, (trial.id,))
        for number, trial in enumerate(finished.trials)
    )
    space = Space("made", "", {"loss.eta": Parameter(low=0.0, high=1.0)})
    SearchRecord("ablation", SearchSettings(), space, 3, 2, study, points).save(folder)
    shutil.rmtree(folder / finished.trials[1].id)
    return folder / "plan.json"


@pytest.mark.parametrize(
    ("study", "status"), [("postgresql://lab/studies", "FINISHED"), ("study.journal", "FAILED")]
)
def test_a_search_that_several_machines_share_ends_with_the_points_of_all(
    tmp_path: Path, finished: Plan, uri: str, study: str, status: str
) -> None:
    plan_file = shared(finished, tmp_path, study)
    far = PlanRuns(plan_file, finished.registry, uri)
    far.follow(finished.trials[1], [])  # as the other machine does
    sync(plan_file.parent, finished.registry, uri)
    runs = runs_by_trial(uri)
    assert runs[""].info.status == status
    is_left = runs[finished.trials[1].id].info.status == "RUNNING"
    assert is_left == (status == "FINISHED")


def test_a_trial_that_waits_for_the_sweep_at_work_is_scheduled(
    tmp_path: Path, finished: Plan, uri: str
) -> None:
    folder = unfinished(finished, tmp_path, "stopped", INTERRUPTED)

    def status_after_sync() -> str:
        sync(tmp_path / "ablation", finished.registry, uri)
        return str(runs_by_trial(uri)[folder.trial.id].info.status)

    with alone_in(tmp_path / "ablation"):
        assert status_after_sync() == "SCHEDULED"
    assert status_after_sync() == "KILLED"
