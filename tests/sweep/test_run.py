"""Plans that are carried out, over tiny rendered faces: what observers see, and how trials end."""

from pathlib import Path

import numpy as np
import pytest
from helpers import plan_in

from odnbench.plan.trials import Trial
from odnbench.reports.read import read_report
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run


class Recorder(Observer):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, trial: Trial) -> None:
        self.events.append(("started", trial.spec.variant))

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        self.events.append((f"epoch {epoch.epoch}", trial.spec.variant))

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        self.events.append((f"{state} {reason}".strip(), trial.spec.variant))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,brnet")
    assert run(plan, run_inline, []).complete
    return plan


def test_observers_see_each_trial_start_learn_and_end(tmp_path: Path, cache: Path) -> None:
    recorder = Recorder()
    run(plan_in(tmp_path, cache, "variant=brnet"), run_inline, [recorder])
    assert [event for event, _ in recorder.events] == ["started", "epoch 1", "epoch 2", "done"]


def test_a_finished_trial_is_reused(finished: Plan) -> None:
    recorder = Recorder()
    before = {t.id: (finished.folder(t).path / "done").stat().st_mtime_ns for t in finished.trials}
    outcome = run(finished, run_inline, [recorder])
    assert outcome.complete
    assert {event for event, _ in recorder.events} == {"done reused"}
    after = {t.id: (finished.folder(t).path / "done").stat().st_mtime_ns for t in finished.trials}
    assert after == before


def test_a_failing_trial_keeps_its_reason_and_the_others_go_on(tmp_path: Path, cache: Path) -> None:
    diverging = ("optimizer=sgd", "learning_rate=1e30", "schedule=constant")
    plan = plan_in(tmp_path, cache, "variant=odn,mean-shape", *diverging)
    outcome = run(plan, run_inline, [])
    states = {t.spec.variant: outcome.states[t.id] for t in plan.trials}
    assert states == {"odn": "failed", "mean-shape": "done"}
    assert not outcome.complete
    state, reason = plan.folder(plan.trials[0]).status
    assert state == "failed"
    assert "epoch 1: the data term is" in reason
    report = read_report(plan.file, plan.registry)
    assert [missing.title for missing in report.missing] == ["BRNet+GM+LM+DM (ODN)"]


def test_an_interrupted_sweep_says_so_and_goes_on_with_the_same_plan(
    tmp_path: Path, cache: Path
) -> None:
    class Impatient(Recorder):
        def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
            super().epoch_ended(trial, epoch)
            if trial.spec.variant == "odn":
                raise KeyboardInterrupt

    plan = plan_in(tmp_path, cache, "variant=brnet,odn,dm")
    recorder = Impatient()
    outcome = run(plan, run_inline, [recorder])
    assert not outcome.complete
    assert recorder.events[-1] == ("stopped interrupted", "odn")
    assert plan.folder(plan.trials[1]).status == ("stopped", "interrupted")
    assert not plan.folder(plan.trials[2]).started

    again = Recorder()
    assert run(plan, run_inline, [again]).complete
    assert [event for event in again.events if event[0].startswith("done")] == [
        ("done reused", "brnet"),
        ("done", "odn"),
        ("done", "dm"),
    ]


@pytest.mark.slow
def test_ray_and_this_process_give_the_same_numbers(tmp_path: Path, cache: Path) -> None:
    from odnbench.sweep.on_ray import run_on_ray

    here = plan_in(tmp_path / "here", cache, "variant=odn,dm")
    there = plan_in(tmp_path / "there", cache, "variant=odn,dm")
    recorder = Recorder()
    run(here, run_inline, [])
    run(there, run_on_ray, [recorder])
    assert ("epoch 2", "odn") in recorder.events
    assert ("done", "dm") in recorder.events
    for a, b in zip(here.trials, there.trials, strict=True):
        np.testing.assert_array_equal(
            here.folder(a).predictions.predicted, there.folder(b).predictions.predicted
        )
