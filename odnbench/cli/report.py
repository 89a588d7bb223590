"""`odnbench report`: tables and figures of what was run."""

from collections.abc import Sequence
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
    needs,
    plans_of,
    readable,
    results_in,
    say,
)
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.datasets.album import Album
    from odnbench.plan.registry import Registry
    from odnbench.reports.report import Report
    from odnbench.reports.templating import Templates
    from odnbench.scoring.prediction_files import PredictionFile


def report_command(
    pipelines: PipelinesArgument = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="A format of the registry: `odnbench registry list formats`; several may be "
            "given. [default: markdown]",
        ),
    ] = None,
    storage: StorageOption = "runs",
    from_mlflow: Annotated[
        str,
        typer.Option(
            metavar="URI", help="Read the results from a tracking server, in place of --storage."
        ),
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports/out"),
    templates: Annotated[
        Path | None, typer.Option(help="Folder whose templates replace the shipped ones.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Predictions of another tool, as a row and a CED curve."),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(metavar="VARIANT", help="The row that others are compared with."),
    ] = "",
    with_faces: Annotated[
        bool,
        typer.Option("--with-faces", help="Show real faces of the data sets, not only points."),
    ] = False,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Render tables and figures of what was run."""
    from odnbench.plan.entries import Format
    from odnbench.reports.templating import Templates
    from odnbench.scoring.prediction_files import read_prediction_files

    registry = load_registry(registry_folders)
    wanted = list(dict.fromkeys(formats or ["markdown"]))
    for name in wanted:
        registry.get(Format, name)
    used = Templates(templates)
    used.check(registry)
    check_writable(out, "--out")
    foreign = read_prediction_files(others or [])
    plans = _fetched(from_mlflow, pipelines) if from_mlflow else plans_of(
        results_in(storage), pipelines
    )  # fmt: skip
    faults: list[Exception] = []
    for plan_file in readable(plans):
        report = _read(plan_file, registry, foreign, reference, is_alone=len(plans) == 1)
        for missing in report.missing:
            if missing.standing.state == "damaged":
                say(f"no numbers: {missing.title}: {missing.standing}")
        if not report.rows:
            say(f"{plan_file}: none of its trials is finished yet")
            continue
        album = album_of(report, registry, data_root_of(data_root), with_faces)
        report = replace(report, picture_of=album.tile)
        faults += _write(report, wanted, out, registry, used)
    if bugs := [fault for fault in faults if not isinstance(fault, OdnbenchError)]:
        raise bugs[0]
    if faults:
        raise OdnbenchError("\n".join(map(str, faults)))


def album_of(
    report: "Report", registry: "Registry", data_root: Path | None, with_real: bool
) -> "Album":
    """The pictures of the report's test faces that may be shown."""
    from odnbench.datasets.album import Album
    from odnbench.datasets.sources import FaceSource

    trial = report.trials[0].trial
    source = FaceSource(trial.spec.data, registry, data_root, cache_folder())
    splits = trial.spec.data.test
    rendered = [split for split in splits if trial.tested_on_rendered(split)]
    return Album(source, splits, rendered, with_real)


def _fetched(uri: str, pipelines: Sequence[str] | None) -> list[Path]:
    """The plan files of what the tracking server at `uri` holds, brought into the cache."""
    with needs("mlflow", "install it to read from it"):
        from odnbench.tracking.fetch import fetch

    return fetch(uri, pipelines or (), cache_folder(), tell=say)


def _read(
    plan_file: Path,
    registry: "Registry",
    foreign: Sequence["PredictionFile"],
    reference: str,
    *,
    is_alone: bool,
) -> "Report":
    """The report of a plan. Files of --with need not belong to every pipeline that has results;
    is_alone: whether there is but one.
    """
    from odnbench.reports.read import read_report

    try:
        return read_report(plan_file, registry, foreign, reference)
    except OdnbenchError as error:
        if not foreign or is_alone:
            raise
        say(f"{plan_file}: without --with: {error}")
        return read_report(plan_file, registry, compared_with=reference)


def _write(
    report: "Report",
    formats: Sequence[str],
    out: Path,
    registry: "Registry",
    templates: "Templates",
) -> list[Exception]:
    """Writes the report in each of `formats`. Returns what kept some from being written."""
    from odnbench.reports.formats import write_report

    faults: list[Exception] = []
    for name in formats:
        try:
            path = write_report(report, name, out, registry, templates)
        except Exception as error:  # also a bug: the other formats are written all the same
            faults.append(error)
            if len(formats) > 1:
                say(f"{report.pipeline.name}: not written as {name}: {error}")
        else:
            counts = f"trials: {len(report.trials)}, without numbers: {len(report.missing)}"
            say(f"{path}  ({counts})")
    return faults
