"""What a search has found, as values: its points, what they have cost, and the decision.

The lowest of many validation errors is lower than that of the same point trained again. So the best
points and the defaults are trained again with seeds that the search has not used, and the decision
is made by those: the point is chosen by the validation faces, and its error on the test faces is
compared with that of the defaults.
"""

# K objectives

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from odnbench.plan.spaces import Point
from odnbench.reports.rows import Row
from odnbench.results.searches import (
    OBJECTIVES,
    Candidate,
    Objective,
    PointState,
    SearchedPoint,
    SearchRecord,
)

DEFAULTS = 0  # the number of the point at which the pipeline's own spec lies
_MOST_SHOWN = 10


@dataclass(frozen=True)
class Confirmed:
    """A point that was trained again, with what its fresh seeds have come to."""

    number: int
    point: Point
    row: Row  # its trials are the finished ones
    # The validation NME of the search; None where the search did not measure it.
    searched_nme_percent: float | None

    @property
    def validation_nme_percent(self) -> float:
        """The validation NME, as the mean over the fresh seeds."""
        return self.row.validation_nme_percent

    @property
    def optimism(self) -> float | None:
        """The validation NME of the search less that of the fresh seeds, in percentage points:
        below 0 where the search has shown the point better than it is.
        """
        if self.searched_nme_percent is None:
            return None
        return self.searched_nme_percent - self.validation_nme_percent


@dataclass(frozen=True)
class Decision:
    """What the trainings with fresh seeds say of a search."""

    confirmed: tuple[Confirmed, ...]  # the lowest validation NME first
    planned: int  # trainings with fresh seeds
    finished: int

    @property
    def defaults(self) -> Confirmed | None:
        """The defaults, if they were trained again."""
        return next((one for one in self.confirmed if one.number == DEFAULTS), None)

    @property
    def winner(self) -> Confirmed | None:
        """The point beside the defaults that is best on validation faces; None where no point was
        trained again yet.
        """
        return next((one for one in self.confirmed if one.number != DEFAULTS), None)

    @property
    def seeds(self) -> tuple[int, int]:
        """The smallest and the largest number of fresh seeds of a point; (0, 0) for none."""
        counts = [len(one.row.trials) for one in self.confirmed] or [0]
        return min(counts), max(counts)

    @property
    def beats_defaults(self) -> bool | None:
        """Whether the winner has a lower validation NME than the defaults, over fresh seeds; None
        unless both were trained again.
        """
        return None if self.remaining_gain is None else self.remaining_gain > 0

    @property
    def apparent_gain(self) -> float | None:
        """By how many percentage points the winner's validation NME was below that of the defaults
        in the search; None where that is not known.
        """
        if self.winner is None or self.defaults is None:
            return None
        ours, theirs = self.winner.searched_nme_percent, self.defaults.searched_nme_percent
        return None if ours is None or theirs is None else theirs - ours

    @property
    def remaining_gain(self) -> float | None:
        """The same over the fresh seeds; None unless both were trained again."""
        if self.winner is None or self.defaults is None:
            return None
        return self.defaults.validation_nme_percent - self.winner.validation_nme_percent


@dataclass(frozen=True)
class Cost:
    """Epochs of a search's points; points of equal values are trained once."""

    used: int
    unpruned: int  # that the same points would have taken, had none been pruned

    @property
    def saved(self) -> float:
        """The share of the epochs that pruning has saved."""
        return 1 - self.used / self.unpruned if self.unpruned else 0.0


@dataclass(frozen=True)
class Share:
    """How much of the spread of the first objective a parameter explains, as a share of 1."""

    key: str
    mean: float  # over seeds of the method
    low: float  # the smallest of them
    high: float


@dataclass(frozen=True)
class Searched:
    """A search, for its report."""

    record: SearchRecord
    titles: Mapping[int, str]  # of the points, by number
    decision: Decision

    @cached_property
    def counts(self) -> Counter[PointState]:
        """State → number of points."""
        return Counter(point.state for point in self.record.points)

    @property
    def ended(self) -> int:
        """How many points are complete, pruned or failed."""
        return self.counts.total() - self.counts["running"]

    @property
    def is_finished(self) -> bool:
        """Whether as many points have ended as were asked for."""
        return self.ended >= self.record.trials

    @property
    def promoted(self) -> int:
        """How many points went on after they had been pruned."""
        return sum(point.promoted for point in self.record.points)

    @property
    def failed(self) -> tuple[SearchedPoint, ...]:
        """The points whose training has failed."""
        return tuple(point for point in self.record.points if point.state == "failed")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """(K,) what the search makes small."""
        return tuple(OBJECTIVES[name] for name in self.record.settings.objectives)

    @property
    def best(self) -> tuple[SearchedPoint, ...]:
        """The best complete points by the first objective, at most ten."""
        return self.record.best[:_MOST_SHOWN]

    @property
    def front(self) -> tuple[SearchedPoint, ...]:
        """The points that no other one beats; () for a single objective."""
        return pareto_front(self.record.best) if len(self.objectives) > 1 else ()

    @property
    def confirmed_numbers(self) -> frozenset[int]:
        """The numbers of the points that are trained again."""
        return frozenset(candidate.number for candidate in self.record.candidates)

    @property
    def shares(self) -> tuple[Share, ...]:
        """The importance of each parameter, the largest first."""
        found = [
            Share(one.key, fmean(one.values), min(one.values), max(one.values))
            for one in self.record.importances
        ]
        return tuple(sorted(found, key=lambda share: -share.mean))

    @property
    def cost(self) -> Cost:
        """The epochs of all points so far."""
        used, unpruned = dict[object, int](), dict[object, int]()
        whole = self.record.epochs * self.record.settings.repeats
        for point in self.record.points:
            # A point that has come to the values of an earlier one takes over what that came to.
            trained = point.trials[:1] or point.number
            epochs = epochs_of(point, self.record)
            used[trained] = max(epochs, used.get(trained, 0))
            would = whole if point.state in ("complete", "pruned") else epochs
            unpruned[trained] = max(would, unpruned.get(trained, 0))
        return Cost(sum(used.values()), sum(unpruned.values()))


def trained_points(
    points: Iterable[Candidate | SearchedPoint],
) -> dict[int, tuple[str, ...]]:
    """Number → content ids, of those points that came to other trials than an earlier one."""
    found: dict[tuple[str, ...], int] = {}
    for point in points:
        if point.trials:
            found.setdefault(point.trials, point.number)
    return {number: trials for trials, number in found.items()}


def epochs_of(point: SearchedPoint, record: SearchRecord) -> int:
    """How many epochs a point was trained for, over all its repeats."""
    repeats = record.settings.repeats
    if point.state == "complete":
        return record.epochs * repeats
    if repeats > 1:
        return record.epochs * len(point.steps)
    return max(map(int, point.steps), default=0)


def pareto_front(points: Sequence[SearchedPoint]) -> tuple[SearchedPoint, ...]:
    """The complete points that no other one beats, in the order of the first objective.

    A point beats another if it is as small in all objectives and smaller in one. Of points that
    came to the same trials, the first one is taken.
    """
    first = trained_points(sorted(points, key=lambda point: point.number))
    front: list[SearchedPoint] = []
    # What beats a point has smaller values in lexicographic order, and if it is beaten itself, it
    # is so by a point of the front.
    for point in sorted(points, key=lambda point: (point.values, point.number)):
        beaten = any(
            other.values != point.values
            and all(ours <= own for ours, own in zip(other.values, point.values, strict=True))
            for other in front
        )
        if not beaten and (not point.trials or point.number in first):
            front.append(point)
    return tuple(front)
