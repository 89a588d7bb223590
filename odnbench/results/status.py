"""How far the trials of a plan are, read from their folders, while a sweep is at work or after it.

read_status(Path("runs/ablation/plan.json")).remaining_seconds
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord, is_at_work
from odnbench.results.records import State


@dataclass(frozen=True)
class TrialStatus:
    """How far one trial is. A trial that is waiting does not know its number of epochs yet."""

    title: str
    state: State
    reason: str = ""  # why it failed, or was stopped
    epoch: int = 0  # the last one that is measured
    epochs: int | None = None
    best_nme_percent: float | None = None  # on validation faces
    seconds: float = 0.0  # that it has taken
    epoch_seconds: float | None = None  # mean of its epochs

    @property
    def remaining_seconds(self) -> float | None:
        """Until it ends by itself; None where none of its epochs is measured yet."""
        if self.state in ("done", "stopped", "failed"):
            return 0.0
        if self.epochs is None or self.epoch_seconds is None:
            return None
        return (self.epochs - self.epoch) * self.epoch_seconds


@dataclass(frozen=True)
class PlanStatus:
    """How far the last plan of a pipeline is."""

    pipeline: str
    running: bool  # whether a sweep is at work there now
    trials: tuple[TrialStatus, ...]

    @property
    def counts(self) -> Counter[State]:
        """State → number of trials."""
        return Counter(trial.state for trial in self.trials)

    @property
    def remaining_seconds(self) -> float | None:
        """Of training, one trial after the other, from the epochs measured so far: a trial without
        any is taken to last as long as the mean of the others. None where none has any.
        """
        left = [trial.remaining_seconds for trial in self.trials]
        whole = [t.epochs * t.epoch_seconds for t in self.trials if t.epochs and t.epoch_seconds]
        if None in left and not whole:
            return None
        return sum(mean(whole) if seconds is None else seconds for seconds in left)

    @property
    def well(self) -> bool:
        """Whether all trials have ended as they should, or are at work or waiting for a sweep that
        is.
        """
        fine = {"done", "stopped", *(("running", "waiting") if self.running else ())}
        return self.counts.keys() <= fine


def read_status(plan_file: Path, *, elsewhere: bool = False) -> PlanStatus:
    """The status of the plan in `plan_file`, `<storage>/<pipeline>/plan.json`.

    elsewhere: whether a sweep of another machine is at work on it.
    """
    record = PlanRecord.load(plan_file)
    here = is_at_work(plan_file.parent)
    running = here or elsewhere
    # A search writes its plan with every trial that it adds, any other sweep when it begins. What
    # comes from elsewhere has other times.
    began = plan_file.stat().st_mtime if here and record.pipeline.search is None else 0.0
    trials = tuple(
        _trial_status(folder, title, running, began)
        for folder, title in record.folders(plan_file.parent)
    )
    return PlanStatus(record.pipeline.name, running, trials)


def _trial_status(folder: TrialFolder, title: str, running: bool, began: float) -> TrialStatus:
    standing = folder.standing(at_work=running, began=began)
    if not folder.started:
        return TrialStatus(title, standing.state, standing.reason)
    epochs, result = folder.epochs, folder.result if folder.finished else None
    best = min((epoch.validation_nme_percent for epoch in epochs), default=None)
    return TrialStatus(
        title,
        standing.state,
        standing.reason,
        epoch=len(epochs),
        epochs=folder.trial.spec.train.epochs,
        best_nme_percent=result.validation_nme_percent if result else best,
        seconds=result.seconds if result else sum(epoch.seconds for epoch in epochs),
        epoch_seconds=mean(epoch.seconds for epoch in epochs) if epochs else None,
    )
