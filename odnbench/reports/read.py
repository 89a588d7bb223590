"""From trial folders to a report: each finished trial is scored under its own protocol.

A report knows nothing of training: it reads predictions. What is rendered, partial or missing
stands next to the number that it concerns.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import LossWeight, Metric, Published, Variant
from odnbench.plan.protocols import Protocol
from odnbench.plan.reference import Reference
from odnbench.plan.registry import Registry
from odnbench.reports.report import Report
from odnbench.reports.rows import Missing, Row, ScoredTrial
from odnbench.reports.search import Searched
from odnbench.reports.search_rows import read_search, read_search_rows
from odnbench.reports.trials import TrialReader, numbers_of, rows_of
from odnbench.results.plans import PlanRecord
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.score import score_files
from odnbench.scoring.scores import Score
from odnbench.scoring.truth import truth_in_predictions


def read_report(
    plan_file: Path, registry: Registry, foreign: Sequence[PredictionFile] = ()
) -> Report:
    """The report of the plan in `plan_file` (plan.json), with other tools' predictions beside it.

    It has no rows where no trial is finished. Raises OdnbenchError if its trials follow unlike
    protocols, or a file of `foreign` has the faces of none of its columns.
    """
    record = PlanRecord.load(plan_file)
    pipeline, notes, search_record = record.pipeline, record.notes, None
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
            notes = (*notes, f"no row is compared with another: {error}")
    titles = dict(zip(record.trials, record.titles, strict=True))
    reader = TrialReader(plan_file.parent, pipeline.columns, registry)
    search: Searched | None = None
    if search_record is not None:
        found = read_search_rows(search_record, titles, reader)
        search, rows, missing = found.search, found.rows, found.missing
    else:
        finished, lacking = reader.read(titles)
        rows = rows_of(list(finished.values()), reference, registry)
        missing = tuple(Missing(titles[i], standing) for i, standing in lacking.items())
    protocols = {scored.trial.protocol for row in rows for scored in row.trials}
    if len(protocols) > 1:
        names = ", ".join(sorted(protocol.name for protocol in protocols))
        raise OdnbenchError(f"{plan_file}: its trials follow unlike protocols ({names})")
    published = tuple(registry.get(Published, name) for name in pipeline.published)
    own = next(iter(protocols), None)
    unlike = {
        table.name: differs
        for table in published
        if own and (differs := registry.get(Protocol, table.protocol).differs_from(own))
    }
    return Report(
        pipeline=pipeline,
        notes=notes,
        rows=rows,
        missing=missing,
        published=published,
        unlike=unlike,
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
        foreign=tuple(
            _foreign_row(file, rows[0].trials[0], pipeline.columns, registry)
            for file in foreign
            if rows
        ),
        search=search,
    )


def _foreign_row(
    file: PredictionFile, scored: ScoredTrial, columns: Iterable[str], registry: Registry
) -> Row:
    """The row of `file` on columns of which it has all faces, by the annotations of a trial."""
    trial, predictions = scored.trial, scored.folder.predictions
    found: dict[str, Score] = {}
    notes: dict[str, None] = {}
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
        notes |= dict.fromkeys(one.notes)
    if not found:
        raise OdnbenchError(
            "\n".join(dict.fromkeys(reasons)) or f"{file.path}: the run has no faces to score it on"
        )
    return Row(file.name, "", (), numbers_of([found], registry), found, notes=tuple(notes))
