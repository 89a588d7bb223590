"""A search around the one trial of a plan: an executor trains what a study proposes, and then the
best points and the defaults are trained again with seeds that the search has not used.

    with open_study(design_of(plan, settings), folder) as study:
        outcome = search(Searching(plan, design, study), executor, run_inline, observers)
"""

import dataclasses
import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odnbench.engine.check import check_trials
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import leaves
from odnbench.plan.pipelines import Pipeline
from odnbench.plan.registry import Registry
from odnbench.plan.spaces import Point, Space
from odnbench.plan.specs import unsaid
from odnbench.plan.trials import Trial
from odnbench.results.folder import INTERRUPTED, PRUNED, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import alone_in
from odnbench.results.records import State
from odnbench.results.searches import (
    OBJECTIVES,
    Candidate,
    Importance,
    SearchRecord,
    SearchSettings,
)
from odnbench.sweep.plan import Plan
from odnbench.sweep.points import title_of, trial_at, with_amounts
from odnbench.sweep.run import Executor, Outcome, carry_out

if TYPE_CHECKING:  # the package imports optuna, which only a search needs
    from odnbench.sweep.study import Asked, Design, Study

# What the system says of a full disk, on which any point fails.
_FULL_DISK = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT)))


@dataclass(frozen=True)
class Confirmation:
    """How the best points are confirmed. points: how many beside the defaults; 0: none is."""

    points: int = 3
    seeds: int = 5


