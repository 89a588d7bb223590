"""A report as JSON: every statistic with full precision, for programs.

docs/reports.md describes the keys. The JSON is strict: a number that is not finite, as the limit of
an interval may be, is null. Keys are sorted, so that equal reports give equal files. Errors and
their differences are in percent and percentage points; a row is named by its title.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odnbench.metrics.factorial import Effect
from odnbench.metrics.intervals import Interval
from odnbench.metrics.significance import Comparison
from odnbench.plan.conversion import leaves, public_name
from odnbench.plan.specs import TrialSpec
from odnbench.reports.disturbances import DisturbedRow
from odnbench.reports.provenance import protocol_of
from odnbench.reports.report import Report
from odnbench.reports.rows import Measured, Row, ScoredTrial
from odnbench.reports.search import Searched
from odnbench.reports.tabular import Line, compared_values

# Raised where a key changes its name, place or meaning; a new key leaves it as it is.
SCHEMA_VERSION = 1


def write_json(report: Report, folder: Path) -> Path:
    """Writes NAME.json into `folder`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.pipeline.name}.json"
    path.write_text(as_json(report), encoding="utf-8")
    return path


def as_json(report: Report) -> str:
    """The report as the text of a JSON file."""
    values = plain(values_of(report))
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n"


def values_of(report: Report) -> dict[str, Any]:
    """Key → value of the JSON file, in which dataclasses and rows still stand for themselves."""
    return {
        "schema_version": SCHEMA_VERSION,
        "pipeline": {
            "name": report.pipeline.name,
            "title": report.pipeline.title,
            "columns": report.pipeline.columns,
        },
        "planned_at": report.saved_at,
        "notes": report.notes,
        "is_rendered": report.rendered,
        "stand_ins": report.stand_ins,
        "versions": report.versions,
        "metrics": {
            metric.name: {"title": metric.title, "unit": metric.unit, "better": metric.better}
            for metric in report.metrics
        },
        "columns": {
            column: {"coverage": coverage, "rule": report.rules.get(column, "")}
            for column, coverage in report.columns.items()
        },
        "common": report.common,
        "reference": report.reference,
        "rows": [_row(row, report) for row in report.table],
        "missing": report.missing,
        "comparisons": {
            column: {title: compared_values(one) for title, one in compared.items()}
            for column, compared in report.comparisons.items()
        },
        "caveat": report.caveat,
        "few_faces": report.few_faces,
        **_of_modules(report),
        **_of_networks(report),
        "disturbed": {
            column: {kind: [_disturbed(one) for one in bench.rows] for kind, bench in kinds.items()}
            for column, kinds in report.disturbed.items()
        },
        "published": [
            {"table": table, "unlike": report.unlike.get(table.name, "")}
            for table in report.published
        ],
        "search": None if report.search is None else _search(report.search),
    }


