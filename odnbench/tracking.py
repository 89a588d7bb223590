"""MLflow: the only file that imports mlflow.

The driver is the one writer: a parent run per plan, a child run per trial, written from what the
trial folders hold. Runs are found by the ids of plan and trial in their tags, so that a plan that
is run again adds nothing twice. Without MLFLOW_TRACKING_URI, MLflow's own default store in the
current folder is used, so that a plain `mlflow ui` there shows everything.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.tracking import MlflowClient

from odnbench.conversion import get_at, to_mapping
from odnbench.metrics.scores import occlusion_scores, scores
from odnbench.pipelines import FIELDS
from odnbench.specs import Trial
from odnbench.sweep import Observer, Plan
from odnbench.trials import Epoch, State, TrialFolder

logging.getLogger("mlflow.store").setLevel(logging.WARNING)  # it tells of every table it creates

DEFAULT_STORE = "sqlite:///mlflow.db"
_LARGEST_BATCH = 1000  # metrics that MLflow takes in one call
_PLAN, _TRIAL = "odnbench.plan", "odnbench.trial"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's training view
_ARTIFACTS = (
    "trial.json", "result.json", "metrics.jsonl", "predictions.parquet", "examples.jpg",
)  # fmt: skip
_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "running": "RUNNING"}


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the SQLite store in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE


class MlflowMirror(Observer):
    """Observer that keeps the runs of a plan in MLflow."""

    def __init__(self, plan: Plan, uri: str | None = None):
        self.client = MlflowClient(tracking_uri=uri or tracking_uri())
        self.plan = plan
        name = f"odnbench/{plan.pipeline.name}"
        experiment = self.client.get_experiment_by_name(name)
        self.experiment_id = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(name, tags=_EXPERIMENT_TAGS)
        )
        self.parent_id = self._find(plan.id, "") or self._create_parent()
        self.children: dict[str, str] = {}  # trial id → run id

    def __enter__(self) -> "MlflowMirror":
        self.client.update_run(self.parent_id, status="RUNNING")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.client.set_terminated(self.parent_id, status="KILLED")

    def started(self, trial: Trial) -> None:
        """See Observer. A run that a killed sweep left unfinished gives way to the new one."""
        if stale := self._find(self.plan.id, trial.id):
            self.client.delete_run(stale)
        tags = {
            "mlflow.parentRunId": self.parent_id,
            "mlflow.runName": trial.title,
            _PLAN: self.plan.id,
            _TRIAL: trial.id,
            "variant": trial.spec.variant,
            "seed": str(trial.spec.seed),
            "protocol": trial.protocol.name,
            "faces": "rendered" if trial.rendered else "real",
            **{f"coverage.{c.split.replace('/', '.')}": str(c) for c in trial.coverage},
        }
        run = self.client.create_run(self.experiment_id, tags=tags)
        self.children[trial.id] = run.info.run_id
        params = [Param(key, str(get_at(trial.spec, key))) for key in FIELDS]
        self.client.log_batch(run.info.run_id, params=params)

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        self.client.log_batch(self.children[trial.id], metrics=_metrics([epoch]))

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer. A trial reused from disk is written from its folder unless it is there."""
        if reason == "reused":
            if self._finished(trial):
                return
            self.started(trial)
            metrics = _metrics(folder.epochs)
            for start in range(0, len(metrics), _LARGEST_BATCH):
                batch = metrics[start : start + _LARGEST_BATCH]
                self.client.log_batch(self.children[trial.id], metrics=batch)
        elif trial.id not in self.children:
            self.started(trial)
        run_id = self.children[trial.id]
        if state == "done":
            self._log_result(run_id, trial, folder)
        elif reason:
            self.client.set_tag(run_id, "reason", reason[:5000])
        self.client.set_terminated(run_id, status=_STATUS[state])

    def close(self, report: Path | None, complete: bool) -> None:
        """Logs the files in the folder `report`, and ends the parent run."""
        if report is not None:
            self.client.log_artifacts(self.parent_id, str(report), "report")
        self.client.set_terminated(self.parent_id, status="FINISHED" if complete else "FAILED")

    def _log_result(self, run_id: str, trial: Trial, folder: TrialFolder) -> None:
        result = folder.result
        numbers = {
            "parameters": float(result.parameters),
            "images_per_second": result.images_per_second,
            "best_epoch": float(result.best_epoch),
            "best_validation_nme_percent": result.validation_nme_percent,
        }
        predictions, columns = folder.predictions, self.plan.pipeline.columns
        for score in scores(predictions, trial, self.plan.registry, columns):
            column = score.column.replace("+", " and ")  # MLflow's names know no plus
            numbers[f"test_nme_percent.{column}"] = score.nme_percent
            numbers[f"test_nme_median_percent.{column}"] = score.median_percent
            numbers[f"test_failure_percent.{column}"] = score.failure_percent
            numbers[f"test_auc_percent.{column}"] = score.auc_percent
        for column, told in occlusion_scores(predictions, self.plan.registry, columns).items():
            for against, occlusion in told.items():
                name = f"test_occlusion_auroc.{against}.{column.replace('+', ' and ')}"
                numbers[name] = occlusion.auroc
        step = max(0, trial.spec.train.epochs)
        metrics = [Metric(key, value, _now_ms(), step) for key, value in numbers.items()]
        tags = [RunTag(f"version.{name}", v) for name, v in folder.versions.items()]
        tags.append(RunTag("device", result.device))
        self.client.log_batch(run_id, metrics=metrics, tags=tags)
        for name in _ARTIFACTS:
            if (path := folder.path / name).is_file():
                self.client.log_artifact(run_id, str(path))
        self.client.log_artifact(run_id, str(folder.checkpoint), "checkpoint")

    def _create_parent(self) -> str:
        pipeline = self.plan.pipeline
        first = self.plan.trials[0]
        tags = {
            "mlflow.runName": pipeline.name,
            _PLAN: self.plan.id,
            _TRIAL: "",
            "pipeline": pipeline.name,
            "protocol": f"{first.protocol.describe()}; {first.box.describe()}",
            "faces": "rendered" if first.rendered else "real",
            "mlflow.note.content": "\n\n".join([pipeline.title, *self.plan.notes]),
        }
        run_id: str = self.client.create_run(self.experiment_id, tags=tags).info.run_id
        return run_id

    def _find(self, plan: str, trial: str) -> str | None:
        """Id of the run of `trial` ("" for the parent) of `plan`."""
        own = f"tags.`{_PLAN}` = '{plan}' and tags.`{_TRIAL}` = '{trial}'"
        runs = self.client.search_runs([self.experiment_id], own, max_results=1)
        return runs[0].info.run_id if runs else None

    def _finished(self, trial: Trial) -> bool:
        run_id = self._find(self.plan.id, trial.id)
        if run_id is None:
            return False
        status: str = self.client.get_run(run_id).info.status
        return status == RunStatus.to_string(RunStatus.FINISHED)


def ui_command(port: int) -> list[str]:
    """The command that shows the runs, on this machine's loopback only."""
    arguments = ["--backend-store-uri", tracking_uri(), "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "ui", *arguments]


def _metrics(epochs: Sequence[Epoch]) -> list[Metric]:
    return [
        Metric(key, float(value), _now_ms(), epoch.epoch)
        for epoch in epochs
        for key, value in to_mapping(epoch).items()
        if key != "epoch" and value is not None
    ]


def _now_ms() -> int:
    return int(time.time() * 1000)
