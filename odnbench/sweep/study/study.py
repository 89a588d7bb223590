"""A study that is asked for points and told what became of them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from odnbench.errors import one_line
from odnbench.plan.spaces import Point, Space
from odnbench.results.searches import (
    REDUCTION,
    Importance,
    PointState,
    SearchedPoint,
    SearchSettings,
)
from odnbench.sweep.study.drivers import Driver
from odnbench.sweep.study.samplers import suggest

IMPORTANCE_METHOD = "fANOVA"
_FEWEST_FOR_IMPORTANCE = 8  # complete points; a tree over fewer tells nothing
_IMPORTANCE_SEEDS = 5

# Attributes of a trial of the study.
_DRIVER = "odnbench.driver"  # name of the driver that trains it
_TRIALS = "odnbench.trials"  # content ids of its trials, which name their folders and MLflow runs
_REPEATS = "odnbench.repeats"  # values of the repeats that have ended
_CONTINUES = "odnbench.continues"  # number of the pruned trial that this one goes on with
_SURPLUS = "odnbench.surplus"  # it was asked for by two drivers at once, and is one too many
_REASON = "reason"

_STATES: dict[TrialState, PointState] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Design:
    """What a search is: two commands with equal designs work on one study."""

    name: str
    plan: str  # id of the plan, which covers whatever decides the numbers
    spec: Mapping[str, Any]  # dotted key → value, of the trial around which is searched
    space: Space
    defaults: Point  # the first point
    settings: SearchSettings
    epochs: int  # of a trial that is not stopped
    trials: int  # points in all; may grow

    @property
    def steps(self) -> int:
        """How often a point is judged before it is complete."""
        return self.settings.steps(self.epochs)


@dataclass(frozen=True)
class Asked:
    """A trial that is to be trained: a point, with one of its repeats."""

    number: int  # of the study's trial
    point: Point
    repeat: int = 0


class Study:
    """Proposes points, and learns from the values that each has come to.

    All values are such that smaller is better. Where the storage cannot be written, as on a full
    disk, `fault` says so and nothing more should be asked; what is being trained goes on.
    """

    def __init__(self, study: optuna.Study, design: Design, driver: Driver):
        self._study, self._design, self._driver = study, design, driver
        # The trials that this process trains, by number, and how many steps of each are known.
        self._own: dict[int, optuna.Trial] = {}
        self._known: dict[int, int] = {}
        self._next: list[Asked] = []  # repeats of points of ours
        self.fault = ""

    @property
    def is_idle(self) -> bool:
        """Whether this driver trains no point, so that none of its points has another repeat."""
        return not self._own

    @property
    def is_shared(self) -> bool:
        """Whether another driver, which is alive, trains a point. It may leave the point to this
        driver yet.
        """
        return any(
            trial.state is TrialState.RUNNING and trial.number not in self._own
            for trial in self._trials()
        )

    def ask(self, *, new: bool = True) -> Asked | None:
        """What is to be trained next; None where there is nothing.

        The next repeat of a point of ours comes first, then a point whose driver is dead, then a
        pruned point that has turned out to be among the best, then a new point. new: whether a new
        point, or a pruned one, may be begun.
        """
        if self._next:
            return self._next.pop(0)
        with self._writing():
            while (trial := self._left_behind()) is not None:
                repeats = trial.user_attrs.get(_REPEATS, [])
                if len(repeats) < self._design.settings.repeats:
                    break
                self._tell(trial, repeats)  # which its driver was killed before
            if trial is None and new:
                trial = self._promoted() or self._new()
            if trial is not None:
                self._own[trial.number] = trial
                self._known[trial.number] = len(self._frozen(trial).intermediate_values)
                point = self._suggested(trial)
                return Asked(trial.number, point, len(trial.user_attrs.get(_REPEATS, ())))
        return None

    def begin(self, asked: Asked, trial_id: str) -> None:
        """Notes the content id of the trial that was asked for."""
        trial = self._own[asked.number]
        ids = trial.user_attrs.get(_TRIALS, [])
        if trial_id not in ids:
            with self._writing():
                trial.set_user_attr(_TRIALS, [*ids, trial_id])

    def is_trained(self, trial_id: str, besides: Asked) -> bool:
        """Whether the trial of that content id is being trained for another point than `besides`,
        which has come to the same values.
        """
        return any(
            trial.state is TrialState.RUNNING
            and trial.number < besides.number
            and trial_id in trial.user_attrs.get(_TRIALS, ())
            for trial in self._trials()
        )

    def report(self, asked: Asked, values: Sequence[float]) -> bool:
        """Takes the validation NME of each epoch so far; whether the trial is to stop.

        The study keeps, for each epoch that it does not know, the smallest value up to there, and
        asks the pruner. A trial that is to stop is told as pruned.
        """
        if asked.number in self._own and self._judges_epochs:
            with self._writing():
                for step, best in self._unknown(asked, values):
                    if self._judge(asked, step, best):
                        return True
        return False

    def complete(
        self, asked: Asked, objectives: Sequence[float], values: Sequence[float] = ()
    ) -> None:
        """Tells what a trial that was trained to its end has come to.

        objectives: their values, in the order of the settings; one that is not finite fails the
        point. values: see `report`. Where the point has another repeat, `ask` gives it next, unless
        the pruner ends the point.
        """
        if asked.number not in self._own:
            return
        if not all(map(math.isfinite, objectives)):
            self.fail(asked, f"its objectives are {list(objectives)}")
            return
        trial, settings = self._own[asked.number], self._design.settings
        with self._writing():
            if self._judges_epochs:
                for step, best in self._unknown(asked, values):
                    trial.report(best, step)
            repeats = [*trial.user_attrs.get(_REPEATS, []), list(objectives)]
            trial.set_user_attr(_REPEATS, repeats)
            if len(repeats) < settings.repeats:
                mean = _means(repeats)
                if len(mean) > 1 or not self._judge(asked, len(repeats), mean[0]):
                    self._next.append(Asked(asked.number, asked.point, len(repeats)))
                return
            self._tell(trial, repeats)
        self._own.pop(asked.number, None)

    def fail(self, asked: Asked, reason: str) -> None:
        """Ends a point whose trial has failed."""
        if (trial := self._own.pop(asked.number, None)) is not None:
            with self._writing():
                trial.set_user_attr(_REASON, reason)
                self._study.tell(asked.number, state=TrialState.FAIL)

    def leave(self, asked: Asked, fault: str) -> None:
        """Leaves a point to whoever goes on with the search, since it could not be trained here.

        fault: why; nothing more should be asked.
        """
        self._own.pop(asked.number, None)
        self.fault = fault

    @property
    def points(self) -> tuple[SearchedPoint, ...]:
        """All points that were asked for, by any driver. A point that was pruned and went on is one
        point, with the number under which it began.
        """
        return tuple(
            SearchedPoint(
                first,
                _STATES[trial.state],
                self._values(trial.params),
                tuple(trial.values) if trial.state is TrialState.COMPLETE else (),
                {str(step): value for step, value in sorted(trial.intermediate_values.items())},
                tuple(trial.user_attrs.get(_TRIALS, ())),
                trial.user_attrs.get(_REASON, ""),
                promoted=trial.number != first,
            )
            for first, trial in sorted(self._latest().items())
        )

    def importances(self) -> tuple[Importance, ...]:
        """How much of the spread of the first objective each parameter explains, by functional
        ANOVA of random forests of several seeds, over the complete points alone (Hutter, Hoos and
        Leyton-Brown, ICML 2014). () where there are too few of them.

        Conditional parameters, which not all points have, are left out.
        """
        complete = [t for t in self._trials() if t.state is TrialState.COMPLETE]
        differing = {trial.values[0] for trial in complete}
        if len(complete) < _FEWEST_FOR_IMPORTANCE or len(differing) == 1:
            return ()
        found = [
            get_param_importances(
                self._study,
                evaluator=FanovaImportanceEvaluator(seed=seed),
                target=lambda trial: float(trial.values[0]),
            )
            for seed in range(_IMPORTANCE_SEEDS)
        ]
        keys = sorted(found[0], key=lambda key: -sum(one[key] for one in found))
        return tuple(Importance(key, tuple(float(one[key]) for one in found)) for key in keys)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keeps in `fault` why the storage could not be written inside the `with` block, which then
        ends there.
        """
        try:
            yield
        except (OSError, StorageInternalError) as error:
            self.fault = f"the study could not be written: {one_line(str(error))}"

    @property
    def _judges_epochs(self) -> bool:
        """Whether the pruner judges epochs: it judges repeats where there are several."""
        settings = self._design.settings
        return settings.repeats == 1 and settings.objectives == ("nme",)

    def _unknown(self, asked: Asked, values: Sequence[float]) -> Iterator[tuple[int, float]]:
        """(epoch, smallest value up to there) of each epoch that the study does not know."""
        best = list(itertools.accumulate(values, min))
        for step in range(self._known[asked.number] + 1, len(values) + 1):
            self._known[asked.number] = step
            yield step, best[step - 1]

    def _judge(self, asked: Asked, step: int, value: float) -> bool:
        """Takes a value and asks the pruner; whether that has ended the point."""
        trial = self._own[asked.number]
        trial.report(value, step)
        if step >= self._design.steps or not trial.should_prune():
            return False
        self._study.tell(asked.number, state=TrialState.PRUNED)
        self._own.pop(asked.number)
        return True

    def _tell(self, trial: optuna.Trial, repeats: Sequence[Sequence[float]]) -> None:
        """Completes a point with the objectives of all of its repeats."""
        mean, step = _means(repeats), len(repeats)
        if step > 1 and len(mean) == 1 and step not in self._frozen(trial).intermediate_values:
            trial.report(mean[0], step)
        self._study.tell(trial.number, mean)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        """A trial as the storage has it."""
        return self._study._storage.get_trial(trial._trial_id)

    def _trials(self) -> list[FrozenTrial]:
        """The trials that were asked for, without those that are too many."""
        trials = self._study.get_trials(deepcopy=False)
        return [
            t for t in trials if t.state is not TrialState.WAITING and _SURPLUS not in t.user_attrs
        ]

    def _latest(self) -> dict[int, FrozenTrial]:
        """The number under which a point began → the last trial of it."""
        return {trial.user_attrs.get(_CONTINUES, trial.number): trial for trial in self._trials()}

    def _left_behind(self) -> optuna.Trial | None:
        """A running trial whose driver is dead, which is ours from now on."""
        for held in self._trials():
            if held.state is not TrialState.RUNNING or held.number in self._own:
                continue
            name = held.user_attrs.get(_DRIVER)
            # Without a name, its driver was killed in the instant in which it asked.
            alive = self._driver.is_alive(name) if name else not self._driver.is_alone
            if not alive:
                trial = optuna.Trial(self._study, held._trial_id)
                with suppress(UpdateFinishedTrialError):
                    trial.set_user_attr(_DRIVER, self._driver.name)
                    self._driver.settle()
                    if self._frozen(trial).user_attrs.get(_DRIVER) == self._driver.name:
                        return trial
        return None

    def _promoted(self) -> optuna.Trial | None:
        """The best pruned point among those of its rung that go on, as a trial that goes on with
        it.

        Successive halving lets the best third of a rung go on, and judges a trial by those that had
        come to the rung before it. As more come, the verdict may turn.
        """
        if self._design.settings.pruner != "successive-halving" or not self._judges_epochs:
            return None
        latest = self._latest()
        candidates = []
        for first, trial in latest.items():
            if trial.state is TrialState.PRUNED and (step := trial.last_step) is not None:
                at_step = (other.intermediate_values.get(step) for other in latest.values())
                rung = sorted(value for value in at_step if value is not None)
                value = trial.intermediate_values[step]
                if value in rung[: len(rung) // REDUCTION]:
                    candidates.append((-step, value, first))
        if not candidates:
            return None
        first = min(candidates)[2]
        held = latest[first]
        template = create_trial(
            state=TrialState.RUNNING,
            params=held.params,
            distributions=held.distributions,
            user_attrs={**held.user_attrs, _CONTINUES: first, _DRIVER: self._driver.name},
            system_attrs=held.system_attrs,  # in which the pruner keeps its rungs
            intermediate_values=held.intermediate_values,
        )
        identity = self._study._storage.create_new_trial(
            self._study._study_id, template_trial=template
        )
        own = optuna.Trial(self._study, identity)
        before = (t for t in self._trials() if held.number < t.number < own.number)
        if any(t.user_attrs.get(_CONTINUES) == first for t in before):
            self._end_surplus(own)
            return None
        return own

    def _new(self) -> optuna.Trial | None:
        """A new point, unless there are as many as were asked for."""
        if len(self._latest()) >= self._design.trials:
            return None
        trial = self._study.ask()
        trial.set_user_attr(_DRIVER, self._driver.name)
        earlier = [first for first in self._latest() if first < trial.number]
        if len(earlier) < self._design.trials:
            return trial
        self._end_surplus(trial)
        return None

    def _end_surplus(self, trial: optuna.Trial) -> None:
        """Ends a trial that another driver has asked for at the same time."""
        trial.set_user_attr(_SURPLUS, True)
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """The point of a trial, drawn where it is not drawn yet."""
        point: dict[str, Any] = {}
        for key, parameter in self._design.space.active(point):
            point[key] = parameter.value_of(suggest(trial, key, parameter))
        return point

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The point for which what Optuna has drawn stands."""
        parameters = self._design.space.parameters
        return {key: parameters[key].value_of(params[key]) for key in parameters if key in params}


def _means(repeats: Sequence[Sequence[float]]) -> list[float]:
    """The mean of each objective over the repeats."""
    return [sum(column) / len(repeats) for column in zip(*repeats, strict=True)]
