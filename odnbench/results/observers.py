"""Observers of a sweep while it runs."""

from collections.abc import Sequence

from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch, State


class Observer:
    """Receives the events of a sweep, as a progress table, MLflow or a mirrored storage does.

    All methods are called in the driver's process; a subclass overrides those that it needs.
    """

    def planned(self, trials: Sequence[Trial]) -> None:
        """These trials are to be run or reused; a search knows its trials only as they come."""

    def started(self, trial: Trial) -> None:
        """A trial begins."""

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """An epoch of a trial is measured."""

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """A trial is done, reused from disk, failed or stopped."""
