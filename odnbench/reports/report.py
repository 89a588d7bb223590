"""The report of one pipeline as values: numbers with intervals, verdicts, marks.

A format (registry/formats.toml) turns a `Report` into text and pictures; no value is a text that a
format would have to take apart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from odnbench.arrays import Floats
from odnbench.metrics.factorial import Effect
from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.metrics.significance import Comparison, few_seeds
from odnbench.plan.conversion import leaves
from odnbench.plan.entries import LossWeight, Metric, Published
from odnbench.plan.pipelines import Pipeline
from odnbench.plan.protocols import BoxRule, Protocol
from odnbench.plan.trials import Coverage
from odnbench.reports.costs import CostRow, costs_of, front_of
from odnbench.reports.design import Design, design_of
from odnbench.reports.disturbances import Bench, benches
from odnbench.reports.likeness import is_alike, unlike
from odnbench.reports.occlusion import SmallMap, Told, maps_tell, small_maps
from odnbench.reports.pasted import PastedLine, pasted_lines
from odnbench.reports.ranks import RankRow, ranks_of
from odnbench.reports.rows import Missing, Row, ScoredTrial, compared_with
from odnbench.reports.search import Searched
from odnbench.reports.summary import Lead, Seen, lead_of, seen_by
from odnbench.reports.terms import TermsRow, terms_of

# Part and id of a face, and points (K, L, 2) in its image, the true ones first → a JPEG file and
# the points in units of its side; None for a face that is not to be seen.
PictureOf: TypeAlias = Callable[[str, str, Floats], tuple[bytes, Floats] | None]


def caveat_of(found: Iterable[Comparison | Effect | None]) -> str:
    """How the fewest seeds of comparisons and effects limit them; "" where they do not."""
    fewest = min((one.interval.seeds for one in found if one is not None), default=0)
    return few_seeds(fewest)


@dataclass(frozen=True)
class PublishedColumn:
    """Published figures of one split."""

    values: dict[str, float]  # variant → NME in percent
    unlike: str  # why the figures are not comparable with ours; "" where they are


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
    penalties: tuple[LossWeight, ...]  # every weight of the objective
    factors: Mapping[str, tuple[str, ...]]  # variant → the modules that are on
    saved_at: str
    rules: Mapping[str, str] = field(default_factory=dict)  # column → which faces are in it
    foreign: tuple[Row, ...] = ()  # files of predictions of other tools
    # None unless a search has made the plan and its record can be read.
    search: Searched | None = None
    picture_of: PictureOf | None = None  # of test faces; None where none are to be seen
    protocols: Mapping[str, Protocol] = field(default_factory=dict)  # all that are known, by name

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
        for column in self.columns if self.reference is not None else ():
            assert self.reference is not None
            scores = {row.title: row.scores_of(column) for row in self.table}
            if compared := compared_with(self.reference.title, scores):
                found[column] = compared
        return found

    @cached_property
    def design(self) -> Design | None:
        """The rows that are all combinations of some modules, if there are such rows."""
        return design_of(self.rows, self.factors)

    @cached_property
    def factorial(self) -> dict[str, tuple[Effect, ...]]:
        """Column → effects of the modules; empty without a `design` of nothing but modules."""
        if self.design is None:
            return {}
        effects = {column: self.design.effects(column) for column in self.columns}
        return {column: found for column, found in effects.items() if found}

    @cached_property
    def other_bases(self) -> tuple[Row, ...]:
        """The trained rows of other variants than the reference's, whose networks differ from its
        network in more than modules.
        """
        reference = self.reference
        own = None if reference is None else reference.base
        return tuple(
            row
            for row in self.rows
            if reference is not None and row.variant != reference.variant
            if own is not None and row.is_trained
            if row.base is not None and not row.base.is_like(own)
        )

    @cached_property
    def flip_tested(self) -> tuple[Row, ...]:
        """The rows whose faces were predicted mirrored as well; their titles say so."""
        return tuple(row for row in self.rows if row.is_flip_tested)

    @cached_property
    def taught(self) -> tuple[Row, ...]:
        """The rows whose networks had a teacher; their titles say so."""
        trained = (row for row in self.rows if row.is_trained)
        return tuple(row for row in trained if row.trials[0].trial.spec.train.teacher)

    @cached_property
    def trials(self) -> list[ScoredTrial]:
        """All finished trials, in the order of the plan."""
        return [trial for row in self.rows for trial in row.trials]

    @property
    def protocol(self) -> Protocol:
        """The protocol of the report's own row, and of all rows that are not marked."""
        return self.exemplar_row.trials[0].trial.protocol

    @property
    def box(self) -> BoxRule:
        """The box rule of the protocol."""
        return self.exemplar_row.trials[0].trial.box

    def own_row(self, column: str) -> Row | None:
        """The row to which the numbers on `column` are said to be unlike: the report's own, or the
        first that has a number there; None where no row has.
        """
        held = [self.exemplar_row, *self.rows] if self.rows else []
        return next((row for row in held if row.scores_of(column)), None)

    def unlike_of(self, row: Row, column: str) -> str:
        """Why the number of `row` on `column` cannot be compared with the others, or is none; ""
        where there is nothing to say.
        """
        own = self.own_row(column)
        told = [row.lacks.get(column, ""), "" if own is None else unlike(row, own, column)]
        return "; ".join(part for part in told if part)

    def is_alike(self, row: Row, column: str) -> bool:
        """Whether `row` has a number on `column` that is of one measure with the others."""
        own = self.own_row(column)
        return own is not None and is_alike(row, own, column)

    def missing_of(self, row: Row) -> tuple[Missing, ...]:
        """The trials without numbers that differ from those of `row` in nothing but the seed."""
        return tuple(missing for missing in self.missing if missing.row == row.title)

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
    def is_mixed(self) -> bool:
        """Whether some faces are rendered and others are real."""
        kinds = {c.rendered for trial in self.trials for c in trial.trial.coverage}
        return len(kinds) > 1

    @property
    def training(self) -> Coverage:
        """The coverage of the training split."""
        return self.exemplar_row.trials[0].trial.coverage[0]

    @cached_property
    def columns(self) -> dict[str, Coverage]:
        """Column → coverage, of the row with which others are compared; a column of exactly the
        faces of an earlier column is left out.
        """
        shown: dict[tuple[str, ...], str] = {}
        found: dict[str, Coverage] = {}
        for column in self.pipeline.columns:
            if (own := self.own_row(column)) is not None:
                score = own.scores_of(column)[0]
                if shown.setdefault(score.face_ids, column) == column:
                    found[column] = score.coverage
        return found

    @property
    def few_faces(self) -> list[str]:
        """The columns with too few faces for intervals and tests."""
        return [name for name, found in self.columns.items() if found.faces < FEWEST_FACES]

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
        """How the fewest seeds of all comparisons and effects limit them; "" where they do not."""
        compared = [one for by_row in self.comparisons.values() for one in by_row.values()]
        return caveat_of([*compared, *(one for found in self.factorial.values() for one in found)])

    @property
    def effects(self) -> list[tuple[Effect, ...]]:
        """The effects of each set of modules, one per column of `factorial`."""
        return list(zip(*self.factorial.values(), strict=True))

    @cached_property
    def maps(self) -> dict[str, tuple[tuple[Row, Told], ...]]:
        """Column → what the occlusion map of each row tells of what is occluded."""
        return maps_tell(self.rows, self.columns)

    @property
    def small_maps(self) -> tuple[SmallMap, ...]:
        """The rows whose occlusion maps are too small for what `maps` tells."""
        return small_maps(self.rows)

    @cached_property
    def pasted(self) -> dict[str, tuple[PastedLine, ...]]:
        """Column → the rows on its faces with occluders pasted on them, where trials have these."""
        return pasted_lines(self.rows, self.reference, self.columns)

    @cached_property
    def disturbed(self) -> dict[str, dict[str, Bench]]:
        """Column → kind of disturbance → the rows on its faces, at each of the plan's levels."""
        return benches(self.rows, self.reference, self.columns, self.pipeline.disturbances)

    @cached_property
    def terms(self) -> tuple[TermsRow, ...]:
        """What each penalty of the objective did in the training of each row."""
        return terms_of(self.rows, self.penalties)

    @property
    def acting(self) -> tuple[LossWeight, ...]:
        """The weights that are above 0 and act on something in any row."""
        terms = [term for row in self.terms for term in row.terms if term.share is not None]
        return tuple(w for w in self.penalties if any(term.weight == w for term in terms))

    @property
    def ranks(self) -> tuple[RankRow, ...]:
        """The ranks of M and of M W_fcᵀ, for rows whose networks have a structural matrix M."""
        return ranks_of(self.rows)

    @cached_property
    def costs(self) -> tuple[CostRow, ...]:
        """What predicting a face costs with the networks of each row, where that was measured."""
        return costs_of(self.rows)

    @property
    def without_cost(self) -> tuple[Row, ...]:
        """The rows of networks whose cost was not measured in all trials."""
        measured = [cost.row.title for cost in self.costs]
        return tuple(row for row in self.rows if row.parameters and row.title not in measured)

    @property
    def front(self) -> tuple[Row, ...]:
        """The rows that no other one beats in multiply-adds and NME on the main column; () where
        all rows have equally many multiply-adds.
        """
        if self.main_column is None or len({cost.multiply_adds for cost in self.costs}) < 2:
            return ()
        column = self.main_column
        return front_of([cost for cost in self.costs if self.is_alike(cost.row, column)], column)

    @property
    def limits(self) -> dict[str, tuple[Row, ...]]:
        """What the sizes of networks keep their modules from → the rows that this concerns."""
        found: dict[str, tuple[Row, ...]] = {}
        for row in self.rows:
            shapes = row.trials[0].result.shapes
            for limit in shapes.limits if shapes is not None else ():
                found[limit] = (*found.get(limit, ()), row)
        return found

    @property
    def main_column(self) -> str | None:
        """The column with the most faces, the first of such; None where nothing was scored."""
        return max(self.columns, key=lambda name: self.columns[name].faces, default=None)

    @cached_property
    def lead(self) -> Lead | None:
        """The row with the lowest error on the main column; None where no row was trained."""
        column = self.main_column
        if column is None:
            return None
        return lead_of(
            [row for row in self.rows if self.is_alike(row, column)],
            column,
            self.reference,
            self.comparisons.get(column, {}),
            is_search=self.pipeline.search is not None,
        )

    @cached_property
    def seen(self) -> Seen | None:
        """What a map P tells, of the reference if it has one: the answer that says most."""
        return seen_by(self.exemplar_row, self.rows, self.main_column, self.maps, self.pasted)

    @property
    def inert(self) -> TermsRow | None:
        """The penalties of the reference, or of the first row that has any."""
        own = [terms for terms in self.terms if terms.row is self.exemplar_row]
        return next(iter([*own, *self.terms]), None)

    @property
    def exemplar_row(self) -> Row:
        """The row that speaks for the report: the reference, or the first row without one."""
        if self.reference is not None:
            return self.reference
        named = [row for row in self.rows if row.variant == self.pipeline.reference]
        return (named or list(self.rows))[0]

    @cached_property
    def exemplar(self) -> ScoredTrial | None:
        """The trial whose examples are shown: the first that still has them, which may have been
        removed to make room. A trial of `exemplar_row` is preferred.
        """
        held = [*self.exemplar_row.trials, *self.trials]
        return next((trial for trial in held if trial.folder.examples.is_file()), None)
