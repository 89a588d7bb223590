"""What a plan will cost."""

import os
from pathlib import Path

import pytest
import torch
from helpers import plan_in

from odnbench.sweep.forecast import Forecast, Slot, forecast
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import with_weights
from odnbench.sweep.run import SearchRecord, run

ONE_CORE = Slot()


def forecast_of(*seconds: float, slots: int | None, slot: Slot = ONE_CORE) -> Forecast:
    return Forecast((), 0, seconds, 1000, slot, slots, 0.0)


@pytest.mark.parametrize(
    ("slots", "seconds"), [(1, 10.0), (2, 6.0), (3, 5.0), (9, 4.0), (None, 10.0)]
)
def test_trials_take_the_first_slot_that_is_free(slots: int | None, seconds: float) -> None:
    """By hand: 1 2 3 4 in two slots are 1 + 3 and 2 + 4, in three 1 + 4, 2 and 3."""
    assert forecast_of(1, 2, 3, 4, slots=slots).seconds == seconds


def test_nothing_to_run_costs_nothing() -> None:
    nothing = forecast_of(slots=2)
    assert (nothing.seconds, nothing.core_hours, nothing.bytes) == (0.0, 0.0, 0)


def test_hours_are_those_of_all_trials() -> None:
    cost = forecast_of(3600, 1800, slots=2, slot=Slot(cpus=4, gpus=0.5))
    assert (cost.core_hours, cost.gpu_hours) == (6.0, 0.75)
    assert cost.bytes == 2000


@pytest.mark.parametrize(
    ("slot", "cores", "gpus", "here", "threads"),
    [
        (Slot(), 8, 0, 8, 1),
        (Slot(cpus=3), 8, 0, 2, 3),
        (Slot(cpus=0.5), 8, 0, 16, 1),
        (Slot(cpus=16), 8, 0, 1, 16),
        (Slot(cpus=0), 8, 0, 8, 1),
        (Slot(), 8, 2, 2, 1),
        (Slot(gpus=0.25), 8, 1, 4, 1),
        (Slot(gpus=0), 8, 1, 8, 1),
    ],
)
def test_slots_are_bounded_by_cores_and_gpus(
    monkeypatch: pytest.MonkeyPatch, slot: Slot, cores: int, gpus: int, here: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert (slot.here, slot.threads) == (here, threads)


def test_finished_trials_are_not_counted_and_each_network_is_measured_once(
    tmp_path: Path, cache: Path
) -> None:
    run(plan_in(tmp_path, cache, "variant=mean-shape"), run_inline, [])
    plan = plan_in(tmp_path, cache, "variant=mean-shape,brnet", "seed=0,1")
    cost = forecast(plan, Slot(), slots=2)
    assert cost.finished == 1
    assert len(cost.trial_seconds) == 3
    assert [kind.trained for kind in cost.kinds] == [False, True]
    brnet = cost.kinds[1]
    written = 4 * brnet.footprint.parameters
    assert written < cost.trial_bytes < 1.2 * written
    assert cost.core_hours == pytest.approx(sum(cost.trial_seconds) / 3600)


@pytest.mark.slow
def test_disk_is_foretold_about_right(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=odn", "rendered_test=100")
    foretold = forecast(plan, Slot(), slots=1).trial_bytes
    run(plan, run_inline, [])
    folder = plan.folder(plan.trials[0]).path
    files = ("checkpoint.safetensors", "predictions.parquet", "predictions-pasted.parquet")
    written = sum((folder / name).stat().st_size for name in files)
    assert foretold == pytest.approx(written, rel=0.2)


def test_trials_of_a_search_count_once_they_have_ended(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", pipeline="tune")
    assert len(forecast(plan, Slot(), slots=1, search_trials=5).trial_seconds) == 5
    record = SearchRecord(plan)
    for state, beta in (("stopped", 1e-6), ("running", 1e-5)):
        trial = with_weights(plan.trials[0], plan.registry, {"beta": beta})
        plan.folder(trial).start(trial)
        plan.folder(trial).set_status(state)  # type: ignore[arg-type]
        record.started(trial)
    cost = forecast(plan, Slot(), slots=1, search_trials=5)
    assert (cost.finished, len(cost.trial_seconds)) == (1, 4)
    assert forecast(plan, Slot(), slots=1, search_trials=1).kinds == ()
