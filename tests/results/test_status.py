"""How far the trials of a plan are, as their folders tell it."""

import dataclasses
import os
import shutil
import time
from pathlib import Path

import pytest
from filelock import FileLock
from helpers import plan_in

from odnbench.errors import OdnbenchError
from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch
from odnbench.results.status import PlanStatus, TrialStatus, read_status
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run


class Impatient(Observer):
    """Interrupts the sweep at the first epoch of ODN."""

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        if trial.spec.variant == "odn":
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,brnet,odn,dm")
    run(plan, run_inline, [Impatient()])
    return plan


@pytest.fixture
def plan(broken_off: Plan, tmp_path: Path) -> Plan:
    """A copy of the plan: the mean shape and BRNet are done, ODN is interrupted, DM waits."""
    shutil.copytree(broken_off.storage, tmp_path, dirs_exist_ok=True)
    return dataclasses.replace(broken_off, storage=tmp_path)


def states(plan: Plan) -> list[str]:
    return [trial.state for trial in read_status(plan.file).trials]


def test_an_interrupted_sweep_is_told_with_what_is_measured(plan: Plan) -> None:
    status = read_status(plan.file)
    assert (status.pipeline, status.running, status.well) == ("ablation", False, False)
    still, brnet, odn, dm = status.trials
    assert [t.state for t in status.trials] == ["done", "done", "interrupted", "waiting"]
    result = plan.folder(plan.trials[1]).result
    assert brnet.best_nme_percent == result.validation_nme_percent
    assert (brnet.epoch, brnet.epochs, brnet.seconds) == (2, 2, result.seconds)
    (first,) = plan.folder(plan.trials[2]).epochs
    assert odn.best_nme_percent == first.validation_nme_percent
    assert (odn.epoch, odn.epochs, odn.seconds) == (1, 2, first.seconds)
    assert "the same command" in odn.reason
    assert (still.epochs, still.best_nme_percent is not None) == (0, True)
    assert (dm.epochs, dm.best_nme_percent, dm.seconds) == (None, None, 0.0)


def test_what_waits_for_a_sweep_that_is_at_work_is_not_interrupted(plan: Plan) -> None:
    with FileLock(plan.file.parent / ".lock"):
        assert states(plan) == ["done", "done", "waiting", "waiting"]
        plan.folder(plan.trials[2]).set_status("running")
        status = read_status(plan.file)
        assert [t.state for t in status.trials] == ["done", "done", "running", "waiting"]
        assert status.running and status.well
    assert states(plan) == ["done", "done", "interrupted", "waiting"]  # it was killed


@pytest.mark.parametrize("state", ["failed", "running"])
def test_what_an_earlier_sweep_left_behind_waits_for_this_one(plan: Plan, state: str) -> None:
    folder = plan.folder(plan.trials[2])
    folder.set_status(state, "why")  # type: ignore[arg-type]
    earlier = time.time() - 60
    os.utime(folder.path / "status.json", (earlier, earlier))
    assert states(plan)[2] == {"failed": "failed", "running": "interrupted"}[state]
    with FileLock(plan.file.parent / ".lock"):
        plan.save()
        assert states(plan)[2] == "waiting"


def test_a_failure_is_told_with_its_reason_while_the_others_go_on(plan: Plan) -> None:
    plan.folder(plan.trials[3]).announce(plan.trials[3])
    plan.folder(plan.trials[3]).set_status("failed", "epoch 1: the data term is nan")
    with FileLock(plan.file.parent / ".lock"):
        status = read_status(plan.file)
        assert status.trials[3].state == "failed"
        assert status.trials[3].reason == "epoch 1: the data term is nan"
        assert not status.well


def test_a_trial_that_died_before_it_began_has_its_reason(plan: Plan) -> None:
    folder = plan.folder(plan.trials[3])
    folder.path.mkdir()
    folder.set_status("failed", "its worker was lost")
    trial = read_status(plan.file).trials[3]
    assert (trial.state, trial.reason, trial.epochs) == ("failed", "its worker was lost", None)


def test_a_finished_plan_is_well(plan: Plan) -> None:
    assert run(plan, run_inline, []).complete
    status = read_status(plan.file)
    assert status.well and not status.running
    assert status.remaining_seconds == 0.0
    assert dict(status.counts) == {"done": 4}


def test_the_rest_is_foretold_from_the_epochs_so_far() -> None:
    """By hand: of one trial, 7 epochs of 2 s are left; one that has none yet is taken to last as
    long as the mean of 20 and 30 s.
    """
    half = TrialStatus("half", "running", epoch=3, epochs=10, epoch_seconds=2.0)
    none = TrialStatus("none", "running", epoch=0, epochs=10)
    done = TrialStatus("done", "done", epoch=10, epochs=10, epoch_seconds=3.0)
    mean_shape = TrialStatus("mean shape", "done", epoch=0, epochs=0)
    waiting = TrialStatus("waiting", "waiting")
    failed = TrialStatus("failed", "failed", epoch=1, epochs=10, epoch_seconds=3.0)

    def remaining(*trials: TrialStatus) -> float | None:
        return PlanStatus("p", True, trials).remaining_seconds

    assert remaining(done, mean_shape) == 0.0
    assert remaining(half, done) == 14.0
    assert remaining(half, done, none) == 14.0 + 25.0
    assert remaining(half, done, waiting, mean_shape) == 14.0 + 25.0
    assert remaining(mean_shape, waiting) is None
    assert remaining(done, failed) == 0.0


def test_a_plan_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(OdnbenchError, match="cannot be read as a plan"):
        read_status(tmp_path / "plan.json")
