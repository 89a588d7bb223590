"""From trial folders to a report: each finished trial is scored under its own protocol.

A report knows nothing of training: it reads predictions. What is rendered, partial or missing
stands next to the number that it concerns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import LossWeight, Metric, Published, Variant
from odnbench.plan.protocols import Protocol
from odnbench.plan.reference import (
    FIRST_OF_SEVERAL,
    NOT_COMPARED,
    Reference,
    resolved_reference,
)
from odnbench.plan.registry import Registry
from odnbench.reports.report import Report
from odnbench.reports.rows import Missing, Row, ScoredTrial
from odnbench.reports.search import Searched
from odnbench.reports.search_rows import read_search, read_search_rows
from odnbench.reports.trials import TrialReader, numbers_of, row_that_lacks, rows_of, with_intervals
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord
from odnbench.scoring.pairing import told
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.score import score_files
from odnbench.scoring.scores import Score
from odnbench.scoring.truth import truth_in_predictions


def read_report(
    plan_file: Path,
    registry: Registry,
    foreign: Sequence[PredictionFile] = (),
    compared_with: str = "",
) -> Report:
    """The report of the plan in `plan_file` (plan.json), with other tools' predictions beside it.

    compared_with: the variant that the other rows are compared with, in place of the pipeline's
    reference. The report has no rows where no trial is finished. Raises OdnbenchError if a file of
    `foreign` has faces of none of its columns, and where `compared_with` is not one of the rows.
    """
    record = PlanRecord.load(plan_file)
    pipeline, notes, search_record = record.pipeline, record.notes, None
    if compared_with:
        pipeline = replace(pipeline, reference=compared_with)
        told = NOT_COMPARED, FIRST_OF_SEVERAL
        notes = tuple(note for note in notes if not note.startswith(told))
    if pipeline.search is not None:
        try:
            search_record = read_search(plan_file.parent, record.trials)
        except OdnbenchError as error:
            notes = (*notes, f"without what the search has recorded: {error}")
    reference: Reference | None = None
    if pipeline.reference:
        try:
            reference = Reference(pipeline.reference, registry)
        except OdnbenchError as error:  # results of a registry that is not there any more
            if compared_with:
                raise
            notes = (*notes, f"{NOT_COMPARED}{error}")
    titles = dict(zip(record.trials, record.titles, strict=True))
    reader = TrialReader(plan_file.parent, pipeline.columns, registry, pipeline.disturbed)
    search: Searched | None = None
    if search_record is not None:
        found = read_search_rows(search_record, titles, reader)
        search, rows, missing = found.search, found.rows, found.missing
    else:
        finished, lacking = reader.read(titles)
        if compared_with and reference is not None and finished:
            specs = [scored.trial.spec for scored in finished.values()]
            reference = Reference(resolved_reference(compared_with, specs, registry), registry)
            if fault := reference.fault(specs):
                raise OdnbenchError(f"{pipeline.name}: {fault}")
        rows = with_intervals(rows_of(list(finished.values()), reference, registry))
        missing = tuple(
            Missing(titles[i], standing, row_that_lacks(TrialFolder(plan_file.parent / i), rows))
            for i, standing in lacking.items()
        )
    published = tuple(registry.get(Published, name) for name in pipeline.published)
    report = Report(
        pipeline=pipeline,
        notes=notes,
        rows=rows,
        missing=missing,
        published=published,
        unlike={},
        metrics=tuple(registry.all(Metric).values()),
        penalties=tuple(registry.all(LossWeight).values()),
        factors={
            name: variant.factors
            for name, variant in registry.all(Variant).items()
            if variant.factors is not None
        },
        saved_at=record.saved_at,
        rules={
            column: split.rule
            for column in pipeline.columns
            if (split := registry.split(column)[1]).rule
        },
        search=search,
        protocols=registry.all(Protocol),
    )
    return _beside_others(report, foreign, registry) if rows else report


def _beside_others(report: Report, files: Sequence[PredictionFile], registry: Registry) -> Report:
    """The report with what other tools predict, and what published tables differ in."""
    own = report.exemplar_row.trials[0]
    unlike = {
        table.name: differs
        for table in report.published
        if (differs := registry.get(Protocol, table.protocol).differs_from(own.trial.protocol))
    }
    rows = []
    taken = {row.title for row in report.rows}  # rows are told apart by their titles
    for file in files:
        row = _foreign_row(file, own, report.pipeline.columns, registry)
        while row.title in taken:
            row = replace(row, title=f"{row.title} (file)")
        taken.add(row.title)
        rows.append(row)
    return replace(report, unlike=unlike, foreign=with_intervals(rows))


def _foreign_row(
    file: PredictionFile, scored: ScoredTrial, columns: Iterable[str], registry: Registry
) -> Row:
    """The row of `file` on columns of which it has faces, by the annotations of a trial."""
    trial, predictions = scored.trial, scored.folder.predictions
    found: dict[str, Score] = {}
    notes: dict[str, None] = {}
    lacks: dict[str, str] = {}
    for column in columns:
        truth = truth_in_predictions(column, predictions, trial, registry)
        if truth is None:
            continue
        try:
            (one,) = score_files([file], truth, trial.protocol, registry, allow_partial=True)
        except OdnbenchError as error:
            lacks[column] = str(error)
            continue
        found[column] = one.score
        notes |= dict.fromkeys(one.notes)
        if one.paired.left_out:
            lacks[column] = told(one.paired.left_out, column)
    if not found:
        reasons = dict.fromkeys(lacks.values())
        raise OdnbenchError(
            "\n".join(reasons) or f"{file.path}: the run has no faces to score it on"
        )
    numbers = numbers_of([found], registry)
    return Row(file.name, "", (), numbers, found, notes=tuple(notes), lacks=lacks)
