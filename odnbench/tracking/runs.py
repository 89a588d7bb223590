"""MLflow: the only file that imports mlflow.

A parent run per plan, a child run per trial, written by the driver from what the trial folders
hold: they are the truth. Runs are found by the ids of plan and trial in their tags, and whatever is
missing is added. So one routine serves a trial that ends, one that is reused, the end of a sweep
and `odnbench sync`; it may be broken off anywhere and called again.

Without MLFLOW_TRACKING_URI, MLflow's own default store in the current folder is used, so that a
plain `mlflow ui` there shows everything.
"""

import dataclasses
import json
import logging
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from threading import Thread
from traceback import format_exception
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

# MLflow's client would try a server that is away for minutes, and tell of every run it ends.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow.pytorch
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model, infer_signature
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from odnbench.engine.augment import central_crop, normalise, to_pixels
from odnbench.engine.checkpoint import load_checkpoint
from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.conversion import leaves, replace_at, to_mapping
from odnbench.plan.ids import content_id
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.reports.markdown import write_markdown
from odnbench.reports.read import read_report
from odnbench.results.folder import FOR_PEOPLE, STATUS, TRIAL, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import PlanRecord, all_plans, is_at_work
from odnbench.results.records import Epoch, State
from odnbench.scoring.scores import occlusion_scores, scores, values_of

for _talker in ("store", "system_metrics"):  # of tables that it creates, of GPUs that are absent
    logging.getLogger(f"mlflow.{_talker}").setLevel(logging.WARNING)

DEFAULT_STORE = "sqlite:///mlflow.db"
_DATABASES = ("postgresql", "mysql", "mssql")  # databases that may be away
_UNREACHABLE = (MlflowException, SQLAlchemyError, OSError)  # requests' errors are OSErrors
_EPOCHS_PER_BATCH = 50  # MLflow takes 1000 metrics in a call, and writes them all or none
_LONGEST_TAG = 5000
_IDLE_SECONDS = 1.0
# Metrics whose name in MLflow is older than the registry of metrics.
_METRIC_NAMES = {"median": "nme_median_percent", "failures": "failure_percent"}
_PLAN, _TRIAL, _COMPLETE = "odnbench.plan", "odnbench.trial", "odnbench.complete"
_PARENT = "mlflow.parentRunId"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's training view
_T = TypeVar("_T")
_STATUS = {
    "waiting": "SCHEDULED",
    "running": "RUNNING",
    "done": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
    "interrupted": "KILLED",
}  # of MLflow, by state


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the SQLite store in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE


@dataclass(frozen=True)
class Delivered:
    """Numbers of trials: of which something was missing in MLflow, and which were there."""

    brought: int
    there: int

    def __str__(self) -> str:
        return f"trials delivered: {self.brought}, already there: {self.there}"


def sync(
    folder: Path, registry: Registry, uri: str | None = None, tell: Callable[[str], None] = print
) -> Delivered:
    """Brings the plans of the pipeline in `folder` (`<storage>/<pipeline>`) into MLflow: whatever
    of their parent runs, child runs, numbers and files is not there yet.

    tell: is told what does not concern the numbers. Raises OdnbenchError if MLflow does not answer.
    """
    uri = uri or tracking_uri()
    try:
        found = [
            PlanRuns(path, registry, uri).deliver_all(tell) for path in all_plans(folder).values()
        ]
    except _UNREACHABLE as error:
        raise OdnbenchError(
            f"MLflow at {_shown(uri)} does not answer ({_reason(error)}); when it does, the same "
            "command goes on with what is missing"
        ) from error
    return Delivered(sum(d.brought for d in found), sum(d.there for d in found))


