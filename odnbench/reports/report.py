"""The report of one pipeline as values: numbers with intervals, verdicts, marks.

A format (registry/formats.toml) turns a `Report` into text and pictures; no value is a text that a
format would have to take apart.
"""

# S seeds, N faces, k columns of the structural matrix M

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from odnbench.arrays import Floats
from odnbench.metrics.factorial import Effect, factorial_effects
from odnbench.metrics.intervals import Interval, mean_interval
from odnbench.metrics.occlusion import ProbabilityScore
from odnbench.metrics.rank import effective_rank, stable_rank
from odnbench.metrics.significance import Comparison, compare
from odnbench.plan.conversion import get_at, leaves
from odnbench.plan.entries import LossWeight, Metric, Published
from odnbench.plan.pipelines import Pipeline
from odnbench.plan.protocols import BoxRule, Protocol
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch, Result, Standing
from odnbench.scoring.scores import Score


@dataclass(frozen=True)
class ScoredTrial:
    """A finished trial with its numbers."""

    trial: Trial
    folder: TrialFolder
    result: Result
    epochs: tuple[Epoch, ...]
    scores: Mapping[str, Score]  # column → score
    # Column → "landmarks" or "cells" → how well 1 − P predicts their occlusion; known for the first
    # seed of a row alone.
    occlusion: Mapping[str, Mapping[str, ProbabilityScore]]
    versions: Mapping[str, str]  # of the libraries that made the numbers


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
    has_paper_weights: bool = False  # whether a search tried the paper's weights here

    @property
    def parameters(self) -> int | None:
        """The number of the network's parameters; None for a foreign method."""
        return self.trials[0].result.parameters if self.trials else None

    @property
    def is_trained(self) -> bool:
        """Whether the trials of the row have epochs; the mean shape has none."""
        return any(trial.epochs for trial in self.trials)

    def scores_of(self, column: str) -> list[Score]:
        """A score for each seed."""
        found = [t.scores[column] for t in self.trials if column in t.scores]
        return found or ([self.foreign[column]] if column in self.foreign else [])

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


@dataclass(frozen=True)
class PublishedColumn:
    """Published figures of one split."""

    values: dict[str, float]  # variant → NME in percent
    unlike: str  # why the figures are not comparable with ours; "" where they are


@dataclass(frozen=True)
class RankRow:
    """Ranks of M for a row's first seed: (after the first epoch, of the weights that were kept)."""

    row: Row
    columns: int  # k
    effective: tuple[float, float]
    stable: tuple[float, float]


