"""MLflow holds everything that the trial folders hold, once, whatever happens to the connection."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import requests
import torch
from helpers import plan_in
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from odnbench.cli import app as cli
from odnbench.engine.checkpoint import load_checkpoint
from odnbench.engine.evaluate import predict
from odnbench.engine.training import build_network
from odnbench.plan.conversion import replace_at, to_mapping
from odnbench.plan.registry import Registry
from odnbench.plan.specs import Trial
from odnbench.results.folder import FOR_PEOPLE, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import PlanRecord
from odnbench.results.records import Epoch
from odnbench.scoring.scores import scores
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.tracking import runs as tracking
from odnbench.tracking.runs import Delivered, MlflowMirror, PlanRuns, sync

STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite stores keep their files beside the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: its tables take seconds to create."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'own.db')}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,odn")
    assert run(plan, run_inline, []).complete
    return plan


def folder_of(plan: Plan) -> Path:
    return plan.file.parent


def mirrored(plan: Plan, uri: str | None, *observers: Observer) -> tuple[bool, list[str]]:
    """Runs `plan` under a mirror. Returns whether it was carried out, and what people were told."""
    told: list[str] = []
    mirror = MlflowMirror(plan.own_file, plan.registry, uri, told.append)
    outcome = run(plan, run_inline, [mirror, *observers])
    mirror.close()
    return outcome.complete, told


def experiments(uri: str, pipeline: str) -> list[str]:
    found = MlflowClient(uri).get_experiment_by_name(f"odnbench/{pipeline}")
    return [found.experiment_id] if found else []


def all_runs(uri: str, pipeline: str = "ablation") -> list[Run]:
    return list(MlflowClient(uri).search_runs(experiments(uri, pipeline)))


def everything(uri: str, pipeline: str) -> dict[str, Any]:
    """All that a store holds of the runs and models of a pipeline, for a comparison."""
    client = MlflowClient(uri)

    def files(run_id: str, path: str | None = None) -> dict[str, int]:
        found = {}
        for item in client.list_artifacts(run_id, path):
            size = item.file_size or 0  # the server tells no size of an empty file
            found |= files(run_id, item.path) if item.is_dir else {item.path: size}
        return found

    shown = {}
    for one in all_runs(uri, pipeline):
        history = {key: client.get_metric_history(one.info.run_id, key) for key in one.data.metrics}
        shown[one.info.run_id] = {
            "status": one.info.status,
            "times": (one.info.start_time, one.info.end_time),
            "tags": one.data.tags,
            "params": one.data.params,
            "metrics": {
                key: sorted((point.step, point.value) for point in points)
                for key, points in history.items()
            },
            "inputs": sorted(item.dataset.name for item in one.inputs.dataset_inputs),
            "outputs": [item.model_id for item in one.outputs.model_outputs],
            "files": files(one.info.run_id),
        }
    models = client.search_logged_models(experiments(uri, pipeline))
    return {"runs": shown, "models": {m.model_id: (str(m.status), m.tags) for m in models}}


def assert_mirrors(uri: str, plan_file: Path, registry: Registry) -> None:
    """Everything that the folders of a plan hold is there, and nothing twice."""
    record = PlanRecord.load(plan_file)
    folders = [TrialFolder(plan_file.parent / identity) for identity in record.trials]
    store = everything(uri, record.pipeline.name)
    by_trial = defaultdict(list)
    for identity, shown in store["runs"].items():
        if shown["tags"]["odnbench.plan"] == record.id:
            by_trial[shown["tags"]["odnbench.trial"]].append((identity, shown))
    assert sorted(by_trial) == sorted(["", *record.trials])
    assert {len(found) for found in by_trial.values()} == {1}
    ((parent_id, parent),) = by_trial.pop("")
    states = [folder.status[0] for folder in folders]
    assert parent["status"] == ("FINISHED" if set(states) == {"done"} else "FAILED")
    assert any(name.startswith("report/") for name in parent["files"])
    for folder, state in zip(folders, states, strict=True):
        trial, epochs = folder.trial, [to_mapping(epoch) for epoch in folder.epochs]
        ((identity, shown),) = by_trial[trial.id]
        assert shown["status"] == STATUS[state]
        assert shown["tags"]["mlflow.parentRunId"] == parent_id
        assert shown["tags"].get("reason", "") == folder.status[1]
        assert shown["params"]["variant"] == trial.spec.variant
        assert shown["inputs"] == sorted(part.split for part in trial.coverage)
        for key in (key for epoch in epochs for key in epoch if key != "epoch"):
            points = [(e["epoch"], e[key]) for e in epochs if e[key] is not None]
            if key == "seconds":  # those of an epoch that was trained again are others
                points = [(step, pytest.approx(value, abs=60)) for step, value in points]
            assert shown["metrics"].get(key, []) == points
        expected = {path.name for path in folder.path.iterdir() if path.name in FOR_PEOPLE} | (
            {"checkpoint/checkpoint.safetensors"} if folder.checkpoint.is_file() else set()
        )
        assert set(shown["files"]) == expected
        for name in expected:
            assert shown["files"][name] == (folder.path / Path(name).name).stat().st_size
        if state == "done":
            step = trial.spec.train.epochs
            for score in scores(folder.predictions, trial, registry, record.pipeline.columns):
                points = shown["metrics"][f"test_nme_percent.{score.column}"]
                assert points == [(step, pytest.approx(score.nme_percent))]
    models = [tags for _, tags in store["models"].values() if tags["odnbench.plan"] == record.id]
    assert len(models) == (set(states) == {"done"})
    linked = [model for found in by_trial.values() for model in found[0][1]["outputs"]]
    assert len(linked) == len(models)


def assert_nothing_to_add(uri: str, plan: Plan) -> None:
    before = everything(uri, plan.pipeline.name)
    found = sync(folder_of(plan), plan.registry, uri)
    assert found.brought == 0
    assert everything(uri, plan.pipeline.name) == before


def test_a_plan_and_its_trials_are_mirrored_once(
    finished: Plan, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert mirrored(finished, uri) == (True, [])
    assert_mirrors(uri, finished.file, finished.registry)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "read_report", None)  # nothing is rendered again either
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
    assert_mirrors(tracking.DEFAULT_STORE, plan.file, plan.registry)
    assert_nothing_to_add(tracking.DEFAULT_STORE, plan)
    parent = next(r for r in all_runs(tracking.DEFAULT_STORE) if not r.data.tags["odnbench.trial"])
    assert "system/cpu_utilization_percentage" in parent.data.metrics


def test_the_best_network_is_a_model_that_can_be_served(
    finished: Plan, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    sync(folder_of(finished), finished.registry)
    (model,) = MlflowClient(uri).search_logged_models(["1"])
    best = min(
        finished.trials, key=lambda trial: finished.folder(trial).result.validation_nme_percent
    )
    assert model.tags["odnbench.trial"] == best.id
    served = mlflow.pyfunc.load_model(model.model_uri)
    assert served.metadata.signature is not None
    assert served.input_example.shape == (2, 32, 32, 3)

    faces = finished.faces[best.faces].test
    size, margin = 32, (faces.images.shape[1] - 32) // 2
    spec = replace_at(best.spec, "model.pretrained", "none")
    network = build_network(spec, finished.registry, best.scheme.points)
    load_checkpoint(network, finished.folder(best).checkpoint)
    expected = predict(network, faces, torch.from_numpy(np.array(faces.images)), size, bf16=False)
    crops = np.array(faces.images)[:, margin : margin + size, margin : margin + size]
    points = faces.to_image(served.predict(crops).astype(np.float64) + margin)
    np.testing.assert_allclose(points, expected.points, atol=1e-2)


def test_a_network_that_cannot_be_exported_is_told_and_the_rest_is_there(
    finished: Plan, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(tracking, "_save_network", fail)
    told: list[str] = []
    sync(folder_of(finished), finished.registry, uri, told.append)
    assert len(told) == 1
    assert "is not logged as a model: no such operator" in told[0]
    assert_mirrors(uri, finished.file, finished.registry)
    assert_nothing_to_add(uri, finished)


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


@pytest.fixture
def without_files_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def save_network(trial: Trial, folder: TrialFolder, registry: Registry, path: Path, _: Any):
        path.mkdir()
        (path / "MLmodel").write_text("flavors: {}")

    def write_markdown(report: Any, folder: Path) -> None:
        (folder / "report.md").write_text(report.pipeline.name)

    monkeypatch.setattr(tracking, "_save_network", save_network)
    monkeypatch.setattr(tracking, "write_markdown", write_markdown)
    monkeypatch.setattr(tracking._Machine, "at_hand", lambda *_: None)


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
            patch.setattr(tracking, "MlflowClient", lambda tracking_uri, client=client: client)
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
        patch.setattr(tracking, "MlflowClient", lambda tracking_uri: Stuttering(MlflowClient(uri)))
        for _ in range(5):  # MLflow refuses to create some things twice, and so each time goes on
            try:
                replay(finished, finished.own_file, uri)
            except tracking._UNREACHABLE:
                continue
    assert_mirrors(uri, finished.file, finished.registry)
    assert_nothing_to_add(uri, finished)


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
        plan_in(tmp_path / "runs", cache, f"variant={name}", "train.epochs=1")
        for name in ("mean-shape", "brnet", "mean-shape,brnet")
    ]
    for plan in plans:
        run(plan, run_inline, [])
    assert sync(folder_of(plan), plan.registry, uri) == Delivered(4, 0)
    for plan in plans:
        assert_mirrors(uri, plan.own_file, plan.registry)


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
        (folder.path / "metrics.jsonl").unlink()
        folder._write("trial.json", {"trial": to_mapping(trial), "versions": {}})
        mirror.started(trial)
        for number in range(1, 21):
            epoch = dataclasses.replace(finished.folder(source).epochs[0], epoch=number)
            folder.append(epoch)
            mirror.epoch_ended(trial, epoch)
            time.sleep(0.01)
        mirror.ended(trial, folder, "done", "")

    threads = [threading.Thread(target=carry_out, args=[trial]) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mirror.close()
    assert told == []
    assert_mirrors(tracking.DEFAULT_STORE, plan.file, plan.registry)


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


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


class Server:
    """MLflow's server on this machine's loopback, over a store that may be a database."""

    def __init__(self, folder: Path, store: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder, self.store = folder, store
        self.start()

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store,
            "--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1",
            "--host", "127.0.0.1", "--port", str(self.port),
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Postgres:
    """A PostgreSQL of our own in a temporary folder, on a Unix socket; root may not run one."""

    def __init__(self, folder: Path):
        pytest.importorskip("psycopg2")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("PostgreSQL is not installed (/usr/lib/postgresql/*/bin)")
        self.binaries, self.data = found[-1].parent, folder / "data"
        self.user = []
        if os.geteuid() == 0:
            if not shutil.which("runuser"):
                pytest.skip("root may not run PostgreSQL, and there is no runuser")
            shutil.chown(folder, "nobody")
            self.user = ["runuser", "-u", "nobody", "--"]
        self.folder = folder
        self._do("initdb", "--username=odnbench", "--auth=trust", "--no-sync", "--encoding=UTF8")
        self.uri = f"postgresql+psycopg2://odnbench@/postgres?host={folder}"
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
        self._do("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def kill(self) -> None:
        self._do("pg_ctl", "stop", "-m", "immediate")

    def _do(self, name: str, *arguments: str) -> None:
        command = [*self.user, str(self.binaries / name), "-D", str(self.data), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that another user can reach, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="odnbench-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Killer(Observer):
    """Kills what MLflow stands on once it holds the first epoch of a trial, and not the rest."""

    def __init__(self, uri: str, kill: Callable[[], None]):
        self.uri, self.kill = uri, kill

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        if trial.spec.variant == "brnet" and epoch.epoch == 1:
            wait_for(lambda: any("loss" in one.data.metrics for one in all_runs(self.uri)))
            self.kill()


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_sweep_survives_the_death_of_its_server_and_sync_completes_the_runs(
    store: str,
    scratch: Path,
    tmp_path: Path,
    cache: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With PostgreSQL, it is the database that dies, and the server that says so."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan = plan_in(tmp_path / "runs", cache, "variant=mean-shape,brnet,odn")
    database = Postgres(scratch) if store == "postgresql" else None
    server = Server(tmp_path, database.uri if database else uri)
    mortal = database or server
    try:
        complete, told = mirrored(plan, server.uri, Killer(server.uri, mortal.kill))
        assert complete
        assert 1 <= len(told) <= 2
        assert all("does not answer" in text for text in told)
        assert "`odnbench sync ablation --storage" in told[-1]
        mortal.start()
        assert len(all_runs(server.uri)) < 4
        assert sync(folder_of(plan), plan.registry, server.uri).brought > 0
        assert_mirrors(server.uri, plan.file, plan.registry)
        assert_nothing_to_add(server.uri, plan)
    finally:
        server.kill()
        if database:
            database.kill()
