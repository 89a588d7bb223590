"""A plan is carried out by an executor, while observers look on.

    outcome = run(plan, run_inline, observers)

An executor trains trials and says how each of them ended: `run_inline` in this process (inline.py),
`run_on_ray` on a Ray cluster (on_ray/). A finished trial of the same content id is reused. A trial
that fails keeps the reason in its folder, and the other trials go on.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from odnbench.datasets.sources import TrialFaces
from odnbench.engine.disturb import predict_disturbed
from odnbench.engine.fit import TrialFailed, fit
from odnbench.engine.memory import return_freed_memory
from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import ALL, INTERRUPTED, TRACEBACK, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import alone_in
from odnbench.results.records import Epoch, State
from odnbench.sweep.plan import Plan

# Trains the given trials of a plan and tells the observers; returns the state of each trial that
# ended, by the trial's id. A trial that is missing from the result was interrupted.
Executor = Callable[[Plan, Sequence[Trial], Sequence[Observer]], dict[str, State]]


@dataclass(frozen=True)
class Outcome:
    """How each trial of a sweep ended."""

    # By the trial's id.
    states: Mapping[str, State]
    # Whether nothing is left to do.
    complete: bool
    # What is to be known where something is.
    remedy: str = "the same command goes on with what is missing"


def run(plan: Plan, executor: Executor, observers: Sequence[Observer]) -> Outcome:
    """Has `executor` train the trials of `plan` that are not finished yet, and predict the
    disturbed test faces that finished ones lack.

    A trial that fails or is interrupted does not raise. Raises OdnbenchError if another sweep is at
    work in the pipeline's folder.
    """
    with alone_in(plan.file.parent):
        plan.save()
        return carry_out(plan, executor, observers)


def carry_out(plan: Plan, executor: Executor, observers: Sequence[Observer]) -> Outcome:
    """`run`, for a plan whose folder is locked and whose record is written."""
    for observer in observers:
        observer.planned(plan.trials)
    states: dict[str, State] = {}
    open_trials = []
    for trial in plan.trials:
        folder = plan.folder(trial)
        if folder.marked and folder.damage(ALL):
            folder.unmark()  # `Plan.faults` has told of it
        if folder.marked and not plan.lacks(trial):
            states[trial.id] = "done"
            for observer in observers:
                observer.ended(trial, folder, "done", "reused")
        else:
            open_trials.append(trial)
    if open_trials:
        states |= executor(plan, open_trials, observers)
    for trial in open_trials:
        folder = plan.folder(trial)
        if trial.id not in states and folder.started:  # the executor was interrupted
            whole = folder.finished and not plan.lacks(trial)
            state: State = "done" if whole else "stopped"
            reason = "" if state == "done" else INTERRUPTED
            states[trial.id] = state
            with suppress(OSError):  # the disk may be full
                folder.set_status(state, reason)
            for observer in observers:
                observer.ended(trial, folder, state, reason)
    return Outcome(states, all(states.get(trial.id) == "done" for trial in plan.trials))


def run_trial(
    trial: Trial,
    faces: TrialFaces,
    registry: Registry,
    folder: TrialFolder,
    on_epoch: Callable[[Epoch], None],
    threads: int,
    weights: Path | None = None,
    teacher: Path | None = None,
    disturbances: Sequence[Disturbance] = (),
) -> str:
    """Trains one trial, unless it is finished, and has its network predict the test faces after
    each of `disturbances`. Returns "" if the trial is done, else the reason why it failed.

    threads: of torch on the CPU. With another number of threads, torch takes sums in another order,
    so that only trials with the same number agree to the last bit.
    weights, teacher: see `fit`.

    Whatever exception ends the trial becomes the reason, which `folder` keeps as well. Where the
    exception is neither the user's mistake nor a number that is not finite, `folder` also keeps the
    traceback. KeyboardInterrupt and SystemExit are passed on.
    """
    torch.set_num_threads(threads)
    try:
        if not folder.finished:
            fit(trial, faces, registry, folder, on_epoch, weights, teacher)
        predict_disturbed(trial, faces.test, registry, folder, disturbances)
    except (OdnbenchError, TrialFailed) as error:
        reason, trace = str(error), ""
        folder.forget_progress()  # going on from the progress would lead to the same end
    except OSError as error:  # as of a full disk, after which the trial itself can go on
        reason, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
    except Exception as error:
        reason, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        folder.forget_progress()  # the progress may be what does not fit the network
    else:
        return ""
    finally:
        return_freed_memory()
    with suppress(OSError):  # the reason may be a full disk
        folder.set_status("failed", reason)
        if trace:
            (folder.path / TRACEBACK).write_text(trace, encoding="utf-8")
    return reason
