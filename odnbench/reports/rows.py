"""The rows of a report: finished trials with their numbers, grouped by all but the seed."""

# S seeds, N faces

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odnbench.arrays import Floats
from odnbench.metrics.breakdown import Group
from odnbench.metrics.intervals import FEWEST_FACES, Interval, mean_intervals
from odnbench.metrics.significance import Comparison, compare
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch, Result, Standing
from odnbench.scoring.occlusion import OcclusionScore, Truth
from odnbench.scoring.scores import Score, differ_in

_DRAWS = 10_000  # resamples of an interval, permutations of a test


@dataclass(frozen=True)
class Tested:
    """What a trial's predictions for one version of the test faces give, by column."""

    scores: Mapping[str, Score]
    occlusion: Mapping[str, Mapping[Truth, OcclusionScore]]
    groups: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)  # errors by part
    # The mean over faces of how much they were disturbed; empty for faces as they are.
    amounts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredTrial:
    """A finished trial with its numbers."""

    trial: Trial
    folder: TrialFolder
    result: Result
    epochs: tuple[Epoch, ...]
    clean: Tested  # on the test faces as they are
    versions: Mapping[str, str]  # of the libraries that made the numbers
    pasted: Tested | None = None  # on the test faces with occluders pasted on them
    map_cells: int | None = None  # of the occlusion map P; None for a network without one
    # On the test faces after each disturbance that was predicted.
    disturbed: Mapping[Disturbance, Tested] = field(default_factory=dict)

    @property
    def scores(self) -> Mapping[str, Score]:
        """Column → score, on the test faces as they are."""
        return self.clean.scores


@dataclass(frozen=True)
class Measured:
    """A metric of one row on one column, in the metric's unit."""

    values: tuple[float, ...]  # (S,) of each seed
    interval: Interval | None = None  # 95 % interval of the mean over seeds and faces

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds; None for a single seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Base:
    """What carries the modules of a network: its backbone, and how the backbone is joined on."""

    backbone: str
    attach: str  # the word of the spec
    layer: str  # the backbone's own name of the layer at which the feature map Z leaves
    network: str  # the target that is built
    options: Mapping[str, Any]  # of that target, as {"pool": "vector"}

    def is_like(self, other: "Base") -> bool:
        """Whether two networks differ at most in their modules; the word for a layer is free."""
        return (self.backbone, self.layer, self.network, self.options) == (
            other.backbone, other.layer, other.network, other.options
        )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table: trials that differ in nothing but the seed, or a foreign method."""

    title: str
    variant: str
    trials: tuple[ScoredTrial, ...]
    # Metric → column → number.
    numbers: Mapping[str, Mapping[str, Measured]]
    # Column → score, of a file of predictions that another tool made.
    foreign: Mapping[str, Score] = field(default_factory=dict)
    is_reference: bool = False  # whether the other rows are compared with this one
    # None for a foreign method, and where the registry does not know the variant or the backbone.
    base: Base | None = None
    notes: tuple[str, ...] = ()  # what readers of a foreign method's numbers must know
    # Column → why a foreign method has no number there, or one on some of the faces only.
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> int | None:
        """The number of the network's parameters; None for a foreign method."""
        return self.trials[0].result.parameters if self.trials else None

    @property
    def validation_nme_percent(self) -> float:
        """The mean over seeds of the error on validation faces; NaN for a foreign method."""
        values = [trial.result.validation_nme_percent for trial in self.trials]
        return float(np.mean(values)) if values else math.nan

    @property
    def is_trained(self) -> bool:
        """Whether the trials of the row have epochs; the mean shape has none."""
        return any(trial.epochs for trial in self.trials)

    @property
    def is_flip_tested(self) -> bool:
        """Whether faces were predicted mirrored as well; False where it is not known."""
        return bool(self.trials) and self.trials[0].trial.spec.data.flip_test

    @property
    def has_map(self) -> bool:
        """Whether the networks of the row have an occlusion map P."""
        return any(trial.map_cells is not None for trial in self.trials)

    def scores_of(self, column: str) -> list[Score]:
        """A score for each seed."""
        found = [t.scores[column] for t in self.trials if column in t.scores]
        return found or ([self.foreign[column]] if column in self.foreign else [])

    def pasted_scores_of(self, column: str) -> list[Score]:
        """A score for each seed on faces with occluders pasted on them; empty unless all have one.

        A mean over some of the seeds could not be set beside the mean of the same row over all.
        """
        return _of_all([trial.pasted for trial in self.trials], column)

    def disturbed_scores_of(self, column: str, disturbance: Disturbance) -> list[Score]:
        """A score for each seed after `disturbance`; empty unless all have one, as above. At level
        0 these are the scores on the faces as they are.
        """
        if not disturbance.level:
            return _of_all([trial.clean for trial in self.trials], column)
        return _of_all([trial.disturbed.get(disturbance) for trial in self.trials], column)

    def number(self, metric: str, column: str) -> Measured | None:
        """The number of `metric` on `column`; None where the row has no scores."""
        return self.numbers.get(metric, {}).get(column)

    def errors(self, column: str) -> Floats | None:
        """(S, N) errors whose mean is the NME as a fraction; None where the row has no scores."""
        return errors_of(self.scores_of(column))


