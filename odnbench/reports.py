"""Reports: tables and figures from trial folders, rendered through reports/templates/.

A report knows nothing of training. It reads predictions, scores them under their protocol, and sets
them beside published figures; what is rendered, partial or missing stands next to the number it
concerns.
"""

import dataclasses
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import jinja2
from matplotlib.figure import Figure

from odnbench.conversion import get_at
from odnbench.errors import OdnbenchError
from odnbench.figures import ced_figure, training_figure
from odnbench.metrics.scores import Score, scores
from odnbench.pipelines import FIELDS, Pipeline
from odnbench.registry import LossWeight, Published, Registry
from odnbench.shipped import shipped
from odnbench.specs import BoxRule, Coverage, Protocol, Trial
from odnbench.sweep import PlanRecord
from odnbench.trials import Epoch, Result, TrialFolder


@dataclass(frozen=True)
class ScoredTrial:
    """A finished trial with its numbers: column → score."""

    trial: Trial
    result: Result
    epochs: tuple[Epoch, ...]
    scores: Mapping[str, Score]
    versions: Mapping[str, str]
    examples: Path  # picture of test faces with predictions


@dataclass(frozen=True)
class Row:
    """One line of the table: the trials that differ in nothing but the seed."""

    title: str
    variant: str
    trials: tuple[ScoredTrial, ...]

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.trials)

    @property
    def parameters(self) -> int:
        """Of the network."""
        return self.trials[0].result.parameters

    def nme(self, column: str) -> str:
        """Mean NME in percent: ± the sd over seeds, or ± 1.96 standard errors over faces for one
        seed.
        """
        found = [t.scores[column] for t in self.trials if column in t.scores]
        if not found:
            return "–"
        values = [score.nme_percent for score in found]
        if len(values) > 1:
            return f"{fmean(values):.2f} ± {stdev(values):.2f}"
        return f"{values[0]:.2f} ± {1.96 * found[0].standard_error_percent:.2f}"

    def failures(self, column: str) -> str:
        """Failure rate in percent, mean over seeds."""
        found = [t.scores[column].failure_percent for t in self.trials if column in t.scores]
        return f"{fmean(found):.1f}" if found else "–"

    def auc(self, column: str) -> str:
        """Area under the CED in percent, mean over seeds."""
        found = [t.scores[column].auc_percent for t in self.trials if column in t.scores]
        return f"{fmean(found):.1f}" if found else "–"


@dataclass(frozen=True)
class Missing:
    """A trial of the plan that has no numbers, and why."""

    title: str
    reason: str


@dataclass(frozen=True)
class Report:
    """All that the template shows of one pipeline."""

    pipeline: Pipeline
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]
    published: tuple[Published, ...]
    weights: tuple[LossWeight, ...]  # that a search varied
    saved_at: str

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
    def paper(self) -> dict[str, dict[str, float]]:
        """Split → variant → published figure, for the variants that have a name of ours."""
        figures: dict[str, dict[str, float]] = defaultdict(dict)
        for table in self.published:
            for row in table.rows:
                for column, value in row.values.items() if row.variant else ():
                    figures[f"{table.dataset}/{column}"].setdefault(row.variant, value)
        return dict(figures)

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
            named[f"{self.pipeline.name}-ced.png"] = ced_figure(
                [(title, variant, t.scores) for title, variant, t in drawn],
                self.columns,
                self.protocol.failure_percent,
            )
        curves = [(title, variant, t.epochs) for title, variant, t in drawn if t.epochs]
        if curves:
            named[f"{self.pipeline.name}-training.png"] = training_figure(curves, label)
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


def read_report(plan_file: Path, registry: Registry) -> Report:
    """The report of the plan in `plan_file` (plan.json).

    It has no rows where no trial is finished. Raises OdnbenchError if its trials follow unlike
    protocols.
    """
    record = PlanRecord.load(plan_file)
    groups: dict[tuple[str, Any], list[ScoredTrial]] = defaultdict(list)
    missing = []
    for identity, title in zip(record.trials, record.titles, strict=True):
        folder = TrialFolder(plan_file.parent / identity)
        if not folder.finished:
            missing.append(Missing(title, _why(folder)))
            continue
        trial = folder.trial
        found = scores(folder.predictions, trial, registry, record.pipeline.columns)
        scored = ScoredTrial(
            dataclasses.replace(trial, title=title),
            folder.result,
            tuple(folder.epochs),
            {score.column: score for score in found},
            folder.versions,
            folder.examples,
        )
        unseeded = dataclasses.replace(trial.spec, seed=0)
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
    return Report(
        pipeline=record.pipeline,
        notes=record.notes,
        rows=rows,
        missing=tuple(missing),
        published=tuple(registry.get(Published, name) for name in record.pipeline.published),
        weights=tuple(
            registry.get(LossWeight, name) for name in (search.parameters if search else ())
        ),
        saved_at=record.saved_at,
    )


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


def plan_files(storage: Path, pipelines: Sequence[str]) -> list[Path]:
    """The plans below `storage`, of `pipelines` or of all; OdnbenchError where there are none."""
    known = {path.parent.name: path for path in sorted(storage.glob("*/plan.json"))}
    if not known:
        raise OdnbenchError(f"no results below {storage}; run `odnbench run ablation` first")
    if absent := [name for name in pipelines if name not in known]:
        raise OdnbenchError(
            f"no results of '{absent[0]}' below {storage}; there are results of {', '.join(known)}"
        )
    return [path for name, path in known.items() if not pipelines or name in pipelines]


def _why(folder: TrialFolder) -> str:
    if not (folder.path / "status.json").is_file():
        return "not started"
    state, reason = folder.status
    return f"{state}: {reason}" if reason else state