@dataclass(frozen=True)
class Report:
    """The results of one pipeline, and all that a reader of them must know."""

    pipeline: Pipeline
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]
    published: tuple[Published, ...]
    unlike: Mapping[str, str]  # published table → why its numbers are not comparable
    metrics: tuple[Metric, ...]
    weights: tuple[LossWeight, ...]  # that a search varied
    factors: Mapping[str, tuple[str, ...]]  # variant → the modules that are on
    saved_at: str
    rules: Mapping[str, str] = field(default_factory=dict)  # column → which faces are in it
    foreign: tuple[Row, ...] = ()  # files of predictions of other tools

    @property
    def table(self) -> tuple[Row, ...]:
        """All rows: our trials, then foreign methods."""
        return (*self.rows, *self.foreign)

    @property
    def shown_metrics(self) -> tuple[Metric, ...]:
        """The metrics of the table, the NME first."""
        return tuple(metric for metric in self.metrics if metric.in_tables)

    @property
    def reference(self) -> Row | None:
        """The row that the others are compared with, if there is exactly one."""
        return next((row for row in self.rows if row.is_reference), None)

    @cached_property
    def comparisons(self) -> dict[str, dict[str, Comparison]]:
        """Column → title of a row → its comparison with the reference, p corrected over the column.

        Rows that were not tested on exactly the faces of the reference are left out.
        """
        found: dict[str, dict[str, Comparison]] = {}
        reference = self.reference
        for column in self.columns if reference is not None else ():
            assert reference is not None
            faces = {score.face_ids for score in reference.scores_of(column)}
            errors = {
                row.title: errors
                for row in self.table
                if (errors := row.errors(column)) is not None and errors.shape[1] > 1
                if {score.face_ids for score in row.scores_of(column)} == faces
            }
            if len(errors) > 1 and reference.title in errors:
                compared = compare(errors, reference.title)
                found[column] = {comparison.variant: comparison for comparison in compared}
        return found

    @cached_property
    def factorial(self) -> dict[str, tuple[Effect, ...]]:
        """Column → effects of the modules, where every combination of them was run."""
        cells: dict[frozenset[str], Row] = {}
        for row in self.rows:
            factors = self.factors.get(row.variant)
            if factors is not None:
                if frozenset(factors) in cells:
                    return {}  # another axis was varied too
                cells[frozenset(factors)] = row
        everything = frozenset().union(*cells) if cells else frozenset()
        if not everything or len(cells) != 2 ** len(everything):
            return {}
        found = {}
        for column in self.columns:
            faces = {score.face_ids for row in cells.values() for score in row.scores_of(column)}
            errors = {cell: row.errors(column) for cell, row in cells.items()}
            known = {cell: E for cell, E in errors.items() if E is not None and E.shape[1] > 1}
            if len(known) == len(cells) and len(faces) == 1:
                found[column] = factorial_effects(known)
        return found

    @cached_property
    def trials(self) -> list[ScoredTrial]:
        """All finished trials, in the order of the plan."""
        return [trial for row in self.rows for trial in row.trials]

    @property
    def protocol(self) -> Protocol:
        """The protocol of all trials; `read_report` refuses plans that mix protocols."""
        return self.trials[0].trial.protocol

    @property
    def box(self) -> BoxRule:
        """The box rule of the protocol."""
        return self.trials[0].trial.box

    @property
    def rendered(self) -> bool:
        """Whether any faces are rendered."""
        return any(trial.trial.rendered for trial in self.trials)

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """The splits for which rendered faces stand in, in training or in tests."""
        every = (c for trial in self.trials for c in trial.trial.coverage)
        return tuple(dict.fromkeys(c.split for c in every if c.rendered))

    @property
    def training(self) -> Coverage:
        """The coverage of the training split."""
        return self.trials[0].trial.coverage[0]

    @cached_property
    def columns(self) -> dict[str, Coverage]:
        """Column → coverage; a column of exactly the faces of an earlier column is left out."""
        shown: dict[tuple[str, ...], str] = {}
        for column in self.pipeline.columns:
            if found := [t.scores[column] for t in self.trials if column in t.scores]:
                shown.setdefault(found[0].face_ids, column)
        return {
            column: trial.scores[column].coverage
            for column in shown.values()
            for trial in self.trials
            if column in trial.scores
        }

    @property
    def seeds(self) -> int:
        """The number of seeds of the row that has most of them."""
        return max(len(row.trials) for row in self.rows)

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries that made the numbers."""
        return self.trials[0].versions

    @cached_property
    def common(self) -> dict[str, Any]:
        """Dotted key → value, of all fields of the spec in which all trials agree."""
        first, *others = (leaves(trial.trial.spec) for trial in self.trials)
        return {
            key: value
            for key, value in first.items()
            if all(other.get(key) == value for other in others)
        }

    def weight(self, trial: ScoredTrial, name: str) -> float:
        """The loss weight `name` of a trial."""
        return float(get_at(trial.trial.spec, f"loss.{name}"))

    @property
    def paper(self) -> dict[str, PublishedColumn]:
        """Split → published NME of the methods that are variants of ours."""
        figures: dict[str, PublishedColumn] = {}
        for table in self.published:
            for row in table.rows if table.quantity == "nme" else ():
                for column, value in row.values.items() if row.variant else ():
                    split = f"{table.dataset}/{column}"
                    shown = figures.setdefault(
                        split, PublishedColumn({}, self.unlike.get(table.name, ""))
                    )
                    shown.values.setdefault(row.variant, value)
        return figures

    @property
    def caveat(self) -> str:
        """How the number of seeds limits comparisons and effects; "" where it does not."""
        every = (c for compared in self.comparisons.values() for c in compared.values())
        return next((c.caveat for c in every if c.caveat), "")

    @property
    def effects(self) -> list[tuple[Effect, ...]]:
        """The effects of each set of modules, one per column of `factorial`."""
        return list(zip(*self.factorial.values(), strict=True))

    @property
    def distilled(self) -> list[tuple[Row, str]]:
        """(row, "landmarks" or "cells") for rows whose networks predict occlusion.

        The prediction is compared with flags of landmarks or with masks in the cells of the map.
        """
        return [
            (row, against)
            for row in self.rows
            for against in ("landmarks", "cells")
            if any(against in found for found in row.trials[0].occlusion.values())
        ]

    @property
    def low_rank(self) -> list[RankRow]:
        """The ranks of M, for rows whose networks have a structural matrix M."""
        found = []
        for row in self.rows:
            first = row.trials[0]
            if first.result.spectrum and first.epochs:
                sigma, start = np.array(first.result.spectrum), first.epochs[0]
                found.append(
                    RankRow(
                        row,
                        columns=len(sigma),
                        effective=(start.effective_rank or 0.0, effective_rank(sigma)),
                        stable=(start.stable_rank or 0.0, stable_rank(sigma)),
                    )
                )
        return found

    @property
    def exemplar(self) -> ScoredTrial:
        """The trial whose examples are shown: of the reference, or of the first row without one."""
        named = [row for row in self.rows if row.variant == self.pipeline.reference]
        return (named or list(self.rows))[0].trials[0]


def errors_of(scores: list[Score]) -> Floats | None:
    """(S, N) errors in the scores of S seeds on the same faces; None for no scores."""
    return np.stack([score.terms for score in scores]) if scores else None


def nme_interval(errors: Floats) -> Interval | None:
    """95 % interval of 100 times the mean of errors (S, N); None for a single face."""
    if errors.shape[1] < 2:
        return None
    found = mean_interval(errors)
    return Interval(
        100 * found.estimate, 100 * max(0.0, found.low), 100 * found.high, found.level, found.seeds
    )