@dataclass(frozen=True)
class Missing:
    """A trial of the plan that has no numbers, and its state."""

    title: str
    standing: Standing
    row: str = ""  # title of the row that lacks the trial; "" where there is none


def _of_all(tested: Sequence[Tested | None], column: str) -> list[Score]:
    """The score on `column` of each of `tested`; empty unless all have one."""
    found = [t.scores[column] for t in tested if t is not None and column in t.scores]
    return found if len(found) == len(tested) else []


def errors_of(scores: Sequence[Score]) -> Floats | None:
    """(S, N) errors in the scores of S seeds on the same faces; None for no scores."""
    return np.stack([score.terms for score in scores]) if scores else None


def nme_interval(errors: Floats, *, draws: int = _DRAWS) -> Interval | None:
    """95 % interval of 100 times the mean of errors (S, N); None where faces are too few or errors
    differ on few of them alone.
    """
    (found,) = nme_intervals([errors], draws=draws)
    return found


def nme_intervals(errors: Sequence[Floats], *, draws: int = _DRAWS) -> list[Interval | None]:
    """`nme_interval` of each of `errors`; all on equally many faces in the time of a few."""
    enough = [index for index, one in enumerate(errors) if one.shape[1] >= FEWEST_FACES]
    found: list[Interval | None] = [None] * len(errors)
    intervals = mean_intervals([errors[index] for index in enough], resamples=draws)
    for index, one in zip(enough, intervals, strict=True):
        if one.tells(one.estimate):
            limits = (100 * max(0.0, one.low), 100 * one.high)
            found[index] = Interval(100 * one.estimate, *limits, one.level, one.seeds)
    return found


def compared_with(
    reference: str, scores: Mapping[str, Sequence[Score]], *, draws: int = _DRAWS
) -> dict[str, Comparison]:
    """Row → its comparison with the row `reference`, p corrected for all of these comparisons.

    scores: row → a score on the same column for each seed. Rows that were not tested on exactly the
    faces of the reference, or whose errors are of another measure, are left out; so are all where
    there are too few faces.
    """
    own = scores.get(reference, ())
    if not own:
        return {}
    faces = {(score.face_ids, score.coverage.rendered) for score in own}
    errors = {
        title: errors
        for title, found in scores.items()
        if {(score.face_ids, score.coverage.rendered) for score in found} == faces
        if not any(differ_in(score, own[0]) for score in found)
        if (errors := errors_of(found)) is not None
    }
    return compared_errors(reference, errors, draws=draws)


def compared_errors(
    reference: str, errors: Mapping[str, Floats], *, draws: int = _DRAWS
) -> dict[str, Comparison]:
    """`compared_with`, for errors (S, N) of each row on the same N faces."""
    enough = {title: of for title, of in errors.items() if of.shape[1] >= FEWEST_FACES}
    if len(enough) < 2 or reference not in enough:
        return {}
    return {one.variant: one for one in compare(enough, reference, draws=draws)}
