"""The executor that trains in this process: for a debugger, and for machines without Ray."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from odnbench.plan.trials import Trial
from odnbench.results.folder import PRUNED
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run_trial
from odnbench.sweep.search import Searching


def run_inline(
    plan: Plan, trials: Sequence[Trial], observers: Sequence[Observer], *, threads: int = 1
) -> dict[str, State]:
    """An Executor: trains one trial after the other, until all have ended or the user interrupts.

    threads: of torch on the CPU, see `run_trial`.
    """
    states: dict[str, State] = {}
    with suppress(KeyboardInterrupt):  # a trial that then has no state was interrupted
        for trial in trials:
            for observer in observers:
                observer.started(trial)

            def on_epoch(epoch: Epoch, trial: Trial = trial) -> None:
                for observer in observers:
                    observer.epoch_ended(trial, epoch)

            folder = plan.folder(trial)
            reason = run_trial(
                trial,
                plan.faces[trial.faces],
                plan.registry,
                folder,
                on_epoch,
                threads,
                disturbances=plan.pipeline.disturbed,
            )
            states[trial.id] = "failed" if reason else "done"
            for observer in observers:
                observer.ended(trial, folder, states[trial.id], reason)
    return states


class _Pruned(BaseException):
    """The pruner of a search has stopped a trial."""


def search_inline(searching: Searching, observers: Sequence[Observer], *, threads: int = 1) -> None:
    """Trains what a search proposes, one trial after the other, until the search is over or the
    user interrupts. threads: of torch on the CPU, see `run_trial`.
    """
    plan = searching.plan
    with suppress(KeyboardInterrupt):
        while not ((found := searching.next()) is None and searching.is_over):
            if found is None:  # another driver trains what a point waits for
                time.sleep(1)
                continue
            asked, trial = found
            folder = plan.folder(trial)
            for observer in observers:
                observer.started(trial)

            def on_epoch(epoch: Epoch, asked: Any = asked, trial: Trial = trial) -> None:
                for observer in observers:
                    observer.epoch_ended(trial, epoch)
                if epoch.epoch < trial.spec.train.epochs and searching.epoch_ended(
                    asked, plan.folder(trial)
                ):
                    raise _Pruned

            state: State
            try:
                faces = plan.faces[trial.faces]
                reason = run_trial(trial, faces, plan.registry, folder, on_epoch, threads)
                state = "failed" if reason else "done"
            except _Pruned:
                state, reason = "stopped", PRUNED
                with suppress(OSError):
                    folder.set_status(state, reason)
            searching.ended(asked, trial, state, reason)
            for observer in observers:
                observer.ended(trial, folder, state, reason)
