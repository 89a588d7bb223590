"""The numbers of a report as a table of pandas: `odnbench.numbers`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from odnbench.plan.registry import Registry
from odnbench.reports.read import read_report
from odnbench.reports.tabular import row_lines, trial_lines
from odnbench.results.plans import plan_files

if TYPE_CHECKING:
    import pandas as pd


def numbers(
    pipeline: str,
    *,
    storage: str | Path = "runs",
    by: Literal["row", "trial"] = "row",
    registry: Iterable[str | Path] = (),
) -> "pd.DataFrame":
    """Every number of the report of the pipeline's last plan below `storage`, with its protocol.

    by: "row" gives a line for each row, column and metric, with mean, interval and comparison;
    "trial" one for each trial, column and metric, and one for each trial without numbers. The
    columns are those of the report as CSV. Raises OdnbenchError where there are no results.
    """
    import pandas as pd

    (plan_file,) = plan_files(Path(storage), [pipeline])
    report = read_report(plan_file, Registry.load(map(Path, registry)))
    return pd.DataFrame(list((row_lines if by == "row" else trial_lines)(report)))
