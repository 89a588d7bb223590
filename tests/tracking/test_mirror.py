"""MLflow follows a sweep while it runs, and never holds it up."""

import dataclasses
import json
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import plan_in
from mlflow.tracking import MlflowClient
from mlflow_store import (
    all_runs,
    assert_mirrors,
    assert_nothing_to_add,
    folder_of,
    mirrored,
    wait_for,
)

from odnbench.cli import app as cli
from odnbench.plan.conversion import to_mapping
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.tracking import runs as plan_runs
from odnbench.tracking.client import DEFAULT_STORE
from odnbench.tracking.mirror import MlflowMirror
from odnbench.tracking.runs import Delivered
from odnbench.tracking.sync import sync

pytestmark = pytest.mark.slow


def test_what_a_trained_network_predicts_later_is_added_to_its_run(
    tmp_path: Path, cache: Path, uri: str
) -> None:
    plan = plan_in(tmp_path / "runs", cache, "variant=mean-shape")
    assert mirrored(plan, uri) == (True, [])
    for levels in ((0.0, 0.1), (0.0, 0.1, 0.2)):
        pipeline = dataclasses.replace(plan.pipeline, disturbances={"scale": levels})
        more = dataclasses.replace(plan, pipeline=pipeline)
        more.save()
        sync(folder_of(more), more.registry, uri)
        runs = {one.data.tags["odnbench.trial"]: one for one in all_runs(uri)}
        assert len(runs) == 2
        assert runs[""].info.status == "FAILED"  # something is missing
        assert runs[plan.trials[0].id].data.tags["reason"].endswith("the same command does that")
        assert mirrored(more, uri) == (True, [])
        assert_nothing_to_add(uri, more)
        runs = {one.data.tags["odnbench.trial"]: one for one in all_runs(uri)}
        assert [one.info.status for one in runs.values()] == ["FINISHED"] * 2
        identity = runs[plan.trials[0].id].info.run_id
        client = MlflowClient(uri)
        history = client.get_metric_history(identity, "test_scale_nme_percent.300w/full")
        assert sorted(point.step for point in history) == [round(100 * at) for at in levels[1:]]
        held = [file.path for file in client.list_artifacts(identity)]
        assert sum(name.startswith("disturbed-scale") for name in held) == len(levels) - 1