class Searching:
    """A search at work: what executors ask it, and tell it.

    where: the study's storage, for people. deadline: time.monotonic() after which nothing new
    begins; None: there is none.
    """

    def __init__(
        self,
        plan: Plan,
        design: "Design",
        study: "Study",
        *,
        where: str = "",
        deadline: float | None = None,
    ):
        self.plan, self.design, self.study = plan, design, study
        self.where, self.deadline = where, deadline
        self.base = plan.trials[0]
        self.states: dict[str, State] = {}  # by the trial's id
        # Points that have come to the values of a point that is being trained.
        self._twins: list[tuple[Asked, Trial]] = []
        # By the number of their points, the trials that were given out and have not ended.
        self._given: dict[int, Trial] = {}
        # By the number of a point, the trials that train it with fresh seeds.
        self._again = self._trained_again()
        self._importances: tuple[Importance, ...] = ()  # until the search is at its end

    @property
    def in_training(self) -> int:
        """How many trials were given out and have not ended."""
        return len(self._given)

    @property
    def is_over(self) -> bool:
        """Whether this driver has nothing to train, and will not have. While another one trains the
        last points, it waits: the other one may be killed.
        """
        if self.study.fault:
            return not self._given
        return self.study.is_idle and not self._twins and not self.study.is_shared

    def next(self) -> "tuple[Asked, Trial] | None":
        """What is to be trained next; None where there is nothing now, or, if `is_over`, at all."""
        if self.study.fault:
            return None
        in_time = self.deadline is None or time.monotonic() < self.deadline
        while (asked := self.study.ask(new=in_time)) is not None:
            trial = trial_at(self.base, self.plan.registry, asked.point, asked.repeat)
            self.study.begin(asked, trial.id)
            self._twins.append((asked, trial))
            if (found := self._free_twin()) is not None:
                return found
        return self._free_twin()

    def epoch_ended(self, asked: "Asked", folder: TrialFolder) -> bool:
        """Passes the epochs in a trial's folder on to the study; whether the trial is to stop."""
        return self.study.report(asked, [e.validation_nme_percent for e in folder.epochs])

    def ended(self, asked: "Asked", trial: Trial, state: State, reason: str) -> None:
        """Tells the study how a trial has ended. A point that has failed for want of room on the
        disk is left to the command that goes on, and this one begins no other.
        """
        self.states[trial.id] = state
        self._given.pop(asked.number, None)
        folder = self.plan.folder(trial)
        if state == "done":
            result, epochs = folder.result, folder.epochs
            values = [OBJECTIVES[name].of(result) for name in self.design.settings.objectives]
            self.study.complete(asked, values, [e.validation_nme_percent for e in epochs])
        elif state == "failed" and any(text in reason for text in _FULL_DISK):
            self.study.leave(asked, f"point {asked.number} could not be trained: {reason}")
        elif state == "failed":
            self.study.fail(asked, reason)
        self.save()

    def note_states(self) -> None:
        """Writes into the folders of trials what the study knows: which were pruned, also by a
        driver that was killed in that instant, and which of this driver's were interrupted.
        """
        for point in self.study.points:
            for folder in map(self._folder, point.trials if point.state == "pruned" else ()):
                state = folder.standing(at_work=False).state
                if folder.started and state in ("interrupted", "damaged"):
                    with suppress(OSError):  # the disk may be full
                        folder.set_status("stopped", PRUNED)
        for folder in map(self.plan.folder, self._given.values()):
            if folder.started:
                with suppress(OSError):
                    folder.set_status("stopped", INTERRUPTED)

    def forget_progress(self) -> None:
        """Removes what pruned trials would need to go on, once none does any more."""
        for point in self.study.points:
            for folder in map(self._folder, point.trials if point.state == "pruned" else ()):
                folder.forget_progress()

    def _folder(self, identity: str) -> TrialFolder:
        return TrialFolder(self.plan.file.parent / identity)

    def save(self) -> None:
        """Writes the record of the search, and the plan with all its trials. Where they cannot be
        written, the study has a fault.
        """
        record = self.record()
        titles = dict[str, str]()
        for point in record.points:
            for repeat, identity in enumerate(point.trials):
                titles[identity] = title_of(point.point, self.base, self.plan.registry, repeat)
        titles |= {trial.id: trial.title for own in self._again.values() for trial in own}
        try:
            record.save(self.plan.file.parent)
            self.plan.save(titles)
        except OSError as error:
            self.study.fault = f"the record of the search could not be written: {error}"

    def record(self) -> SearchRecord:
        """The search as it stands."""
        from odnbench.sweep.study.study import IMPORTANCE_METHOD

        design = self.design
        return SearchRecord(
            design.name,
            design.settings,
            design.space,
            design.trials,
            design.epochs,
            self.where,
            self.study.points,
            candidates=tuple(
                Candidate(number, tuple(trial.id for trial in own))
                for number, own in self._again.items()
            ),
            importance_method=IMPORTANCE_METHOD if self._importances else "",
            importances=self._importances,
        )

    def confirm(self, how: Confirmation) -> list[Trial]:
        """Ends the search: the trials that train the best points and the defaults again; none where
        there is nothing to compare.

        Defaults that were pruned have no value in the search; their fresh seeds have.
        """
        self._importances = self.study.importances()
        record = self.record()
        best = [point for point in record.best if how.points]
        tried = (point for point in record.points if point.state in ("complete", "pruned"))
        defaults = next((point for point in tried if point.number == 0), None)
        # Points may have come to the same trials.
        first = {point.trials: point for point in reversed(best)}
        others = [
            p for p in best if defaults and first[p.trials] is p and p.trials != defaults.trials
        ]
        if defaults and others:
            chosen = (defaults, *others[: how.points])
            self._again = {point.number: self._fresh(point.point, how.seeds) for point in chosen}
        self.save()
        return [trial for own in self._again.values() for trial in own] if others else []

    def damaged(self) -> list[Trial]:
        """The trials of complete points whose folders here are damaged. The points keep their
        values.
        """
        found = []
        for point in self.study.points:
            for repeat, identity in enumerate(point.trials if point.state == "complete" else ()):
                folder = self._folder(identity)
                if folder.marked and not folder.finished:
                    found.append(trial_at(self.base, self.plan.registry, point.point, repeat))
        return found

    def _trained_again(self) -> dict[int, list[Trial]]:
        """What an earlier command has trained again, as far as the study still has its points."""
        try:
            kept = {c.number: c.trials for c in SearchRecord.load(self.plan.file.parent).candidates}
        except OdnbenchError:  # there is none, or it is damaged, which `Plan.faults` tells
            return {}
        points = {point.number: point.point for point in self.study.points}
        found = {n: self._fresh(points[n], len(ids)) for n, ids in kept.items() if n in points}
        return {n: own for n, own in found.items() if kept[n] == tuple(t.id for t in own)}

    def _fresh(self, point: Point, seeds: int) -> list[Trial]:
        """The trials at a point with `seeds` seeds that the search does not use."""
        first = self.design.settings.repeats
        return [
            trial_at(self.base, self.plan.registry, point, repeat)
            for repeat in range(first, first + seeds)
        ]

    def _free_twin(self) -> "tuple[Asked, Trial] | None":
        """A point that waits for nothing. Points whose trial is finished end at once."""
        for asked, trial in list(self._twins):
            if self.study.is_trained(trial.id, besides=asked):
                continue
            self._twins.remove((asked, trial))
            if not self.plan.folder(trial).finished:
                self._given[asked.number] = trial
                self.save()
                return asked, trial
            self.ended(asked, trial, "done", "reused")
        return None


