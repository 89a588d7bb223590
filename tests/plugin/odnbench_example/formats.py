"""A report as a plain table of numbers."""

import csv
from pathlib import Path

from odnbench.reports.report import Report


def write_csv(report: Report, folder: Path) -> Path:
    """A line for each row, column and metric of `report`: mean over seeds, and their number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.pipeline.name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["row", "column", "metric", "mean", "seeds"])
        for row in report.table:
            for metric, by_column in row.numbers.items():
                for column, number in by_column.items():
                    lines.writerow([row.title, column, metric, number.mean, len(number.values)])
    return path
