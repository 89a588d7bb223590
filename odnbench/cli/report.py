"""`odnbench report`: tables and figures of what was run."""

from pathlib import Path
from typing import Annotated

import typer

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import load_registry, plans_of, readable, results_in, say
from odnbench.errors import OdnbenchError


def report_command(
    pipelines: PipelinesArgument = None,
    format: Annotated[
        str, typer.Option(help="A format of the registry: `odnbench registry list formats`.")
    ] = "markdown",
    storage: StorageOption = "runs",
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports/out"),
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Predictions of another tool, as a row and a CED curve."),
    ] = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Render tables and figures of what was run."""
    from odnbench.plan.entries import Format
    from odnbench.reports.read import read_report
    from odnbench.scoring.prediction_files import read_prediction_files

    registry = load_registry(registry_folders)
    registry.get(Format, format)
    check_writable(out, "--out")
    foreign = read_prediction_files(others or [])
    plans = plans_of(results_in(storage), pipelines)
    for plan_file in readable(plans):
        try:
            report = read_report(plan_file, registry, foreign)
        except OdnbenchError as error:
            # The files of --with need not belong to every pipeline that has results.
            if not foreign or len(plans) == 1:
                raise
            say(f"{plan_file}: without --with: {error}")
            report = read_report(plan_file, registry)
        for missing in report.missing:
            if missing.standing.state == "damaged":
                say(f"no numbers: {missing.title}: {missing.standing}")
        if not report.rows:
            say(f"{plan_file}: none of its trials is finished yet")
            continue
        path = registry.build(Format, format, report=report, folder=out)
        say(f"{path}  (trials: {len(report.trials)}, without numbers: {len(report.missing)})")
