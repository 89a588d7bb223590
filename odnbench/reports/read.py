"""From trial folders to a report: each finished trial is scored under its own protocol.

A report knows nothing of training: it reads predictions. What is rendered, partial or missing
stands next to the number that it concerns.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Backbone, LossWeight, Metric, Published, Variant
from odnbench.plan.pipelines import Search
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec
from odnbench.plan.titles import distinguishing_keys, has_paper_weights, trial_title, weights_title
from odnbench.reports.report import Report
from odnbench.reports.rows import (
    Base,
    Measured,
    Missing,
    Row,
    ScoredTrial,
    Tested,
    errors_of,
    nme_interval,
)
from odnbench.results.folder import TrialFolder, damaged
from odnbench.results.plans import PlanRecord, Work
from odnbench.results.predictions import Predictions
from odnbench.scoring.occlusion import map_cells, occlusion_scores
from odnbench.scoring.prediction_files import PredictionFile
from odnbench.scoring.score import score_files
from odnbench.scoring.scores import Score, main_values, scores
from odnbench.scoring.truth import truth_in_predictions


def read_report(
    plan_file: Path, registry: Registry, foreign: Sequence[PredictionFile] = ()
) -> Report:
    """The report of the plan in `plan_file` (plan.json), with other tools' predictions beside it.

    It has no rows where no trial is finished. Raises OdnbenchError if its trials follow unlike
    protocols, or a file of `foreign` has the faces of none of its columns.
    """
    record, work = PlanRecord.load(plan_file), Work.in_folder(plan_file.parent)
    pipeline = record.pipeline
    finished: list[ScoredTrial] = []
    missing = []
    for folder, title in record.folders(plan_file.parent):
        standing = work.standing(folder)
        if standing.state == "done":
            try:
                predictions, pasted = folder.predictions, folder.pasted
            except OdnbenchError as error:  # the marker of an earlier version vouches for nothing
                standing = damaged(str(error))
        if standing.state != "done":
            missing.append(Missing(title, standing))
            continue
        finished.append(_score_trial(folder, predictions, pasted, pipeline.columns, registry))
    protocols = {scored.trial.protocol for scored in finished}
    if len(protocols) > 1:
        names = ", ".join(sorted(protocol.name for protocol in protocols))
        raise OdnbenchError(f"{plan_file}: its trials follow unlike protocols ({names})")
    rows = _rows(finished, pipeline.reference, pipeline.search, registry)
    published = tuple(registry.get(Published, name) for name in pipeline.published)
    own = next(iter(protocols), None)
    unlike = {
        table.name: differs
        for table in published
        if own and (differs := registry.get(Protocol, table.protocol).differs_from(own))
    }
    return Report(
        pipeline=pipeline,
        notes=record.notes,
        rows=rows,
        missing=tuple(missing),
        published=published,
        unlike=unlike,
        metrics=tuple(registry.all(Metric).values()),
        weights=tuple(registry.get(LossWeight, name) for name in _weights_of(pipeline.search)),
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
    )


def _score_trial(
    folder: TrialFolder,
    predictions: Predictions,
    pasted: Predictions | None,
    columns: Sequence[str],
    registry: Registry,
) -> ScoredTrial:
    """A finished trial with its numbers."""
    trial = folder.trial

    def tested(predictions: Predictions) -> Tested:
        return Tested(
            {score.column: score for score in scores(predictions, trial, registry, columns)},
            occlusion_scores(predictions, registry, columns),
        )

    return ScoredTrial(
        trial,
        folder,
        folder.result,
        tuple(folder.epochs),
        tested(predictions),
        folder.versions,
        None if pasted is None else tested(pasted),
        map_cells(predictions),
    )


def _rows(
    finished: Sequence[ScoredTrial], reference: str, search: Search | None, registry: Registry
) -> tuple[Row, ...]:
    """A row for each group of trials that differ in nothing but the seed.

    The rows of a search are sorted by their error on validation faces.
    """
    groups: dict[TrialSpec, list[ScoredTrial]] = defaultdict(list)
    for scored in finished:
        groups[dataclasses.replace(scored.trial.spec, seed=0)].append(scored)
    keys = [key for key in distinguishing_keys(groups) if key != "seed"]
    searched = _weights_of(search)
    is_single = sum(spec.variant == reference for spec in groups) == 1
    rows = []
    for spec, trials in groups.items():
        row = Row(
            title=weights_title(spec, registry, searched)
            if search
            else trial_title(spec, registry, keys),
            variant=spec.variant,
            trials=tuple(trials),
            numbers=_numbers([trial.scores for trial in trials], registry),
            is_reference=is_single and spec.variant == reference,
            has_paper_weights=bool(search) and has_paper_weights(spec, registry, searched),
            base=_base_of(spec, registry),
        )
        rows.append(row)
    if search is not None:
        rows.sort(key=lambda row: row.trials[0].result.validation_nme_percent)
    return tuple(rows)


def _base_of(spec: TrialSpec, registry: Registry) -> Base | None:
    """What carries the modules of a network; None where `registry` does not know its entries."""
    try:
        variant = registry.get(Variant, spec.variant)
        backbone = registry.get(Backbone, spec.model.backbone)
    except OdnbenchError:  # results of a registry that is not there any more
        return None
    attach = spec.model.attach
    options = dict(variant.options)
    return Base(backbone.name, attach, backbone.layer(attach), variant.network, options)


def _numbers(
    by_seed: Sequence[Mapping[str, Score]], registry: Registry
) -> dict[str, dict[str, Measured]]:
    """Metric → column → number, from column → score of each seed; the NME has an interval."""
    numbers: dict[str, dict[str, Measured]] = defaultdict(dict)
    for column in dict.fromkeys(column for one in by_seed for column in one):
        found = [one[column] for one in by_seed if column in one]
        values = [main_values(score, registry) for score in found]
        errors = errors_of(found)
        assert errors is not None
        for name in values[0]:
            interval = nme_interval(errors) if name == "nme" else None
            numbers[name][column] = Measured(tuple(one[name] for one in values), interval)
    return dict(numbers)


def _weights_of(search: Search | None) -> tuple[str, ...]:
    """The names of the loss weights that `search` varies."""
    return search.parameters if search else ()


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
    return Row(file.name, "", (), _numbers([found], registry), found, notes=tuple(notes))
