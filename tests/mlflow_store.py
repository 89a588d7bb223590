"""What an MLflow store holds, compared with the trial folders that it mirrors."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from odnbench.plan.conversion import to_mapping
from odnbench.plan.registry import Registry
from odnbench.results.folder import FOR_PEOPLE, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import PlanRecord
from odnbench.scoring.scores import scores
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.tracking.mirror import MlflowMirror
from odnbench.tracking.sync import sync

STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


def experiments(uri: str, pipeline: str) -> list[str]:
    found = MlflowClient(uri).get_experiment_by_name(f"odnbench/{pipeline}")
    return [found.experiment_id] if found else []


def all_runs(uri: str, pipeline: str = "ablation") -> list[Run]:
    return list(MlflowClient(uri).search_runs(experiments(uri, pipeline)))


def runs_by_trial(uri: str, pipeline: str = "ablation") -> dict[str, Run]:
    """Id of a trial, "" for the plan → its run."""
    return {one.data.tags["odnbench.trial"]: one for one in all_runs(uri, pipeline)}


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
        for epoch in epochs:
            shares = epoch.pop("gradient_shares")
            epoch |= {f"gradient_shares.{weight}": share for weight, share in shares.items()}
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


def mirrored(plan: Plan, uri: str | None, *observers: Observer) -> tuple[bool, list[str]]:
    """Runs `plan` under a mirror. Returns whether it was carried out, and what people were told."""
    told: list[str] = []
    mirror = MlflowMirror(plan.own_file, plan.registry, uri, told.append)
    outcome = run(plan, run_inline, [mirror, *observers])
    mirror.close()
    return outcome.complete, told


def folder_of(plan: Plan) -> Path:
    return plan.file.parent


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