def search(
    searching: Searching,
    executor: Callable[[Searching, Sequence[Observer]], None],
    confirmer: Executor,
    observers: Sequence[Observer],
    confirmation: Confirmation,
) -> Outcome:
    """Has `executor` train what the study of `searching` proposes, and `confirmer` the best points
    again, as well as what is damaged of the others. The same command goes on with trials that were
    interrupted, and with a search whose study has a fault.
    """
    plan = searching.plan
    for observer in observers:
        observer.planned(())
    searching.save()
    executor(searching, observers)
    searching.note_states()
    points = searching.study.points
    open_points = [point for point in points if point.state == "running"]
    whole = len(points) >= searching.design.trials or (
        searching.deadline is not None and time.monotonic() >= searching.deadline
    )
    searching.save()
    if searching.study.fault or open_points or not whole:
        return Outcome(searching.states, complete=False)
    failed = sum(point.state == "failed" for point in points)
    states = dict(searching.states)
    searching.forget_progress()
    again = {trial.id: trial for trial in [*searching.confirm(confirmation), *searching.damaged()]}
    if again:
        with alone_in(plan.file.parent, wait_seconds=-1):  # another driver may be at it
            last = dataclasses.replace(plan, trials=tuple(again.values()))
            outcome = carry_out(last, confirmer, observers)
        states |= outcome.states
        if not outcome.complete:
            return Outcome(states, complete=False)
    if failed and not searching.study.fault:
        points_failed = "1 point has failed" if failed == 1 else f"{failed} points have failed"
        return Outcome(states, False, f"{points_failed}, and the search has ended without")
    return Outcome(states, complete=not searching.study.fault)


def design_of(plan: Plan, settings: SearchSettings, trials: int | None = None) -> "Design":
    """The design of a search around the plan's one trial.

    trials: the number of points in all; None: as many as the [search] table says, or a grid has.
    Raises OdnbenchError for a plan of several trials, and where defaults lie outside of the space.
    """
    from odnbench.sweep.study import Design, grid

    wanted = plan.pipeline.search
    if wanted is None or len(plan.trials) != 1:
        raise OdnbenchError(
            f"pipeline '{plan.pipeline.name}' must have one combination in its [axes] to be "
            f"searched around, it has {len(plan.trials)}; choose one with -s, as -s variant=odn, "
            "or try `odnbench tune`"
        )
    (base,) = plan.trials
    if base.spec.train.select == "test":
        raise OdnbenchError(
            "a search compares validation errors, and train.select=test would have it choose by "
            "the test faces; leave --select test out"
        )
    space = plan.space
    defaults = space.point_of(with_amounts(base.spec, plan.registry))
    _check_space(space, base, plan.registry)
    if settings.sampler == "grid":
        points = grid(space)
        count = len(points) + (defaults not in points)
        if trials is not None and trials < count:
            raise OdnbenchError(f"the grid has {count} points, more than --trials {trials}")
        trials = count
    later = {f"{section}.{name}" for section, name in unsaid(base.spec)}
    said = {key: value for key, value in leaves(base.spec).items() if key not in later}
    return Design(
        name=plan.pipeline.name,
        plan=plan.id,
        spec={**said, "faces": base.faces},
        space=space,
        defaults=defaults,
        settings=settings,
        epochs=base.spec.train.epochs,
        trials=trials or wanted.trials,
    )


def _check_space(space: Space, base: Trial, registry: Registry) -> None:
    """Raises OdnbenchError where a searched weight has nothing to act on, or a network of the space
    cannot be trained.
    """
    if not base.spec.train.epochs:
        raise OdnbenchError(f"variant {base.spec.variant} is not trained: nothing can be searched")
    footprint = check_trials([base], registry)[base.id]
    for key, parameter in space.parameters.items():
        section, _, name = key.rpartition(".")
        if section == "loss" and name in footprint.idle_weights and not parameter.when:
            raise OdnbenchError(
                f"search space {space.name}: {name} has nothing to act on in variant "
                f"{base.spec.variant}; leave it out of the space, or choose another variant"
            )
    near = [
        dataclasses.replace(base, id=key, spec=spec) for key, spec in space.neighbours(base.spec)
    ]
    check_trials(near, registry)


def searched_pipeline(pipeline: Pipeline, space: str, name: str) -> Pipeline:
    """`pipeline` with the space and the name that the command line gives a search of it."""
    from odnbench.plan.searches import Search

    search = pipeline.search or Search()
    if space:
        search = Search(trials=search.trials, space=space)
    # A search compares validation errors: test faces, disturbed or not, have no part in it.
    return dataclasses.replace(pipeline, search=search, name=name or pipeline.name, disturbances={})
