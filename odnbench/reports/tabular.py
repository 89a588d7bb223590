"""A report as CSV: tidy lines with full precision, and the protocol of each number beside it.

`NAME.csv` has a line for each row, column and metric; `NAME-trials.csv` one for each trial, column
and metric, and one for each trial that has no numbers. A spreadsheet takes a cell that begins with
=, +, - or @ for a formula: a text that begins with one of these, with a tab, a carriage return or
an apostrophe gets an apostrophe in front, so that taking one away gives the text back. Numbers are
written as they are. An empty cell is a number that there is not, or that is not finite.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from odnbench.metrics.significance import Comparison
from odnbench.plan.entries import Metric
from odnbench.reports.disturbances import DisturbedRow
from odnbench.reports.provenance import Scalar, protocol_of
from odnbench.reports.report import Report
from odnbench.reports.rows import Measured, Row

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")

Line = Mapping[str, Scalar]


def write_csv(report: Report, folder: Path) -> Path:
    """Writes NAME.csv and NAME-trials.csv into `folder`; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.pipeline.name}.csv"
    path.write_text(as_csv(list(row_lines(report))), encoding="utf-8", newline="")
    trials = folder / f"{report.pipeline.name}-trials.csv"
    trials.write_text(as_csv(list(trial_lines(report))), encoding="utf-8", newline="")
    return path


def as_csv(lines: Sequence[Line]) -> str:
    """`lines` as CSV under the names of all their columns, in the order in which they appear."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(line.get(name)) for name in names] for line in lines)
    return text.getvalue()


def row_lines(report: Report) -> Iterator[Line]:
    """A line for each row, column and metric; `values` are those of the `seeds`, in their order.

    The NME on faces with occluders pasted on them has lines of its own, of which `occluders` says
    so; so has the NME at each level of a disturbance, with `disturbance` and `disturbance_level`,
    and the area under its curve over the range of the levels, as the metric "nme_area".
    """
    for row, column, metric, number in _numbers(report):
        compared = report.comparisons.get(column, {}).get(row.title)
        yield {
            **_begin(report, row, column, metric, "none"),
            **_of_number(number),
            **compared_values(compared if metric.name == "nme" else None),
            **protocol_of(row, column),
        }
    nme = next(metric for metric in report.metrics if metric.name == "nme")
    for column, lines in report.pasted.items():
        for line in lines:
            yield {
                **_begin(report, line.row, column, nme, "pasted"),
                **_of_number(line.nme),
                **compared_values(line.comparison),
                **protocol_of(line.row, column),
            }
    for column, benches in report.disturbed.items():
        for bench in benches.values():
            for found in bench.rows:
                if found.levels:
                    begin = _begin(report, found.row, column, nme, "none")
                    protocol = protocol_of(found.row, column)
                    for at in _at_levels(found):
                        yield {**begin, "disturbance": bench.kind, **at, **protocol}


def _at_levels(found: DisturbedRow) -> Iterator[Line]:
    """What the lines of a row say at each level of a disturbance, and of all levels together."""
    for at in found.levels:
        level = {"disturbance_level": at.level}
        yield {**level, **_of_number(at.nme), **compared_values(at.comparison)}
    if found.area is not None:
        area = {"metric": "nme_area", **_of_number(found.area)}
        yield {**area, **compared_values(found.area_comparison)}


def trial_lines(report: Report) -> Iterator[Line]:
    """A line for each trial, column and metric, then a line for each trial without numbers."""
    for row, column, metric, number in _numbers(report):
        scored = [trial for trial in row.trials if column in trial.scores]
        for trial, value in zip(scored, number.values, strict=bool(row.trials)):
            yield {
                "pipeline": report.pipeline.name,
                "row": row.title,
                "variant": row.variant,
                "trial": trial.trial.id,
                "seed": trial.trial.spec.seed,
                "state": "done",
                "reason": "",
                "column": column,
                **_of_metric(metric, row, column),
                "value": value,
                "best_epoch": trial.result.best_epoch,
                "validation_nme_percent": trial.result.validation_nme_percent,
                "parameters": trial.result.parameters,
                "precision": trial.result.precision,
                "device": trial.result.device,
                **protocol_of(row, column),
            }
    for missing in report.missing:
        yield {
            "pipeline": report.pipeline.name,
            "row": missing.title,
            "state": missing.standing.state,
            "reason": missing.standing.reason,
        }


def _numbers(report: Report) -> Iterator[tuple[Row, str, Metric, Measured]]:
    """Every number of the table."""
    for row in report.table:
        for column in report.columns:
            for metric in report.metrics:
                if (number := row.number(metric.name, column)) is not None:
                    yield row, column, metric, number


def _begin(
    report: Report, row: Row, column: str, metric: Metric, occluders: str
) -> dict[str, Scalar]:
    """What a line is about. `unlike` says why its number cannot be compared with the others of its
    column.
    """
    return {
        "pipeline": report.pipeline.name,
        "row": row.title,
        "variant": row.variant,
        "is_reference": row.is_reference,
        "is_foreign": not row.trials,
        "column": column,
        "occluders": occluders,
        "disturbance": None,
        "disturbance_level": None,
        "unlike": report.unlike_of(row, column),
        **_of_metric(metric, row, column),
        "seed_count": len(row.trials) or None,
        "seeds": ";".join(str(trial.trial.spec.seed) for trial in row.trials),
    }


def _of_number(number: Measured) -> Line:
    interval = number.interval
    return {
        "mean": number.mean,
        "sd": number.deviation,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "level": None if interval is None else interval.level,
        "values": ";".join(map(repr, number.values)),
    }


def _of_metric(metric: Metric, row: Row, column: str) -> Line:
    threshold = row.scores_of(column)[0].protocol.failure_percent
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "better": metric.better,
        "threshold_percent": threshold if metric.per_threshold else None,
    }


def compared_values(found: Comparison | None) -> Line:
    """A comparison with the reference, differences in percentage points; None for each value where
    there is no comparison.
    """
    if found is None:
        names = ("reference", "difference", "difference_low", "difference_high",
                 "difference_percent", "p", "p_holm", "effect_d", "verdict", "caveat")  # fmt: skip
        return dict.fromkeys(names)
    return {
        "reference": found.reference,
        "difference": 100 * found.difference,
        "difference_low": 100 * found.interval.low,
        "difference_high": 100 * found.interval.high,
        "difference_percent": found.percent,
        "p": found.p,
        "p_holm": found.p_holm,
        "effect_d": found.effect,
        "verdict": found.text,
        "caveat": found.caveat,
    }


def _cell(value: Scalar) -> str:
    """The text of a cell; see above for texts that a spreadsheet would compute."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return repr(value)
