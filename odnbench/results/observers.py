"""Who looks on while a sweep runs."""

from collections.abc import Sequence

from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch, State


class Observer:
    """Is told what happens in a sweep: a progress table, MLflow, a mirrored storage.

    Observers are called in the driver's process alone. A subclass redefines what it wants to see.
    """

    def planned(self, trials: Sequence[Trial]) -> None:
        """These trials are to be carried out, or reused; a search does not know its own."""

    def started(self, trial: Trial) -> None:
        """A trial begins."""

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """An epoch of a trial is measured."""

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """A trial is done, reused from disk, failed or stopped."""