class MlflowMirror(Observer):
    """Observer that keeps the runs of a plan in MLflow, without ever holding up the sweep.

    What it is told waits in a queue for the one thread that writes. Once MLflow does not answer,
    that is told, and nothing is sent until `close`.

    plan_file: Plan.own_file. tell: takes a line for people.
    """

    def __init__(
        self,
        plan_file: Path,
        registry: Registry,
        uri: str | None = None,
        tell: Callable[[str], None] = print,
    ):
        self.plan_file, self.registry, self.tell = plan_file, registry, tell
        self.uri = uri or tracking_uri()
        self.answers = True
        self._began = False
        self._queue: Queue[_News | None] = Queue()
        self._writer = Thread(target=self._write, name="MLflow", daemon=True)
        self._writer.start()

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self._put(_News(trial))

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        self._put(_News(trial, [epoch]))

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self._put(_News(trial, folder=folder))

    def close(self) -> None:
        """Brings what is missing, with the report, and ends the parent run. Does not raise."""
        self._queue.put(None)
        self._writer.join()
        if not self._began:  # another sweep may be at work in the folder
            return
        try:
            PlanRuns(self.plan_file, self.registry, self.uri).deliver_all(self.tell)
        except Exception as error:
            storage, pipeline = self.plan_file.parent.parent, self.plan_file.parent.name
            self._tell(error, f"`odnbench sync {pipeline} --storage {storage}` delivers them later")
        else:
            if not self.answers:
                self.tell(f"MLflow at {_shown(self.uri)} answers again: all runs are delivered")

    def _put(self, news: "_News") -> None:
        self._began = True
        self._queue.put(news)

    def _write(self) -> None:
        """The writing thread."""
        runs: PlanRuns | None = None
        while (news := self._take()) is not None:
            if not self.answers or not (news or runs):
                continue
            try:
                runs = runs or PlanRuns(self.plan_file, self.registry, self.uri)
                for one in news:
                    if one.folder is None:
                        runs.follow(one.trial, one.epochs)
                    else:
                        runs.deliver(one.trial, one.folder)
                runs.measure_machine()
            except Exception as error:  # whatever happens here, the sweep goes on
                self.answers = False
                self._tell(error, "`odnbench sync` delivers them later")

    def _take(self) -> "list[_News] | None":
        """All that is waiting, one entry per trial; None at the end, when `close` reads folders."""
        news: dict[str, _News] = {}
        try:
            one = self._queue.get(timeout=_IDLE_SECONDS)
            while one is not None:
                known = news.setdefault(one.trial.id, _News(one.trial))
                known.epochs += one.epochs
                known.folder = one.folder or known.folder
                one = self._queue.get_nowait()
        except Empty:
            return list(news.values())
        return None

    def _tell(self, error: Exception, cure: str) -> None:
        if isinstance(error, _UNREACHABLE):
            what = f"MLflow at {_shown(self.uri)} does not answer ({_reason(error)})"
        else:  # a faulty folder, which the error names, or a bug, which shows where it is
            detail = [str(error)] if isinstance(error, OdnbenchError) else format_exception(error)
            what = f"logging to MLflow stopped: {''.join(detail)}"
        self.tell(f"{what}: results are kept on disk; {cure}")


@dataclass
class _News:
    """What happened to a trial."""

    trial: Trial
    epochs: list[Epoch] = field(default_factory=list)
    folder: TrialFolder | None = None  # once the trial has ended


