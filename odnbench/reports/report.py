"""Reports: tables and figures from trial folders, rendered through reports/templates/.

A report knows nothing of training. It reads predictions, scores them under their protocol, and sets
them beside published figures; what is rendered, partial or missing stands next to the number it
concerns.
"""

import dataclasses
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError
from odnbench.metrics.factorial import Effect, factorial_effects
from odnbench.metrics.intervals import mean_interval
from odnbench.metrics.occlusion import ProbabilityScore
from odnbench.metrics.rank import effective_rank, stable_rank
from odnbench.metrics.significance import Comparison, compare
from odnbench.plan.conversion import get_at
from odnbench.plan.pipelines import FIELDS, Pipeline
from odnbench.plan.registry import LossWeight, Published, Registry, Variant
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import BoxRule, Coverage, Protocol, Trial
from odnbench.reports.figures import ced_figure, training_figure
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord, is_at_work
from odnbench.results.records import Epoch, Result
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.score import score_files
from odnbench.scoring.scores import Score, occlusion_scores, scores
from odnbench.scoring.truth import truth_in_predictions


@dataclass(frozen=True)
class ScoredTrial:
    """A finished trial with its numbers: column → score."""

    trial: Trial
    result: Result
    epochs: tuple[Epoch, ...]
    scores: Mapping[str, Score]
    occlusion: Mapping[str, Mapping[str, ProbabilityScore]]  # of 1 − P, as `occlusion_scores`
    versions: Mapping[str, str]
    examples: Path  # picture of test faces with predictions


@dataclass(frozen=True)
class Row:
    """One line of the table: trials that differ in nothing but the seed, or a foreign method."""

    title: str
    variant: str
    trials: tuple[ScoredTrial, ...]
    foreign: Mapping[str, Score] = field(default_factory=dict)  # of a file of predictions

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.trials)

    @property
    def parameters(self) -> str:
        """Of the network."""
        return f"{self.trials[0].result.parameters:,}" if self.trials else "–"

    def scores_of(self, column: str) -> list[Score]:
        """A score for each seed."""
        found = [t.scores[column] for t in self.trials if column in t.scores]
        return found or ([self.foreign[column]] if column in self.foreign else [])

    def errors(self, column: str) -> Floats | None:
        """(S, N) errors of each seed and face, whose mean is the NME as a fraction; None without
        scores.
        """
        found = self.scores_of(column)
        return np.stack([score.terms for score in found]) if found else None

    def nme(self, column: str) -> str:
        """Mean NME in percent, ± sd over seeds where there are several, and its 95 % interval."""
        errors = self.errors(column)
        if errors is None:
            return "–"
        text = f"{100 * errors.mean():.2f}"
        if len(errors) > 1:
            text += f" ± {100 * errors.mean(axis=1).std(ddof=1):.2f}"
        if errors.shape[1] > 1:
            interval = mean_interval(errors)
            text += f" ({100 * max(0.0, interval.low):.2f}–{100 * interval.high:.2f})"
        return text

    def failures(self, column: str) -> str:
        """Failure rate in percent, mean over seeds."""
        found = [score.failure_percent for score in self.scores_of(column)]
        return f"{fmean(found):.1f}" if found else "–"

    def auc(self, column: str) -> str:
        """Area under the CED in percent, mean over seeds."""
        found = [score.auc_percent for score in self.scores_of(column)]
        return f"{fmean(found):.1f}" if found else "–"


@dataclass(frozen=True)
class Missing:
    """A trial of the plan that has no numbers, and why."""

    title: str
    reason: str


@dataclass(frozen=True)
class PublishedColumn:
    """Published figures of one split."""

    values: dict[str, float]  # variant → NME in percent
    unlike: str  # what makes them not comparable with ours, or ""


