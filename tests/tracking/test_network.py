"""The best network of a plan is a model of MLflow, wherever torch is installed."""

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from mlflow_store import (
    assert_mirrors,
    assert_nothing_to_add,
    everything,
    folder_of,
    runs_by_trial,
)

from odnbench.engine.checkpoint import load_checkpoint
from odnbench.engine.evaluate import predict
from odnbench.engine.training import build_network
from odnbench.plan.conversion import replace_at
from odnbench.sweep.plan import Plan
from odnbench.tracking import network as tracked_network
from odnbench.tracking.sync import sync

pytestmark = pytest.mark.slow


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

    monkeypatch.setattr(tracked_network, "save_network", fail)
    told: list[str] = []
    sync(folder_of(finished), finished.registry, uri, told.append)
    assert len(told) == 1
    assert "is not logged as a model: no such operator" in told[0]
    assert_mirrors(uri, finished.file, finished.registry)
    assert_nothing_to_add(uri, finished)


@pytest.mark.slow
def test_without_torch_the_network_waits_and_the_rest_is_there(
    finished: Plan, uri: str, tmp_path: Path, without_large_libraries: dict[str, str]
) -> None:
    def run_sync() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "odnbench", "sync", "--storage", str(finished.storage)],
            cwd=tmp_path,
            env={**without_large_libraries, "MLFLOW_TRACKING_URI": uri},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told, *rest = run_sync().splitlines()
    assert told.startswith("the network of ")
    assert "is not yet logged as a model: No module named 'torch'" in told
    assert told.endswith("`odnbench sync` in an installation with torch adds it")
    assert rest == ["ablation: trials delivered: 2, already there: 0"]
    runs = runs_by_trial(uri)
    assert {one.info.status for one in runs.values()} == {"FINISHED"}
    assert MlflowClient(uri).list_artifacts(runs[""].info.run_id, "report")

    before = everything(uri, "ablation")
    assert run_sync().splitlines() == [told, "ablation: trials delivered: 0, already there: 2"]
    assert everything(uri, "ablation") == before

    assert [str(status) for status, _ in before["models"].values()] == ["PENDING"]
    sync(folder_of(finished), finished.registry, uri)
    after = everything(uri, "ablation")
    assert [str(status) for status, _ in after["models"].values()] == ["READY"]
    assert after["models"].keys() == before["models"].keys()
    assert_mirrors(uri, finished.file, finished.registry)
    assert_nothing_to_add(uri, finished)
