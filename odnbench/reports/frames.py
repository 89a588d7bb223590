"""The numbers of a report as a table of pandas: `odnbench.numbers`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from odnbench.plan.paths import path_of
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.reports.provenance import Scalar
from odnbench.reports.read import read_report
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.reports.tabular import row_lines, trial_lines
from odnbench.results.plans import plan_files
from odnbench.scoring.scores import Score

if TYPE_CHECKING:
    import pandas as pd


def numbers(
    pipeline: str,
    *,
    storage: str | Path = "runs",
    by: Literal["row", "trial", "face"] = "row",
    registry: Iterable[str | Path] = (),
) -> "pd.DataFrame":
    """Every number of the report of the pipeline's last plan below `storage`, with its protocol.

    by: "row" gives a line for each row, column and metric, with mean, interval and comparison;
    "trial" one for each trial, column and metric, and one for each trial without numbers: these
    have the columns of the report as CSV. "face" gives the error of each test face, in percent, by
    each trial and each file of another tool. Raises OdnbenchError where there are no results.
    """
    import pandas as pd

    (plan_file,) = plan_files(path_of(storage), [pipeline])
    report = read_report(plan_file, Registry.load(registry))
    lines = {"row": row_lines, "trial": trial_lines, "face": face_lines}[by]
    return pd.DataFrame(list(lines(report)))


def face_lines(report: Report) -> Iterator[Mapping[str, Scalar]]:
    """A line for each row, trial, column and test face."""
    for row in report.table:
        for column in report.columns:
            for trial, score in _scores(row, column):
                begin = {
                    "row": row.title,
                    "variant": row.variant,
                    "trial": trial.id if trial else None,
                    "seed": trial.spec.seed if trial else None,
                    "column": column,
                    "protocol": score.protocol.name,
                    "is_rendered": score.coverage.rendered,
                }
                for face, nme in zip(score.face_ids, score.nme.tolist(), strict=True):
                    yield {**begin, "face": face, "nme_percent": 100 * nme}


def _scores(row: Row, column: str) -> list[tuple[Trial | None, Score]]:
    """The scores on `column`, each with its trial; None for a file of another tool."""
    if not row.trials:
        return [(None, row.foreign[column])] if column in row.foreign else []
    return [(one.trial, one.scores[column]) for one in row.trials if column in one.scores]