@dataclass(frozen=True)
class Report:
    """All that the template shows of one pipeline."""

    pipeline: Pipeline
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]
    published: tuple[Published, ...]
    unlike: Mapping[str, str]  # published table → what makes its numbers not comparable
    weights: tuple[LossWeight, ...]  # that a search varied
    factors: Mapping[str, tuple[str, ...]]  # variant → modules that are on
    saved_at: str
    rules: Mapping[str, str] = field(default_factory=dict)  # column → who is in it
    foreign: tuple[Row, ...] = ()  # files of predictions of other tools

    @property
    def table(self) -> tuple[Row, ...]:
        """All lines: our trials, and foreign methods."""
        return (*self.rows, *self.foreign)

    @cached_property
    def comparisons(self) -> dict[str, dict[str, Comparison]]:
        """Column → title → that line against the reference's, corrected over the column's lines.

        Lines that were not tested on the very faces of the reference are left out.
        """
        found: dict[str, dict[str, Comparison]] = {}
        references = [row for row in self.rows if row.variant == self.pipeline.reference]
        for column in self.columns if len(references) == 1 else ():
            (reference,) = references
            faces = {score.faces for score in reference.scores_of(column)}
            errors = {
                row.title: errors
                for row in self.table
                if (errors := row.errors(column)) is not None and errors.shape[1] > 1
                if {score.faces for score in row.scores_of(column)} == faces
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
            faces = {score.faces for row in cells.values() for score in row.scores_of(column)}
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
        """Of the first trial; `read_report` refuses plans that mix protocols."""
        return self.trials[0].trial.protocol

    @property
    def box(self) -> BoxRule:
        """The box rule of the protocol."""
        return self.trials[0].trial.box

    @property
    def rendered(self) -> bool:
        """Whether the faces are rendered ones."""
        return any(trial.trial.rendered for trial in self.trials)

    @property
    def stand_ins(self) -> str:
        """The splits of which rendered faces were trained or tested on."""
        every = (c for trial in self.trials for c in trial.trial.coverage)
        return ", ".join(dict.fromkeys(c.split for c in every if c.rendered))

    @property
    def training(self) -> Coverage:
        """How much of the training split there was."""
        return self.trials[0].trial.coverage[0]

    @property
    def columns(self) -> dict[str, Coverage]:
        """Column → coverage; a column of the very faces of an earlier one is left out."""
        shown: dict[tuple[str, ...], str] = {}
        for column in self.pipeline.columns:
            if found := [t.scores[column] for t in self.trials if column in t.scores]:
                shown.setdefault(found[0].faces, column)
        return {
            column: trial.scores[column].coverage
            for column in shown.values()
            for trial in self.trials
            if column in trial.scores
        }

    @property
    def seeds(self) -> int:
        """Seeds of the row that has most."""
        return max(row.seeds for row in self.rows)

    @property
    def versions(self) -> str:
        """Of the libraries that made the numbers."""
        return ", ".join(f"{name} {v}" for name, v in self.trials[0].versions.items())

    @property
    def common(self) -> dict[str, Any]:
        """Dotted key → value, where all trials agree."""
        specs = [trial.trial.spec for trial in self.trials]
        return {
            key: get_at(specs[0], key)
            for key in FIELDS
            if len({get_at(spec, key) for spec in specs}) == 1
        }

    def weight(self, trial: ScoredTrial, name: str) -> float:
        """The loss weight `name` of a trial."""
        return float(get_at(trial.trial.spec, f"loss.{name}"))

    @property
    def paper(self) -> dict[str, PublishedColumn]:
        """Split → published NME, for the variants that have a name of ours."""
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
    def reference(self) -> str:
        """Title of the line that others are compared with."""
        return next(r.title for r in self.rows if r.variant == self.pipeline.reference)

    @property
    def caveat(self) -> str:
        """What the number of seeds takes from comparisons and effects."""
        every = (c for compared in self.comparisons.values() for c in compared.values())
        return next((c.caveat for c in every if c.caveat), "")

    @property
    def effects(self) -> list[tuple[Effect, ...]]:
        """The effects of each set of modules, one per column of `factorial`."""
        return list(zip(*self.factorial.values(), strict=True))

    @staticmethod
    def relative(c: Comparison) -> str:
        """A difference in percent of the reference's mean, with its interval."""
        low, high = (100 * end / c.reference_mean for end in (c.interval.low, c.interval.high))
        return f"{c.percent:+.1f} % ({low:+.1f} to {high:+.1f})"

    @property
    def distilled(self) -> list[tuple[Row, str]]:
        """Lines whose networks tell occlusion, and what it is compared with: flags or masks."""
        return [
            (row, against)
            for row in self.rows
            for against in ("landmarks", "cells")
            if any(against in found for found in row.trials[0].occlusion.values())
        ]

    @property
    def low_rank(self) -> list[tuple[Row, int, float, float, float, float]]:
        """Lines with a structural matrix: k, and effective and stable rank after the first epoch
        and of the weights that were kept, of the first seed.
        """
        found = []
        for row in self.rows:
            first = row.trials[0]
            if first.result.spectrum and first.epochs:
                sigma, start = np.array(first.result.spectrum), first.epochs[0]
                ranks = (start.effective_rank or 0.0, effective_rank(sigma))
                stable = (start.stable_rank or 0.0, stable_rank(sigma))
                found.append((row, len(sigma), *ranks, *stable))
        return found

    @property
    def examples_name(self) -> str:
        """File name of the examples beside the report."""
        return f"{self.pipeline.name}-examples.jpg"

    def figures(self) -> dict[str, Figure]:
        """File name → figure."""
        label = "rendered faces" if self.rendered else "real faces"
        drawn = [(row.title, row.variant, row.trials[0]) for row in self.rows]
        named: dict[str, Figure] = {}
        if self.columns:
            curves = [(title, variant, t.scores) for title, variant, t in drawn]
            curves += [(row.title, "", row.foreign) for row in self.foreign]
            named[f"{self.pipeline.name}-ced.png"] = ced_figure(
                curves,
                self.columns,
                self.protocol.failure_percent,
            )
        trained = [(title, variant, t.epochs) for title, variant, t in drawn if t.epochs]
        if trained:
            named[f"{self.pipeline.name}-training.png"] = training_figure(trained, label)
        return named

    @property
    def exemplar(self) -> ScoredTrial:
        """The trial whose examples are shown: the reference, or the first row where it has none."""
        named = [row for row in self.rows if row.variant == self.pipeline.reference]
        return (named or list(self.rows))[0].trials[0]

    def markdown(self, figures: Iterable[str]) -> str:
        """The report as Markdown, with `figures` (file names) beside it."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(shipped("reports/templates")),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        return environment.get_template("report.md.j2").render(report=self, figures=list(figures))


def read_report(
    plan_file: Path, registry: Registry, foreign: Sequence[PredictionFile] = ()
) -> Report:
    """The report of the plan in `plan_file` (plan.json), with other tools' predictions beside it.

    It has no rows where no trial is finished. Raises OdnbenchError if its trials follow unlike
    protocols, or a file of `foreign` has none of its columns' faces.
    """
    record, at_work = PlanRecord.load(plan_file), is_at_work(plan_file.parent)
    groups: dict[tuple[str, Any], list[ScoredTrial]] = defaultdict(list)
    missing = []
    for folder, title in record.folders(plan_file.parent):
        if not folder.finished:
            missing.append(Missing(title, str(folder.standing(at_work=at_work))))
            continue
        scored = _scored(folder, title, record.pipeline.columns, registry)
        unseeded = dataclasses.replace(scored.trial.spec, seed=0)
        groups[title.split(", seed ")[0], unseeded].append(scored)
    rows = tuple(
        Row(title, trials[0].trial.spec.variant, tuple(trials))
        for (title, _), trials in groups.items()
    )
    protocols = {t.trial.protocol for row in rows for t in row.trials}
    if len(protocols) > 1:
        names = ", ".join(sorted(protocol.name for protocol in protocols))
        raise OdnbenchError(f"{plan_file}: its trials follow unlike protocols ({names})")
    search = record.pipeline.search
    if search is not None:
        rows = tuple(sorted(rows, key=lambda row: row.trials[0].result.validation_nme_percent))
    published = tuple(registry.get(Published, name) for name in record.pipeline.published)
    own = next(iter(protocols), None)
    unlike = {
        table.name: differs
        for table in published
        if own and (differs := registry.get(Protocol, table.protocol).differs_from(own))
    }
    return Report(
        pipeline=record.pipeline,
        notes=record.notes,
        rows=rows,
        missing=tuple(missing),
        published=published,
        unlike=unlike,
        weights=tuple(
            registry.get(LossWeight, name) for name in (search.parameters if search else ())
        ),
        factors={
            name: variant.factors
            for name, variant in registry.all(Variant).items()
            if variant.factors is not None
        },
        saved_at=record.saved_at,
        rules={
            column: split.rule
            for column in record.pipeline.columns
            if (split := registry.split(column)[1]).rule
        },
        foreign=tuple(
            _foreign_row(file, rows[0].trials[0], record.pipeline.columns, registry)
            for file in foreign
            if rows
        ),
    )


def _scored(
    folder: TrialFolder, title: str, columns: Sequence[str], registry: Registry
) -> ScoredTrial:
    """A finished trial with its numbers."""
    trial, predictions = folder.trial, folder.predictions
    return ScoredTrial(
        dataclasses.replace(trial, title=title),
        folder.result,
        tuple(folder.epochs),
        {score.column: score for score in scores(predictions, trial, registry, columns)},
        occlusion_scores(predictions, registry, columns),
        folder.versions,
        folder.examples,
    )


def _foreign_row(
    file: PredictionFile, scored: ScoredTrial, columns: Iterable[str], registry: Registry
) -> Row:
    """`file` on the columns of which it has every face, against the annotations of a trial."""
    trial = scored.trial
    predictions = TrialFolder(scored.examples.parent).predictions
    found: dict[str, Score] = {}
    reasons = []
    for column in columns:
        truth = truth_in_predictions(column, predictions, trial, registry)
        if truth is None:
            continue
        try:
            (one,) = score_files([file], truth, trial.protocol, registry)
        except OdnbenchError as error:
            reasons.append(str(error))
            continue
        found[column] = one.score
    if not found:
        raise OdnbenchError(
            "\n".join(dict.fromkeys(reasons)) or f"{file.path}: the run has no faces to score it on"
        )
    return Row(file.name, "", (), found)


def write_markdown(report: Report, folder: Path) -> Path:
    """Writes the report and its figures into `folder`; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = report.figures()
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=150)
    shutil.copyfile(report.exemplar.examples, folder / report.examples_name)
    path = folder / f"{report.pipeline.name}.md"
    path.write_text(report.markdown(figures), encoding="utf-8")
    return path
