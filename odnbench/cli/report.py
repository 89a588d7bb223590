"""`odnbench report`: tables and figures of what was run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.terminal import load_registry, plans_of, results_in, say
from odnbench.errors import OdnbenchError


class Format(StrEnum):
    """Formats of a report."""

    markdown = "markdown"


def report_command(
    pipelines: PipelinesArgument = None,
    format: Annotated[Format, typer.Option(help="Format of the report.")] = Format.markdown,
    storage: StorageOption = "runs",
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports/rendered"),
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Predictions of another tool, as a row and a CED curve."),
    ] = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Render tables and figures of what was run."""
    from odnbench.reports.report import read_report, write_markdown
    from odnbench.scoring.prediction_files import read_prediction_files

    registry = load_registry(registry_folders)
    foreign = read_prediction_files(others or [])
    plans = plans_of(results_in(storage), pipelines)
    for plan_file in plans:
        try:
            report = read_report(plan_file, registry, foreign)
        except OdnbenchError as error:
            # The files of --with need not belong to every pipeline that has results.
            if not foreign or len(plans) == 1:
                raise
            say(f"{plan_file}: without --with: {error}")
            report = read_report(plan_file, registry)
        if not report.rows:
            say(f"{plan_file}: none of its trials is finished yet")
            continue
        path = write_markdown(report, out)
        say(f"{path}  (trials: {len(report.trials)}, without numbers: {len(report.missing)})")