def test_a_plan_and_its_trials_are_mirrored_once(
    finished: Plan, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert mirrored(finished, uri) == (True, [])
    assert_mirrors(uri, finished.file, finished.registry)
    with monkeypatch.context() as patch:
        patch.setattr(plan_runs, "read_report", None)  # nothing is rendered again either
        assert_nothing_to_add(uri, finished)
    runs = {one.data.tags["mlflow.runName"]: one for one in all_runs(uri)}
    parent, odn = runs["ablation"], runs["BRNet+GM+LM+DM (ODN)"]
    assert odn.data.params["loss.beta"] == "1e-06"
    tags = {key: odn.data.tags[key] for key in ("variant", "seed", "dataset", "faces", "pipeline")}
    assert tags == {
        "variant": "odn", "seed": "0", "dataset": "300w", "faces": "rendered",
        "pipeline": "ablation",
    }  # fmt: skip
    train, *_ = odn.inputs.dataset_inputs
    assert (train.dataset.name, train.dataset.digest) == ("300w/train", finished.trials[1].faces)
    assert json.loads(train.dataset.profile) == {"faces": 24, "official": 3148}
    assert [(tag.key, tag.value) for tag in train.tags] == [("mlflow.data.context", "training")]
    names = {item.path for item in MlflowClient(uri).list_artifacts(parent.info.run_id, "report")}
    assert {"report/ablation.md", "report/ablation-ced.png"} <= names


def test_a_sweep_that_does_not_begin_writes_nothing(finished: Plan, uri: str) -> None:
    MlflowMirror(finished.own_file, finished.registry, uri).close()
    assert all_runs(uri) == []


def test_a_sweep_logs_to_the_default_store_while_it_runs(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path / "runs", cache, "variant=brnet,odn", "train.epochs=3")
    assert mirrored(plan, None) == (True, [])
    assert (tmp_path / "mlflow.db").is_file()
    assert_mirrors(DEFAULT_STORE, plan.file, plan.registry)
    assert_nothing_to_add(DEFAULT_STORE, plan)
    parent = next(r for r in all_runs(DEFAULT_STORE) if not r.data.tags["odnbench.trial"])
    assert "system/cpu_utilization_percentage" in parent.data.metrics


def test_a_trial_that_starts_again_goes_on_with_its_run(
    tmp_path: Path, cache: Path, uri: str
) -> None:
    plan = plan_in(tmp_path / "runs", cache, "variant=brnet", "train.epochs=3")
    trial = plan.trials[0]

    class Interrupted(Observer):
        def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
            if epoch.epoch == 2:
                raise KeyboardInterrupt

    assert mirrored(plan, uri, Interrupted()) == (False, [])
    stopped = next(one for one in all_runs(uri) if one.data.tags["odnbench.trial"] == trial.id)
    assert (stopped.info.status, stopped.data.tags["reason"]) == ("KILLED", "interrupted")

    class Watching(Observer):
        def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
            for identity in (own, stopped.data.tags["mlflow.parentRunId"]):
                wait_for(lambda i=identity: MlflowClient(uri).get_run(i).info.status == "RUNNING")

    own = stopped.info.run_id
    assert mirrored(plan, uri, Watching()) == (True, [])
    assert own in [one.info.run_id for one in all_runs(uri)]
    assert_mirrors(uri, plan.file, plan.registry)


def test_eight_trials_at_once_do_not_lock_the_default_store(tmp_path: Path, finished: Plan) -> None:
    source = finished.trials[1]
    trials = [dataclasses.replace(source, id=f"{i:016x}", title=f"trial {i}") for i in range(8)]
    plan = dataclasses.replace(finished, storage=tmp_path / "runs", trials=tuple(trials))
    plan.save()
    told: list[str] = []
    mirror = MlflowMirror(plan.own_file, plan.registry, tell=told.append)

    def carry_out(trial: Trial) -> None:
        folder = plan.folder(trial)
        shutil.copytree(finished.folder(source).path, folder.path)
        folder.unmark()
        (folder.path / "metrics.jsonl").unlink()
        folder._write("trial.json", {"trial": to_mapping(trial), "versions": {}})
        mirror.started(trial)
        for number in range(1, 21):
            epoch = dataclasses.replace(finished.folder(source).epochs[0], epoch=number)
            folder.append(epoch)
            mirror.epoch_ended(trial, epoch)
            time.sleep(0.01)
        folder.mark()
        mirror.ended(trial, folder, "done", "")

    threads = [threading.Thread(target=carry_out, args=[trial]) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mirror.close()
    assert told == []
    assert_mirrors(DEFAULT_STORE, plan.file, plan.registry)


@pytest.mark.parametrize("listens", [True, False], ids=["never answers", "is not there"])
def test_a_server_that_is_away_neither_stops_nor_slows_a_sweep(
    tmp_path: Path, cache: Path, uri: str, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan = plan_in(tmp_path / "runs", cache, "variant=mean-shape,brnet")
    seconds = []

    class Timing(MlflowMirror):
        def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
            started = time.perf_counter()
            super().epoch_ended(trial, epoch)
            seconds.append(time.perf_counter() - started)

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        away = f"http://user:secret@127.0.0.1:{server.getsockname()[1]}"
        told: list[str] = []
        mirror = Timing(plan.own_file, plan.registry, away, told.append)
        assert run(plan, run_inline, [mirror]).complete
        mirror.close()
    assert max(seconds) < 0.5
    assert 1 <= len(told) <= 2  # the sweep may end before the server is given up
    shown = away.replace("user:secret@", "")
    assert all(text.startswith(f"MLflow at {shown} does not answer (") for text in told)
    assert f"`odnbench sync ablation --storage {tmp_path / 'runs'}` delivers them" in told[-1]
    assert "secret" not in "".join(told)
    assert sync(folder_of(plan), plan.registry, uri) == Delivered(2, 0)
    assert_mirrors(uri, plan.file, plan.registry)


def test_a_run_without_its_server_ends_well_and_sync_delivers_later(
    tmp_path: Path,
    cache: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def odnbench(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["odnbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    monkeypatch.setenv("ODNBENCH_CACHE", str(cache))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        settings = ["variant=mean-shape", "input_size=32", "rendered_train=24", "rendered_test=6"]
        options = [word for text in settings for word in ("-s", text)]
        assert odnbench("run", "ablation", "--executor", "inline", *options) == 0
        assert "`odnbench sync ablation --storage runs` delivers them" in capsys.readouterr().out
        assert odnbench("sync") == 2
        told = capsys.readouterr().err
        assert "does not answer" in told
        assert "Traceback" not in told
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for line in ("delivered: 1, already there: 0", "delivered: 0, already there: 1"):
        assert odnbench("sync", "ablation") == 0
        assert f"ablation: trials {line}" in capsys.readouterr().out
    assert_mirrors(uri, Path("runs/ablation/plan.json"), Registry.load())
