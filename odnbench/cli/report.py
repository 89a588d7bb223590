"""`odnbench report`: tables and figures of what was run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.options import (
    DataRootOption,
    PipelinesArgument,
    RegistryOption,
    StorageOption,
)
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import (
    cache_folder,
    data_root_of,
    load_registry,
    plans_of,
    readable,
    results_in,
    say,
)
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry

if TYPE_CHECKING:
    from odnbench.datasets.album import Album
    from odnbench.reports.report import Report


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
    with_faces: Annotated[
        bool,
        typer.Option("--with-faces", help="Show real faces of the data sets, not only points."),
    ] = False,
    data_root: DataRootOption = None,
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
        album = album_of(report, registry, data_root_of(data_root), with_faces)
        report = replace(report, picture_of=album.tile)
        path = registry.build(Format, format, report=report, folder=out)
        say(f"{path}  (trials: {len(report.trials)}, without numbers: {len(report.missing)})")


def album_of(
    report: "Report", registry: Registry, data_root: Path | None, with_real: bool
) -> "Album":
    """The pictures of the report's test faces that may be shown."""
    from odnbench.datasets.album import Album
    from odnbench.datasets.sources import FaceSource

    trial = report.trials[0].trial
    source = FaceSource(trial.spec.data, registry, data_root, cache_folder())
    splits = trial.spec.data.test
    rendered = [split for split in splits if trial.tested_on_rendered(split)]
    return Album(source, splits, rendered, with_real)
