"""The executor that trains in this process: for a debugger, and for machines without Ray."""

from collections.abc import Sequence
from contextlib import suppress

from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run_trial


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
                trial, plan.faces[trial.faces], plan.registry, folder, on_epoch, threads
            )
            states[trial.id] = "failed" if reason else "done"
            for observer in observers:
                observer.ended(trial, folder, states[trial.id], reason)
    return states