def plain(value: Any) -> Any:
    """`value` as mappings, lists, texts, whole and finite numbers; see above."""
    if isinstance(value, Row):
        return value.title
    if isinstance(value, TrialSpec):
        return plain(leaves(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {public_name(field.name): plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(row: Row, report: Report) -> dict[str, Any]:
    """A row with its numbers, column by column, and its trials."""
    return {
        "title": row.title,
        "variant": row.variant,
        "is_reference": row.is_reference,
        "is_foreign": not row.trials,
        "is_trained": row.is_trained,
        "has_teacher": row in report.taught,
        "notes": row.notes,
        "lacks": row.lacks,
        "base": row.base,
        "parameters": row.parameters,
        "spec": row.trials[0].trial.spec if row.trials else None,
        "numbers": {
            column: {
                "protocol": protocol_of(row, column),
                "unlike": report.unlike_of(row, column),
                "values": {
                    metric.name: _measured(number)
                    for metric in report.metrics
                    if (number := row.number(metric.name, column)) is not None
                },
            }
            for column in report.columns
            if row.scores_of(column)
        },
        "trials": [_trial(trial) for trial in row.trials],
    }


def _measured(number: Measured) -> dict[str, Any]:
    """A number over seeds; `by_seed` has the order of the row's trials."""
    return {
        "mean": number.mean,
        "sd": number.deviation,
        "by_seed": number.values,
        "interval": number.interval,
    }


def _trial(scored: ScoredTrial) -> dict[str, Any]:
    return {
        "id": scored.trial.id,
        "title": scored.trial.title,
        "seed": scored.trial.spec.seed,
        "faces": scored.trial.faces,
        "coverage": scored.trial.coverage,
        "result": scored.result,
        "epochs": scored.epochs,
        "versions": scored.versions,
        "map_cells": scored.map_cells,
    }


def _of_modules(report: Report) -> dict[str, Any]:
    """The factorial of modules: its cells, and its effects on each column."""
    design = report.design
    return {
        "design": None
        if design is None
        else {
            "base": design.base,
            "differ_in": design.differ_in,
            "cells": [
                {"modules": sorted(modules), "row": row} for modules, row in design.cells.items()
            ],
        },
        "effects": {
            column: [_effect(effect) for effect in effects]
            for column, effects in report.factorial.items()
        },
    }


def _effect(effect: Effect) -> dict[str, Any]:
    found = effect.interval
    limits = (100 * found.estimate, 100 * found.low, 100 * found.high)
    return {
        "modules": effect.modules,
        "interval": Interval(*limits, found.level, found.seeds),
        "p": effect.p,
        "p_holm": effect.p_holm,
        "verdict": effect.text,
    }


def _of_networks(report: Report) -> dict[str, Any]:
    """What was measured of the networks: maps, terms of the objective, ranks, costs."""
    return {
        "maps": {
            column: [{"row": row, **plain(told), "map_is": told.map_is} for row, told in lines]
            for column, lines in report.maps.items()
        },
        "small_maps": report.small_maps,
        "pasted": {
            column: [
                {
                    "row": line.row,
                    "nme": _measured(line.nme),
                    "rise": line.rise,
                    "comparison": _compared(line.comparison),
                    "maps": line.told,
                }
                for line in lines
            ]
            for column, lines in report.pasted.items()
        },
        "terms": [
            {
                "row": terms.row,
                "terms": {
                    term.weight.name: {"share": term.share, "is_inert": term.is_inert}
                    for term in terms.terms
                },
            }
            for terms in report.terms
        ],
        "ranks": [
            {
                **plain(rank),
                "product_effective": rank.product_effective,
                "product_stable": rank.product_stable,
            }
            for rank in report.ranks
        ],
        "costs": report.costs,
        "without_cost": report.without_cost,
        "front": report.front,
        "other_bases": report.other_bases,
        "limits": report.limits,
        "main_column": report.main_column,
        "lead": report.lead and report.lead.row,
    }


def _disturbed(found: DisturbedRow) -> dict[str, Any]:
    """A row at each level of a disturbance; `area` is that under its curve, over their range."""
    return {
        "row": found.row,
        "levels": [
            {
                "level": at.level,
                "amount": at.amount,
                "nme": _measured(at.nme),
                "comparison": _compared(at.comparison),
                "maps": at.told,
            }
            for at in found.levels
        ],
        "lacks": found.lacks,
        "area": found.area and _measured(found.area),
        "area_comparison": _compared(found.area_comparison),
    }


def _compared(found: Comparison | None) -> Line | None:
    return compared_values(found) if found else None


def _search(search: Searched) -> dict[str, Any]:
    """A search: its record, and the decision by trainings with fresh seeds."""
    decision = search.decision
    return {
        "record": search.record,
        "titles": search.titles,
        "counts": search.counts,
        "confirmed": [
            {
                "number": one.number,
                "row": one.row,
                "searched_nme_percent": one.searched_nme_percent,
                "validation_nme_percent": one.validation_nme_percent,
            }
            for one in decision.confirmed
        ],
        "planned": decision.planned,
        "finished": decision.finished,
        "winner": decision.winner and decision.winner.number,
        "beats_defaults": decision.beats_defaults,
        "front": [point.number for point in search.front],
    }