class PlanRuns:
    """The runs of a plan in MLflow. Each method adds what is missing and nothing twice, so that it
    may be called again after it raised, by this process or another.

    Raises one of `_UNREACHABLE` where MLflow does not answer.
    """

    def __init__(self, plan_file: Path, registry: Registry, uri: str):
        self.plan_file, self.registry, self.uri = plan_file, registry, uri
        self.record = PlanRecord.load(plan_file)
        self.client = _client(uri)
        name = f"odnbench/{self.record.pipeline.name}"
        experiment = self.client.get_experiment_by_name(name)
        self.experiment_id: str = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(name, tags=_EXPERIMENT_TAGS)
        )
        self.parent_id = ""  # until the first trial is seen
        self._followed: dict[str, str] = {}  # trial id → run id
        self._machine: _Machine | None = None

    def follow(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """Begins the run of a trial that is trained, or goes on with it."""
        if trial.id not in self._followed:
            run = self._child(trial, _now_ms())
            self.client.update_run(self.parent_id, status="RUNNING")
            self._machine = self._machine or _Machine.at_hand(self.parent_id, self.uri)
            self._begin(run, trial)
            self._followed[trial.id] = run.info.run_id
        self._log_epochs(self._followed[trial.id], epochs)

    def deliver(self, trial: Trial, folder: TrialFolder) -> bool:
        """Brings what the folder of a trial holds. Returns whether any of it was missing."""
        standing = folder.standing(at_work=is_at_work(self.plan_file.parent))
        state, reason = standing.state, standing.reason
        epochs = folder.epochs
        mark = f"{state}, epochs: {len(epochs)}, {reason}".strip(", ")[:_LONGEST_TAG]
        run = self._child(trial, _changed_ms(folder.path / TRIAL))
        tags = run.data.tags
        if (tags.get(_COMPLETE), tags.get(_PARENT), run.info.status) == (
            mark, self.parent_id, _STATUS[state],
        ):  # fmt: skip
            return False
        if state != "running" and self._contradicts(run, epochs):
            self.client.delete_run(run.info.run_id)
            run = self._child(trial, _changed_ms(folder.path / TRIAL))
        run_id = run.info.run_id
        self._begin(run, trial)
        self._log_epochs(run_id, epochs)
        if state == "done" and "parameters" not in run.data.metrics:
            self.client.log_batch(run_id, metrics=self._results(trial, folder))
        for name in FOR_PEOPLE:
            if (path := folder.path / name).is_file():
                self.client.log_artifact(run_id, str(path))
        if folder.checkpoint.is_file():
            self.client.log_artifact(run_id, str(folder.checkpoint), "checkpoint")
        told = {_PARENT: self.parent_id}
        if folder.started:
            told |= {f"version.{name}": version for name, version in folder.versions.items()}
        if state == "done":
            told["device"] = folder.result.device
        if reason or "reason" in tags:
            told["reason"] = reason[:_LONGEST_TAG]
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in told.items()])
        if state != "running":
            ended = _changed_ms(folder.path / STATUS)
            self.client.set_terminated(run_id, _STATUS[state], ended)
        self.client.set_tag(run_id, _COMPLETE, mark)  # last of all
        self._followed.pop(trial.id, None)
        return True

    def deliver_all(self, tell: Callable[[str], None] = print) -> Delivered:
        """Brings all trials of the plan that were started, its report and its best network."""
        trials = []
        for folder, title in self.record.folders(self.plan_file.parent):
            if folder.started:
                trials.append((dataclasses.replace(folder.trial, title=title), folder))
        brought = [self.deliver(trial, folder) for trial, folder in trials]
        if trials:
            self._finish(trials, tell)
        return Delivered(sum(brought), len(brought) - sum(brought))

    def measure_machine(self) -> None:
        """Logs the load of this machine, now and then while trials are followed."""
        if self._machine is not None:
            self._machine.measure()

    def _finish(
        self, trials: Sequence[tuple[Trial, TrialFolder]], tell: Callable[[str], None]
    ) -> None:
        """Ends the parent run."""
        at_work = is_at_work(self.plan_file.parent)
        states = {trial.id: folder.standing(at_work=at_work).state for trial, folder in trials}
        wanted = ("done", "stopped") if self.record.pipeline.search else ("done",)
        complete = all(states.get(identity) in wanted for identity in self.record.trials)
        status = "FINISHED" if complete else "FAILED"
        mark = content_id(states)
        parent = self.client.get_run(self.parent_id)
        if (parent.data.tags.get(_COMPLETE), parent.info.status) == (mark, status):
            return
        report = read_report(self.plan_file, self.registry)
        if report.rows:
            with TemporaryDirectory() as temporary:
                write_markdown(report, Path(temporary))
                self.client.log_artifacts(self.parent_id, temporary, "report")
        done = [(trial, folder) for trial, folder in trials if states[trial.id] == "done"]
        if complete and done:
            best = min(done, key=lambda pair: pair[1].result.validation_nme_percent)
            self._log_network(*best, tell)
        ended = max(_changed_ms(folder.path / STATUS) for _, folder in trials)
        self.client.set_terminated(self.parent_id, status, ended)
        self.client.set_tag(self.parent_id, _COMPLETE, mark)

    def _log_network(self, trial: Trial, folder: TrialFolder, tell: Callable[[str], None]) -> None:
        """Logs the network of a trial in MLflow's own form, which can be served.

        A network that cannot be exported is told; its weights are there as an artifact.
        """
        run = self._child(trial, _now_ms())
        own = {_PLAN: self.record.id, _TRIAL: trial.id}

        def find() -> list[Any]:
            found = self.client.search_logged_models([self.experiment_id], _filter(own))
            return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

        model = _only(
            find,
            create=lambda: self.client.create_logged_model(
                self.experiment_id,
                "best",
                run.info.run_id,
                tags={**own, "variant": trial.spec.variant, "faces": _faces(trial)},
            ),
            delete=lambda model: self.client.delete_logged_model(model.model_id),
        )
        outputs = run.outputs.model_outputs if run.outputs else []
        if model.model_id not in [output.model_id for output in outputs]:
            self.client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
        if model.status == LoggedModelStatus.READY:
            return
        status = LoggedModelStatus.READY
        described = Model(model.artifact_location, run.info.run_id, model_id=model.model_id)
        with TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            try:
                _save_network(trial, folder, self.registry, path, described)
            except Exception as error:
                status = LoggedModelStatus.FAILED
                tell(f"the network of {trial.title} is not logged as a model: {_reason(error)}")
            else:
                self.client.log_model_artifacts(model.model_id, str(path))
        self.client.finalize_logged_model(model.model_id, status)

    def _begin(self, run: Run, trial: Trial) -> None:
        """Logs what is known before the first epoch."""
        run_id = run.info.run_id
        if run.info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        if not run.data.params:  # a path among them may have changed since, which MLflow refuses
            params = [Param(key, str(value)) for key, value in leaves(trial.spec).items()]
            self.client.log_batch(run_id, params=params)
        self.client.log_inputs(run_id, list(_inputs(trial)))

    def _log_epochs(self, run_id: str, epochs: Sequence[Epoch]) -> None:
        """Logs those of `epochs` that the run does not have."""
        known = self._losses(run_id)
        new = [epoch for epoch in epochs if epoch.epoch not in known]
        for start in range(0, len(new), _EPOCHS_PER_BATCH):
            batch = new[start : start + _EPOCHS_PER_BATCH]
            self.client.log_batch(run_id, metrics=_metrics(batch))

    def _contradicts(self, run: Run, epochs: Sequence[Epoch]) -> bool:
        """Whether the run has other epochs than the trial, which began anew on a device that does
        not repeat its numbers.
        """
        own = {epoch.epoch: epoch.loss for epoch in epochs}
        return any(
            step not in own or not math.isclose(loss, own[step])
            for step, loss in self._losses(run.info.run_id).items()
        )

    def _losses(self, run_id: str) -> dict[int, float]:
        """Epoch → loss of the epochs that a run has."""
        history = self.client.get_metric_history(run_id, "loss")
        return {point.step: point.value for point in history}

    def _results(self, trial: Trial, folder: TrialFolder) -> list[Metric]:
        result, predictions = folder.result, folder.predictions
        columns = self.record.pipeline.columns
        numbers = {
            "parameters": float(result.parameters),
            "images_per_second": result.images_per_second,
            "best_epoch": float(result.best_epoch),
            "best_validation_nme_percent": result.validation_nme_percent,
        }
        for score in scores(predictions, trial, self.registry, columns):
            column = score.column.replace("+", " and ")  # MLflow's names know no plus
            for value in values_of(score, self.registry, [score.protocol.failure_percent]):
                name = _METRIC_NAMES.get(value.metric.name, value.metric.key)
                numbers[f"test_{name}.{column}"] = value.value
        for column, told in occlusion_scores(predictions, self.registry, columns).items():
            for against, occlusion in told.items():
                name = f"test_occlusion_auroc.{against}.{column.replace('+', ' and ')}"
                numbers[name] = occlusion.auroc
        now, step = _now_ms(), trial.spec.train.epochs
        return [Metric(key, value, now, step) for key, value in numbers.items()]

    def _parent(self, trial: Trial, start_ms: int) -> Run:
        """The run of the plan, of which `trial` is one."""
        pipeline = self.record.pipeline
        note = "\n\n".join([pipeline.title, *self.record.notes])
        tags = {
            "mlflow.runName": pipeline.name,
            "pipeline": pipeline.name,
            "dataset": _datasets(trial),
            "protocol": f"{trial.protocol.describe()}; {trial.box.describe()}",
            "faces": _faces(trial),
            "mlflow.note.content": note[:_LONGEST_TAG],
        }
        return self._run("", tags, start_ms)

    def _child(self, trial: Trial, start_ms: int) -> Run:
        """The run of `trial`, below that of the plan."""
        self.parent_id = self.parent_id or self._parent(trial, start_ms).info.run_id
        tags = {
            _PARENT: self.parent_id,
            "mlflow.runName": trial.title,
            "pipeline": trial.pipeline,
            "variant": trial.spec.variant,
            "seed": str(trial.spec.seed),
            "dataset": _datasets(trial),
            "protocol": trial.protocol.name,
            "faces": _faces(trial),
            **{f"coverage.{c.split.replace('/', '.')}": str(c) for c in trial.coverage},
        }
        return self._run(trial.id, tags, start_ms)

    def _run(self, trial: str, tags: Mapping[str, str], start_ms: int) -> Run:
        """The run of a trial's id, "" for the parent."""
        own = {_PLAN: self.record.id, _TRIAL: trial}

        def find() -> list[Run]:
            found = self.client.search_runs([self.experiment_id], _filter(own))
            return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

        return _only(
            find,
            create=lambda: self.client.create_run(
                self.experiment_id, start_time=start_ms, tags={**tags, **own}
            ),
            delete=lambda run: self.client.delete_run(run.info.run_id),
        )


