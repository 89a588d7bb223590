"""The progress of a plan, read from the folders of its trials, during a sweep or after it.

read_status(Path("runs/ablation/plan.json")).remaining_seconds
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from odnbench.errors import OdnbenchError
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord, Work
from odnbench.results.records import Standing, State
from odnbench.results.searches import SEARCH, PointState, SearchRecord


@dataclass(frozen=True)
class TrialStatus:
    """The progress of one trial. `epochs` is None until the trial has been started once."""

    title: str
    state: State
    reason: str = ""  # why the trial failed, was stopped, was interrupted or is damaged
    epoch: int = 0  # the last that was measured
    epochs: int | None = None
    best_nme_percent: float | None = None  # on validation faces
    seconds: float = 0.0  # spent so far
    epoch_seconds: float | None = None  # mean over the epochs so far

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds until the trial ends by itself; None while none of its epochs is measured."""
        if self.state in ("trained", "done", "stopped", "failed"):
            return 0.0
        if self.epochs is None or self.epoch_seconds is None:
            return None
        return (self.epochs - self.epoch) * self.epoch_seconds


@dataclass(frozen=True)
class SearchStatus:
    """The progress of a search."""

    wanted: int  # points in all
    states: Counter[PointState]  # of the points that were begun
    left_seconds: float | None  # of training, for points that are not begun; None: not known
    left_seconds_unpruned: float | None  # if no point were stopped early

    @property
    def is_over(self) -> bool:
        """Whether all points have ended."""
        return not self.states["running"] and self.states.total() >= self.wanted


@dataclass(frozen=True)
class PlanStatus:
    """The progress of the last plan of a pipeline."""

    pipeline: str
    running: bool  # whether a sweep is at work there now
    trials: tuple[TrialStatus, ...]
    search: SearchStatus | None = None
    fault: str = ""  # why the record of the search cannot be read

    @property
    def counts(self) -> Counter[State]:
        """State → number of trials."""
        return Counter(trial.state for trial in self.trials)

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds of training that remain, one trial after the other.

        They follow from the epochs measured so far; a trial without any is taken to last as long as
        the mean of the others. None where no trial has any.
        """
        left = [trial.remaining_seconds for trial in self.trials]
        whole = [t.epochs * t.epoch_seconds for t in self.trials if t.epochs and t.epoch_seconds]
        if None in left and not whole:
            return None
        return sum(mean(whole) if seconds is None else seconds for seconds in left)

    @property
    def well(self) -> bool:
        """Whether every trial is done, was stopped by the sweep, or is in a sweep at work now; and
        a search is over, or at work.
        """
        if self.fault:
            return False
        if self.search is not None and not (self.running or self.search.is_over):
            return False
        fine = {"done", "stopped", *(("running", "waiting", "trained") if self.running else ())}
        return self.counts.keys() <= fine


def read_status(plan_file: Path, *, elsewhere: bool = False) -> PlanStatus:
    """The status of the plan in `plan_file`, `<storage>/<pipeline>/plan.json`.

    elsewhere: whether a sweep on another machine is at work on the plan.
    """
    record = PlanRecord.load(plan_file)
    work = Work.in_folder(plan_file.parent, elsewhere=elsewhere)
    trials = tuple(
        _trial_status(folder, title, record.standing(folder, work))
        for folder, title in record.folders(plan_file.parent)
    )
    search, fault = None, ""
    if record.pipeline.search is not None and (plan_file.parent / SEARCH).is_file():
        try:
            search = _search_status(SearchRecord.load(plan_file.parent), trials)
        except OdnbenchError as error:
            fault = str(error)
    return PlanStatus(record.pipeline.name, work.running, trials, search, fault)


def _search_status(record: SearchRecord, trials: Sequence[TrialStatus]) -> SearchStatus:
    """How far a search is, as its record and its trials tell."""
    states = Counter(point.state for point in record.points)
    seconds = [t.epochs * t.epoch_seconds for t in trials if t.epochs and t.epoch_seconds]
    points_left = max(0, record.trials - len(record.points))
    if not points_left:
        return SearchStatus(record.trials, states, 0.0, 0.0)
    if not seconds:
        return SearchStatus(record.trials, states, None, None)
    whole = points_left * record.settings.repeats * mean(seconds)
    ended = [p for p in record.points if p.state in ("complete", "pruned") and p.steps]
    steps = record.settings.steps(record.epochs)
    share = mean(len(point.steps) / steps for point in ended) if ended and steps else 1.0
    return SearchStatus(record.trials, states, share * whole, whole)


def _trial_status(folder: TrialFolder, title: str, standing: Standing) -> TrialStatus:
    if standing.state in ("done", "trained"):  # whose files agree with its marker
        result, count = folder.result, folder.epoch_count
        per_epoch = result.seconds / count if count else None
        numbers = (result.validation_nme_percent, result.seconds, per_epoch)
        return TrialStatus(title, standing.state, standing.reason, count, count, *numbers)
    try:
        planned = folder.trial.spec.train.epochs
    except OdnbenchError:  # it was not announced yet, or is damaged
        return TrialStatus(title, standing.state, standing.reason)
    epochs = folder.epochs
    return TrialStatus(
        title,
        standing.state,
        standing.reason,
        epoch=len(epochs),
        epochs=planned,
        best_nme_percent=min((epoch.validation_nme_percent for epoch in epochs), default=None),
        seconds=sum(epoch.seconds for epoch in epochs),
        epoch_seconds=mean(epoch.seconds for epoch in epochs) if epochs else None,
    )
