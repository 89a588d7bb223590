"""Disturbed test faces in sweeps: what is trained stays as it is, what is missing is predicted."""

import dataclasses
from pathlib import Path

import pytest
from helpers import plan_in

from odnbench.plan.disturbances import Disturbance
from odnbench.plan.trials import Trial
from odnbench.results.folder import CHECKPOINT, DONE, EPOCHS, PREDICTIONS, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.predictions import Predictions
from odnbench.results.records import Epoch, State
from odnbench.results.status import read_status
from odnbench.sweep import run as sweep
from odnbench.sweep.forecast import Slot, forecast
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run

LEVELS = {"occluders": (0.0, 0.2, 0.5), "shift": (0.0, 0.1)}
VARIANTS = ("variant=mean-shape,odn",)


class Events(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        self.seen.append(f"{trial.spec.variant} {epoch.epoch}")

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        self.seen.append(f"{trial.spec.variant} {reason or state}")


def plan_with(
    storage: Path, cache: Path, levels: dict[str, tuple[float, ...]], *overrides: str
) -> Plan:
    plan = plan_in(storage, cache, "data.margin=1.4", *(overrides or VARIANTS))
    pipeline = dataclasses.replace(plan.pipeline, disturbances=levels)
    return dataclasses.replace(plan, pipeline=pipeline)


def files_of(plan: Plan) -> dict[str, bytes]:
    return {
        f"{trial.spec.variant}/{path.name}": path.read_bytes()
        for trial in plan.trials
        for path in plan.folder(trial).path.glob("disturbed-*")
    }


def trained(plan: Plan) -> list[int]:
    return [
        (plan.folder(trial).path / name).stat().st_mtime_ns
        for trial in plan.trials
        for name in (CHECKPOINT, DONE, EPOCHS, PREDICTIONS)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    """A plan that was carried out at once; tests leave the folder as it is."""
    plan = plan_with(tmp_path_factory.mktemp("whole"), cache, LEVELS)
    assert run(plan, run_inline, []).complete
    return plan


def test_what_is_trained_is_predicted_with_and_not_trained_again(
    whole: Plan, tmp_path: Path, cache: Path
) -> None:
    before = plan_with(tmp_path, cache, {})
    assert run(before, run_inline, []).complete
    stamps = trained(before)
    after = plan_with(tmp_path, cache, LEVELS)
    assert (after.id, [t.id for t in after.trials]) == (before.id, [t.id for t in before.trials])
    assert not after.unfinished
    assert after.unpredicted == list(after.trials)

    events = Events()
    assert run(after, run_inline, [events]).complete
    assert events.seen == ["mean-shape done", "odn done"]
    assert trained(after) == stamps
    assert files_of(after) == files_of(whole)
    again = Events()
    assert run(after, run_inline, [again]).complete
    assert again.seen == ["mean-shape reused", "odn reused"]


def test_a_killed_prediction_goes_on_to_the_same_bits(
    whole: Plan, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, add, written = plan_with(tmp_path, cache, LEVELS), TrialFolder.add_disturbed, []

    def killed(folder: TrialFolder, one: Disturbance, predictions: Predictions) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(one)
        add(folder, one, predictions)

    with monkeypatch.context() as patch:
        patch.setattr(TrialFolder, "add_disturbed", killed)
        outcome = run(plan, run_inline, [])
    odn = plan.trials[1]
    assert (outcome.complete, outcome.states[odn.id]) == (False, "stopped")
    status = read_status(plan.file)
    assert [trial.state for trial in status.trials] == ["done", "trained"]
    assert status.trials[1].reason.startswith("test faces not yet predicted with occluders 0.5, ")
    assert not status.well

    (torn,) = plan.folder(odn).path.glob("disturbed-occluders-0.2-*")
    torn.write_bytes(torn.read_bytes()[:1000])
    stamps = trained(plan)
    assert run(plan, run_inline, []).complete
    assert trained(plan) == stamps
    assert files_of(plan) == files_of(whole)
    assert read_status(plan.file).well


def test_another_level_costs_its_own_prediction_alone(
    whole: Plan, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_with(tmp_path, cache, {"shift": (0.0, 0.1)}, "variant=mean-shape")
    assert run(plan, run_inline, []).complete
    more = plan_with(tmp_path, cache, {"shift": (0.0, 0.05, 0.1)}, "variant=mean-shape")
    (trial,) = more.unpredicted
    assert more.lacks(trial) == (Disturbance("shift", 0.05),)
    cost = forecast(more, Slot(), slots=1)
    assert (len(cost.trial_seconds), cost.finished, len(cost.predicting_seconds)) == (0, 1, 1)
    assert cost.seconds > 0
    assert cost.bytes == cost.predicting_bytes > 0


def test_a_prediction_that_fails_leaves_the_trial_trained(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_with(tmp_path, cache, LEVELS, "variant=mean-shape")

    def fails(*_: object) -> None:
        raise ValueError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "predict_disturbed", fails)
        events = Events()
        assert not run(plan, run_inline, [events]).complete
    assert events.seen == ["mean-shape ValueError: no room"]
    assert not plan.unfinished
    assert [trial.state for trial in read_status(plan.file).trials] == ["trained"]
    assert run(plan, run_inline, []).complete


@pytest.mark.slow
def test_workers_of_ray_predict_the_same_bits(whole: Plan, tmp_path: Path, cache: Path) -> None:
    from odnbench.sweep.on_ray import run_on_ray

    assert run(plan_with(tmp_path, cache, {}), run_inline, []).complete
    plan = plan_with(tmp_path, cache, LEVELS)
    assert run(plan, run_on_ray, []).complete
    assert files_of(plan) == files_of(whole)
