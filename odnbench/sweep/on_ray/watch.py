"""The callback in the driver that tells the observers what happens to the trials."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ray import tune

from odnbench.plan.conversion import from_mapping
from odnbench.plan.trials import Trial
from odnbench.results.folder import PRUNED
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.sweep.on_ray.lost import why_given_up
from odnbench.sweep.on_ray.worker import FAILED, MEASURED, TrialOf
from odnbench.sweep.plan import Plan

# How often a trial whose worker or machine is lost is started again.
RETRIES = 2


class Watch(tune.Callback):
    """Turns Tune's events into calls of the observers, and keeps how each trial ended.

    states: state of each trial that has ended, by the trial's id. tell: takes Tune's configuration
    of a trial, the trial, its state when it has ended, and the reason, before the observers do.
    """

    def __init__(
        self,
        plan: Plan,
        trial_of: TrialOf,
        observers: Sequence[Observer],
        tell: Callable[[Mapping[str, Any], Trial, State, str], None] = lambda *_: None,
    ):
        self.plan, self.trial_of, self.observers, self.tell = plan, trial_of, observers, tell
        self.states: dict[str, State] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks to restore a sweep by itself, which we do not use.
        return tune.Callback, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See tune.Callback."""
        ours = self.trial_of(trial.config)
        with suppress(OSError):  # the disk may be full; then the trial fails with that reason
            self.plan.folder(ours).announce(ours)
        for observer in self.observers:
            observer.started(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """See tune.Callback."""
        if MEASURED in result:
            epoch = from_mapping(Epoch, result[MEASURED], "Tune's result")
            for observer in self.observers:
                observer.epoch_ended(self.trial_of(trial.config), epoch)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See tune.Callback."""
        if reason := trial.last_result.get(FAILED, ""):
            self._ended(trial.config, "failed", reason)
        elif self.plan.folder(self.trial_of(trial.config)).finished:
            self._ended(trial.config, "done", "")
        else:
            self._ended(trial.config, "stopped", PRUNED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See tune.Callback."""
        # The worker may have been lost after its last report.
        if self.plan.folder(self.trial_of(trial.config)).finished:
            self._ended(trial.config, "done", "")
        else:
            self._ended(trial.config, "failed", why_given_up(trial, RETRIES + 1))

    def _ended(self, config: Mapping[str, Any], state: State, reason: str) -> None:
        trial = self.trial_of(config)
        self.states[trial.id] = state
        if state != "done":
            folder = self.plan.folder(trial)
            with suppress(OSError):
                if not folder.started:  # its worker was lost before it began
                    folder.announce(trial)
                folder.set_status(state, reason)
        self.tell(config, trial, state, reason)
        for observer in self.observers:
            observer.ended(trial, self.plan.folder(trial), state, reason)
