"""What MLflow holds of a finished trial: errors and AUROCs, with and without pasted occluders."""

from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY, trial_of
from made_results import CELLS, COLUMN, LANDMARKS, Faces, Made, report_of, spread_errors
from mlflow.utils.validation import _validate_metric_name

from odnbench.plan.registry import Registry
from odnbench.plan.specs import LossSpec
from odnbench.results.predictions import Occlusion
from odnbench.results.records import Cost, Epoch
from odnbench.tracking.entries import epoch_metrics, parameters, result_metrics, trial_tags
from odnbench.tracking.runs import _EPOCHS_PER_BATCH

N = 20


def test_metrics_hold_areas_within_faces_and_errors_under_pasted_occluders(tmp_path: Path) -> None:
    occluded = np.zeros((N, LANDMARKS), bool)
    occluded[:, :2] = True
    covered = occluded.copy()
    covered[:, 1] = False
    away = np.full((N, LANDMARKS), 0.5)
    away[:, 0], away[:, 1], away[:5, 0] = 0.9, 0.1, 0.5
    away[10:] /= 10  # which changes nothing within a face
    cells = np.linspace(0, 1, CELLS) * np.ones((N, 1))
    held = Occlusion(away, cells, (cells > 0.95).astype(np.float64), covered)
    made = Made(
        "odn",
        Faces(spread_errors(0.05, N), held, occluded),
        pasted=Faces(spread_errors(0.08, N), held, occluded),
    )
    (trial,) = report_of(tmp_path, made).trials
    metrics = result_metrics(trial.trial, trial.folder, REGISTRY, [COLUMN])
    held_by_name = {metric.key: metric.value for metric in metrics}
    assert held_by_name[f"test_nme_percent.{COLUMN}"] == pytest.approx(5)
    assert held_by_name[f"test_pasted_nme_percent.{COLUMN}"] == pytest.approx(8)
    for faces in ("test", "test_pasted"):
        within = {
            truth: held_by_name[f"{faces}_occlusion_auroc_within.{truth}.{COLUMN}"]
            for truth in ("covered_landmarks", "self_occluded_landmarks", "cells")
        }
        # On 15 of 20 faces the covered landmark stands above the others, on 5 it is like them.
        assert within == pytest.approx(
            {"covered_landmarks": (15 + 5 / 2) / 20, "self_occluded_landmarks": 0, "cells": 1}
        )
        assert held_by_name[f"{faces}_occlusion_auroc.cells.{COLUMN}"] == 1


def test_a_trial_without_pasted_faces_has_no_such_metrics(tmp_path: Path) -> None:
    (trial,) = report_of(tmp_path, Made("odn", Faces(spread_errors(0.05, N)))).trials
    names = [m.key for m in result_metrics(trial.trial, trial.folder, REGISTRY, [COLUMN])]
    assert f"test_nme_percent.{COLUMN}" in names
    assert not [name for name in names if "pasted" in name or "occlusion" in name]


def test_a_metric_of_any_name_has_one_that_mlflow_takes(tmp_path: Path) -> None:
    (tmp_path / "metrics.toml").write_text(
        '["P90%"]\ntitle = "P90"\nunit = "%"\nbetter = "lower"\n'
        'target = "odnbench.metrics.summaries:median_percent"\n'
    )
    registry = Registry.load([tmp_path])
    (trial,) = report_of(tmp_path / "made", Made("odn", Faces(spread_errors(0.05, N)))).trials
    names = [metric.key for metric in result_metrics(trial.trial, trial.folder, registry, [COLUMN])]
    assert f"test_P90__percent.{COLUMN}" in names
    for name in names:
        _validate_metric_name(name)


def test_a_run_says_that_its_numbers_are_those_of_a_flip_test() -> None:
    flipped, plain = trial_of("odn", ["flip_test=true"]), trial_of("odn")
    assert trial_tags(flipped)["test"].startswith("flip test: the mean of the predictions")
    assert "test" not in trial_tags(plain)
    held = {param.key: param.value for param in parameters(flipped)}
    assert held["data.flip_test"] == "True"


def test_metrics_hold_the_cost_where_it_was_measured(tmp_path: Path) -> None:
    cost = Cost(20_000_000, 2.5, 0.5, 14_000_000, 2)
    for name, made in (("new", cost), ("old", None)):
        (trial,) = report_of(
            tmp_path / name, Made("odn", Faces(spread_errors(0.05, N)), cost=made)
        ).trials
        metrics = result_metrics(trial.trial, trial.folder, REGISTRY, [COLUMN])
        held = {m.key: m.value for m in metrics if m.key.startswith("cost_")}
        assert held == ({} if made is None else {
            "cost_multiply_adds": 2e7, "cost_ms_single": 2.5, "cost_ms_batched": 0.5,
            "cost_peak_bytes": 1.4e7, "cost_threads": 2,
        })  # fmt: skip


def test_a_batch_of_the_fullest_epochs_is_not_too_large_for_mlflow() -> None:
    weights = dict.fromkeys(LossSpec.weights(), 0.1)
    epoch = Epoch(1, 1.0, 1.0, 1e-3, 5.0, 1.0, 3.0, 2.0, weights, {**weights, "teacher": 0.1})
    assert len(epoch_metrics([epoch] * _EPOCHS_PER_BATCH)) < 1000
