"""What lets Tune take its trials from a study (odnbench/sweep/study.py)."""

from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from odnbench.sweep.on_ray.worker import METRIC

if TYPE_CHECKING:  # the module imports optuna, which only a search needs
    from odnbench.sweep.study import Study


class StudySearcher(Searcher):
    """Asks a study for each trial that Tune has room for, and tells the study how the trial ended.

    A trial that a scheduler stops early is told with the best value that it had come to. A trial
    that fails, or whose worker is lost too often, is told as failed.
    """

    def __init__(self, study: "Study"):
        super().__init__(metric=METRIC, mode="min")
        self._study = study
        # Tune's id of a trial → the study's number of the same trial.
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, float]:
        """See Searcher."""
        self._numbers[trial_id], weights = self._study.ask()
        return weights

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """See Searcher. The last result of a trial that failed holds no value."""
        if trial_id in self._numbers and METRIC in result and "epoch" in result:
            self._study.report(self._numbers[trial_id], result["epoch"], result[METRIC])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """See Searcher. Tune may end a trial a second time; the study knows the first end."""
        if (number := self._numbers.pop(trial_id, None)) is not None:
            value = None if error or result is None else result.get(METRIC)
            self._study.tell(number, value)
