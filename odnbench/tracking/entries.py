"""What a trial is in MLflow's terms: its tags, parameters, data sets and metrics."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from odnbench.plan.conversion import leaves, to_mapping
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.protocols import FLIP_TEST
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.reports.escaping import escaped
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord
from odnbench.results.predictions import Predictions
from odnbench.results.records import Epoch
from odnbench.scoring.occlusion import occlusion_scores
from odnbench.scoring.scores import scores, values_of

PLAN_TAG = "odnbench.plan"  # id of the plan
TRIAL_TAG = "odnbench.trial"  # id of the trial, "" in the parent run
COMPLETE_TAG = "odnbench.complete"  # what was delivered when the run was last brought up to date
SAVED_TAG = "odnbench.saved"  # when the plan was made, in its parent run; ISO 8601, UTC
PARENT_TAG = "mlflow.parentRunId"
LONGEST_TAG = 5000

# Metrics whose names in MLflow are older than the registry of metrics.
_OLDER_NAMES = {"median": "nme_median_percent", "failures": "failure_percent"}


def plan_tags(record: PlanRecord, trial: Trial) -> dict[str, str]:
    """The tags of the run of a plan, of which `trial` is one trial."""
    pipeline = record.pipeline
    return {
        "mlflow.runName": pipeline.name,
        SAVED_TAG: record.saved_at,
        "pipeline": pipeline.name,
        "dataset": _datasets(trial),
        "protocol": f"{trial.protocol.describe()}; {trial.box.describe()}",
        "faces": faces_tag(trial),
        # MLflow's page reads it as Markdown.
        "mlflow.note.content": "\n\n".join(map(escaped, [pipeline.title, *record.notes]))[
            :LONGEST_TAG
        ],
    }


def trial_tags(trial: Trial) -> dict[str, str]:
    """The tags of the run of a trial that are known before it begins."""
    return {
        "mlflow.runName": trial.title,
        "pipeline": trial.pipeline,
        "variant": trial.spec.variant,
        "seed": str(trial.spec.seed),
        "dataset": _datasets(trial),
        "protocol": trial.protocol.name,
        "faces": faces_tag(trial),
        **({"test": FLIP_TEST} if trial.spec.data.flip_test else {}),
        **{f"coverage.{_metric_name(c.split).replace('/', '.')}": str(c) for c in trial.coverage},
    }


def study_tags(record: PlanRecord) -> dict[str, str]:
    """The tags of every run of a search: the name of its study."""
    return {} if record.pipeline.search is None else {"study": record.pipeline.name}


def faces_tag(trial: Trial) -> str:
    """Whether a trial is trained and tested on rendered or on real faces."""
    return "rendered" if trial.rendered else "real"


def parameters(trial: Trial) -> list[Param]:
    """Every field of a trial's spec."""
    return [Param(key, str(value)) for key, value in leaves(trial.spec).items()]


def inputs(trial: Trial) -> list[DatasetInput]:
    """The split that a trial trains on, and those that it is tested on."""
    contexts = ("testing" if index else "training" for index in range(len(trial.coverage)))
    return [
        DatasetInput(_dataset(part, trial.faces), [InputTag("mlflow.data.context", context)])
        for part, context in zip(trial.coverage, contexts, strict=True)
    ]


def epoch_metrics(epochs: Sequence[Epoch]) -> list[Metric]:
    """What was measured in `epochs`; the step of a metric is its epoch."""
    now = now_ms()
    return [
        Metric(key, float(value), now, epoch.epoch)
        for epoch in epochs
        for key, value in _flat(to_mapping(epoch)).items()
        if key != "epoch" and value is not None
    ]


def test_error_names(columns: Sequence[str]) -> list[str]:
    """The names of the metrics that hold the test NME in `columns`."""
    return [f"test_nme_percent.{_metric_name(column)}" for column in columns]


def result_metrics(
    trial: Trial, folder: TrialFolder, registry: Registry, columns: Sequence[str]
) -> list[Metric]:
    """The results of a finished trial, and its test errors in each of the table's `columns`."""
    result, predictions = folder.result, folder.predictions
    numbers = {
        "parameters": float(result.parameters),
        "images_per_second": result.images_per_second,
        "best_epoch": float(result.best_epoch),
        "best_validation_nme_percent": result.validation_nme_percent,
    }
    if result.cost is not None:
        costs = to_mapping(result.cost).items()
        numbers |= {f"cost_{name}": float(value) for name, value in costs if value is not None}
    for score in scores(predictions, trial, registry, columns):
        for value in values_of(score, registry, [score.protocol.failure_percent]):
            name = _OLDER_NAMES.get(value.metric.name, value.metric.key)
            numbers[f"test_{_metric_name(name)}.{_metric_name(score.column)}"] = value.value
    numbers |= _occlusion_metrics("test", predictions, registry, columns)
    if (pasted := folder.pasted) is not None:
        for score in scores(pasted, trial, registry, columns):
            name = f"test_pasted_nme_percent.{_metric_name(score.column)}"
            numbers[name] = score.nme_percent
        numbers |= _occlusion_metrics("test_pasted", pasted, registry, columns)
    now, step = now_ms(), trial.spec.train.epochs
    return [Metric(key, value, now, step) for key, value in numbers.items()]


def disturbed_metrics(
    trial: Trial,
    folder: TrialFolder,
    registry: Registry,
    columns: Sequence[str],
    disturbance: Disturbance,
) -> list[Metric]:
    """The test errors of a finished trial after a disturbance; their step is its level in
    percent.
    """
    predictions = folder.disturbed(disturbance)
    if predictions is None:
        return []
    now, step = now_ms(), round(100 * disturbance.level)
    return [
        Metric(
            f"test_{disturbance.kind}_nme_percent.{_metric_name(score.column)}",
            score.nme_percent,
            now,
            step,
        )
        for score in scores(predictions, trial, registry, columns)
    ]


def _occlusion_metrics(
    faces: str, predictions: Predictions, registry: Registry, columns: Sequence[str]
) -> dict[str, float]:
    """AUROCs of the occlusion map, over all faces together and within a face.

    faces: how names begin, "test" or "test_pasted".
    """
    numbers = {}
    for column, by_truth in occlusion_scores(predictions, registry, columns).items():
        for truth, score in by_truth.items():
            where = f"{_truth_name(truth)}.{_metric_name(column)}"
            numbers[f"{faces}_occlusion_auroc.{where}"] = score.pooled.auroc
            if len(score.aurocs):
                numbers[f"{faces}_occlusion_auroc_within.{where}"] = float(score.aurocs.mean())
    return numbers


def _flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose inner mappings are spread out, with keys such as "gradient_shares.eta"."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": number for inner, number in value.items()}
        else:
            flat[key] = value
    return flat


def now_ms() -> int:
    """The time in milliseconds since the epoch, as MLflow counts it."""
    return int(time.time() * 1000)


def changed_ms(path: Path) -> int:
    """When a file was written, as `now_ms`; now, if the file is not there."""
    return int(path.stat().st_mtime * 1000) if path.is_file() else now_ms()


def _metric_name(name: str) -> str:
    """The name of a column or metric as part of that of a metric or tag in MLflow, which allows few
    signs.
    """
    return re.sub(r"[^/\w.\- :]", "_", name.replace("+", " and "))


def _truth_name(truth: str) -> str:
    """A truth as part of a metric's name: "self_occluded_landmarks"."""
    return truth.replace(" ", "_").replace("-", "_")


def _datasets(trial: Trial) -> str:
    """Names of the data sets that a trial trains on and is tested on."""
    return ", ".join(dict.fromkeys(c.split.partition("/")[0] for c in trial.coverage))


def _dataset(part: Coverage, digest: str) -> Dataset:
    return Dataset(
        name=part.split,
        digest=digest,
        source_type="rendered" if part.rendered else "archive",
        source=json.dumps({"split": part.split, "rendered": part.rendered}),
        profile=json.dumps({"faces": part.faces, "official": part.official}),
    )
