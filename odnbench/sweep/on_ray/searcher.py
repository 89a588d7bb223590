"""What lets Tune take its trials from a search, and stop those that the search's pruner stops."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from odnbench.sweep.on_ray.worker import ENDED, FAILED
from odnbench.sweep.search import Searching


class StudySearcher(Searcher):
    """Gives Tune what a search proposes, once there is room for it.

    Tune would ask for one trial more than there is room for. That point would be proposed without
    what the trials before it have come to.

    room: how many trials the cluster can train side by side now.
    """

    def __init__(self, searching: Searching, room: Callable[[], int]):
        super().__init__()
        self._searching, self._room = searching, room

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its searcher to restore a sweep by itself, which we do not use.
        return Searcher, ()

    def suggest(self, trial_id: str) -> Any:
        """See Searcher. None asks Tune to come again later."""
        if self._searching.in_training >= max(1, self._room()):
            return None
        found = self._searching.next()
        if found is not None:
            asked, trial = found
            return {"asked": asdict(asked), "id": trial.id}
        return Searcher.FINISHED if self._searching.is_over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """See Searcher. The search hears of it from the callback (watch.py)."""


class StudyScheduler(FIFOScheduler):
    """Stops a trial where the search's pruner does, and else lets it go on.

    epoch_ended: takes Tune's configuration of a trial; whether the trial is to stop.
    """

    def __init__(self, epoch_ended: Callable[[dict[str, Any]], bool]):
        super().__init__()  # type: ignore[no-untyped-call]
        self._epoch_ended = epoch_ended

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its scheduler to restore a sweep by itself, which we do not use.
        return FIFOScheduler, ()

    def on_trial_result(
        self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]
    ) -> str:
        """See TrialScheduler."""
        if FAILED not in result and ENDED not in result and self._epoch_ended(trial.config):
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE
