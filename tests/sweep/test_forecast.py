"""What a plan will cost."""

import os
from pathlib import Path

import pytest
import torch
from helpers import plan_in

from odnbench.results.searches import SearchSettings
from odnbench.sweep.forecast import Forecast, Searched, Slot, expected_share, forecast
from odnbench.sweep.inline import run_inline
from odnbench.sweep.run import run

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


def test_trials_of_a_search_take_the_share_of_the_epochs_that_its_pruner_leaves(
    tmp_path: Path, cache: Path
) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", "gamma=0", pipeline="tune")
    cost = forecast(plan, Slot(), slots=1, searched=Searched(3, 0.5, 2, 7))
    whole = max(cost.trial_seconds)
    assert cost.finished == 7
    assert cost.trial_seconds == pytest.approx([0.5 * whole] * 3 + [whole] * 2)
    assert forecast(plan, Slot(), slots=1, searched=Searched(0, 1.0, 0, 5)).kinds == ()


@pytest.mark.parametrize(
    ("settings", "steps", "share"),
    [
        (SearchSettings(pruner="none"), 12, 1.0),
        # All take 6 of 12 epochs, a third the other 6.
        (SearchSettings(prune_from=0.5), 12, (6 + 6 / 3) / 12),
        # All take 3, a third 6 more, a ninth the last 3.
        (SearchSettings(prune_from=0.25), 12, (3 + 6 / 3 + 3 / 9) / 12),
        (SearchSettings(pruner="median"), 12, None),
    ],
)
def test_successive_halving_leaves_a_third_at_each_rung(
    settings: SearchSettings, steps: int, share: float | None
) -> None:
    assert expected_share(settings, steps) == (share if share is None else pytest.approx(share))
