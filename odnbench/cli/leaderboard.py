"""`odnbench leaderboard`: what was run beside other tools' files and published figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as TerminalTable
from rich.text import Text

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.terminal import console, load_registry, plain, plans_of, readable, results_in, say
from odnbench.errors import OdnbenchError, unknown

if TYPE_CHECKING:
    from odnbench.plan.registry import Registry
    from odnbench.reports.document import Document, Table
    from odnbench.reports.report import Report
    from odnbench.scoring.prediction_files import PredictionFile

_STYLES = {"best": "bold", "second": "underline", "": ""}


def leaderboard_command(
    pipelines: PipelinesArgument = None,
    dataset: Annotated[str, typer.Option(help="A data set, as 300w; default: all.")] = "",
    split: Annotated[str, typer.Option(help="A split, as full or 300w/full; default: all.")] = "",
    format: Annotated[
        str,
        typer.Option(help="terminal, csv, json, or a format of the registry that has documents."),
    ] = "terminal",
    storage: StorageOption = "runs",
    others: Annotated[
        list[Path] | None, typer.Option("--with", help="Predictions of another tool, as a row.")
    ] = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Rank runs, other tools' predictions and published figures, like numbers in one table."""
    from odnbench.plan.entries import Format, Published
    from odnbench.plan.protocols import Protocol
    from odnbench.plan.registry import import_target
    from odnbench.reports.leaderboard import boards_of, wanted_splits
    from odnbench.reports.leaderboard_document import document_of_boards
    from odnbench.reports.leaderboard_records import as_csv, as_json
    from odnbench.scoring.prediction_files import read_prediction_files

    registry = load_registry(registry_folders)
    printers = {name: one.document for name, one in registry.all(Format).items() if one.document}
    if format not in (known := ["terminal", "csv", "json", *printers]):
        raise unknown("format of the leaderboard", format, known)
    reports = _reports(pipelines, storage, read_prediction_files(others or []), registry)
    boards = boards_of(reports, registry.all(Published).values(), registry.all(Protocol))
    chosen = wanted_splits(boards, registry, dataset, split)
    boards = tuple(board for board in boards if board.rules.split in chosen)
    if format in ("csv", "json"):
        print((as_csv if format == "csv" else as_json)(boards), end="")
        return
    document = document_of_boards(boards, registry)
    if format == "terminal":
        if not reports:
            say(f"no results below {storage}")
        _print_document(document)
    else:
        print(import_target(printers[format])(document))


def _reports(
    pipelines: Sequence[str] | None,
    storage: str,
    foreign: "Sequence[PredictionFile]",
    registry: "Registry",
) -> "list[Report]":
    """The reports of all plans in `storage`; none where there are no results and neither pipelines
    nor files are named, so that the published figures are left.
    """
    from odnbench.reports.read import read_report
    from odnbench.results.plans import all_plan_files

    results = results_in(storage)
    if not (pipelines or foreign or results.uri or all_plan_files(results.folder)):
        return []
    reports, refused = [], ""
    for plan in readable(plans_of(results, pipelines)):
        try:
            report = read_report(plan, registry, foreign)
        except OdnbenchError as error:
            if not foreign:
                raise
            refused = refused or str(error)  # the files need not belong to every pipeline
            report = read_report(plan, registry)
        if report.rows:
            reports.append(report)
    if foreign and not any(report.foreign for report in reports):
        raise OdnbenchError(
            refused or f"{foreign[0].path}: no finished trial has faces to score it"
        )
    return reports


def _print_document(document: "Document") -> None:
    """Prints a document of tables and paragraphs."""
    from odnbench.reports.document import Paragraph, Table
    from odnbench.reports.document import plain as text_of

    for warning in document.warnings:
        console.print(Text(plain(text_of(warning)), style="yellow"))
    for found in document.found:
        console.print(plain(text_of(found)))
    for section in document.sections:
        console.print(Text(f"\n{plain(section.title)}", style="bold"))
        for block in section.blocks:
            if isinstance(block, Table):
                _print_table(block)
            elif isinstance(block, Paragraph):
                console.print(plain(text_of(block.phrase)))
    for told in document.not_shown:
        console.print(plain(text_of(told)))


def _print_table(table: "Table") -> None:
    """Prints a table with its caption above it, and notes and marks below."""
    from odnbench.reports.document import plain as text_of

    console.print(f"\n{plain(text_of(table.caption))}")
    shown = TerminalTable(box=None, padding=(0, 1, 0, 0))
    for column in table.columns:
        shown.add_column(
            plain(column.title),
            justify="right" if column.kind == "number" else "left",
            no_wrap=column.title not in ("method", "source", "notes"),
            min_width=len(column.title),
            overflow="fold",
        )
    ranks = [table.ranks(index) for index in range(len(table.columns))]
    marks: dict[str, str] = {}
    for number, line in enumerate(table.lines):
        cells = []
        for cell, rank in zip(line.cells, ranks, strict=True):
            mark = ""
            if cell.unlike:
                mark = marks.setdefault(cell.unlike, "*" * (len(marks) + 1))
            cells.append(Text(f"{plain(cell.text)}{mark}", style=_STYLES[rank.get(number, "")]))
        shown.add_row(*cells)
    console.print(shown)
    for text, mark in marks.items():
        console.print(f"{mark} {plain(text)}")
    for note in table.notes:
        console.print(plain(text_of(note)), style="dim", soft_wrap=True)