class _Machine:
    """Load of this machine, by MLflow's monitor, without the thread that it would write from."""

    def __init__(self, run_id: str, uri: str):
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=uri)
        self._next = 0.0

    @classmethod
    def at_hand(cls, run_id: str, uri: str) -> "_Machine | None":
        """None where psutil, which the monitor needs, is not installed."""
        try:
            return cls(run_id, uri)
        except ImportError:
            return None

    def measure(self) -> None:
        """Logs a sample if it is time for one."""
        if time.monotonic() >= self._next:
            self._monitor.collect_metrics()
            self._monitor.publish_metrics(self._monitor.aggregate_metrics())
            self._next = time.monotonic() + self._monitor.sampling_interval


class _Served(nn.Module):
    """(B, s, s, 3) uint8 RGB crops → (B, L, 2) landmarks, x y in pixels of the crop."""

    def __init__(self, network: LandmarkNetwork, size: int):
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        points: Tensor = self.network(normalise(central_crop(images, self.size))).points
        return to_pixels(points, self.size)


def ui_command(port: int) -> list[str]:
    """The command that shows the runs, on this machine's loopback only."""
    arguments = ["--backend-store-uri", tracking_uri(), "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "ui", *arguments]


def _save_network(
    trial: Trial, folder: TrialFolder, registry: Registry, path: Path, described: Model
) -> None:
    """Writes the network of a finished trial to `path` as a model of MLflow."""
    size = trial.spec.data.input_size
    spec = replace_at(trial.spec, "model.pretrained", "none")
    network = build_network(spec, registry, trial.scheme.points)
    load_checkpoint(network, folder.checkpoint)
    served = _Served(network, size).eval()
    # Two pictures: of a batch of one, the export would make a fixed size.
    example = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        mlflow.pytorch.save_model(
            served,
            str(path),
            mlflow_model=described,
            signature=infer_signature(example, served(torch.from_numpy(example)).numpy()),
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )


def _client(uri: str) -> MlflowClient:
    """A client. Raises at once where a database is away, for which MLflow waits 100 seconds."""
    if uri.startswith(_DATABASES):
        engine = create_sqlalchemy_engine(uri)
        engine.connect().close()
        engine.dispose()
    return MlflowClient(tracking_uri=uri)


def _only(
    find: Callable[[], list[_T]], create: Callable[[], object], delete: Callable[[_T], object]
) -> _T:
    """What `find` finds, made where there is nothing; the first of several.

    If the answer to `create` is lost, MLflow's client asks again, or we do at the next time: then
    there are two.
    """
    found = find()
    if not found:
        create()
        found = find()
    first, *others = found
    for other in others:
        delete(other)
    return first


def _filter(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def _faces(trial: Trial) -> str:
    return "rendered" if trial.rendered else "real"


def _datasets(trial: Trial) -> str:
    """Names of the data sets that a trial trains on and is tested on."""
    return ", ".join(dict.fromkeys(c.split.partition("/")[0] for c in trial.coverage))


def _inputs(trial: Trial) -> Iterator[DatasetInput]:
    """The splits that a trial trains on and is tested on."""
    for index, part in enumerate(trial.coverage):
        context = InputTag("mlflow.data.context", "testing" if index else "training")
        yield DatasetInput(_dataset(part, trial.faces), [context])


def _dataset(part: Coverage, digest: str) -> Dataset:
    return Dataset(
        name=part.split,
        digest=digest,
        source_type="rendered" if part.rendered else "archive",
        source=json.dumps({"split": part.split, "rendered": part.rendered}),
        profile=json.dumps({"faces": part.faces, "official": part.official}),
    )


def _metrics(epochs: Sequence[Epoch]) -> list[Metric]:
    now = _now_ms()
    return [
        Metric(key, float(value), now, epoch.epoch)
        for epoch in epochs
        for key, value in to_mapping(epoch).items()
        if key != "epoch" and value is not None
    ]


def _now_ms() -> int:
    return int(time.time() * 1000)


def _changed_ms(path: Path) -> int:
    """When a file was written; now, if it is not there."""
    return int(path.stat().st_mtime * 1000) if path.is_file() else _now_ms()


def _shown(uri: str) -> str:
    """`uri` without a password."""
    return re.sub(r"//[^/\s]*@", "//", uri)


def _reason(error: Exception) -> str:
    """What is at the bottom of an error, in one line."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = re.search(r"""Caused by \w+\(["']?(.*?)["']?\)\)""", line)
    return _shown(cause[1] if cause else line)[:300]
