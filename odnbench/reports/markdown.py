"""A report as Markdown, through reports/templates/report.md.j2, with its figures beside it."""

import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

from odnbench.errors import one_line
from odnbench.reports.document import (
    Cell,
    Chart,
    Code,
    Document,
    Phrase,
    Picture,
    Plot,
    Strong,
    Table,
)
from odnbench.reports.drawing import draw_chart
from odnbench.reports.escaping import Markdown, code, escaped
from odnbench.reports.marks import marks_of
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of
from odnbench.reports.templating import SHIPPED, Templates

_AROUND = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}


def write_markdown(report: Report, folder: Path, templates: Templates = SHIPPED) -> Path:
    """Writes the report and its figures into `folder`; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    document = document_of(report)
    for block in document.walk():
        if isinstance(block, Chart):
            draw_chart(block).savefig(folder / file_name(document, block), dpi=150)
        elif isinstance(block, Plot):
            block.draw().savefig(folder / file_name(document, block), dpi=150)
        elif isinstance(block, Picture):
            shutil.copyfile(block.path, folder / file_name(document, block))
    path = folder / f"{document.name}.md"
    path.write_text(as_markdown(document, templates), encoding="utf-8")
    return path


def as_markdown(document: Document, templates: Templates = SHIPPED) -> str:
    """The document as Markdown, beside which its figures are expected."""
    filters: dict[str, Callable[..., object]] = {
        "markdown": Markdown, "phrase": phrase, "html": html,
        "kind": lambda block: type(block).__name__,
    }  # fmt: skip
    functions = {"table": table, "figure": lambda block: figure(document, block)}
    return templates.render("report.md.j2", filters, functions, escaped, document=document)


def file_name(document: Document, block: Chart | Plot | Picture) -> str:
    """The name of the figure's file beside the report."""
    suffix = block.path.suffix if isinstance(block, Picture) else ".png"
    return f"{document.name}-{block.name}{suffix}"


def phrase(pieces: Phrase) -> Markdown:
    """A phrase with its code and what stands out."""
    return Markdown("".join(map(_piece, pieces)))


def _piece(piece: str | Code | Strong) -> str:
    if isinstance(piece, Code):
        return code(piece.text)
    return f"**{escaped(piece.text)}**" if isinstance(piece, Strong) else escaped(piece)


def html(text: str) -> Markdown:
    """`text` for a line that begins with a tag, in which Markdown is not read."""
    return Markdown(escape(one_line(text)))


def table(of: Table) -> Markdown:
    """The table with its marks below: the best of a column bold, the second underlined."""
    marks = marks_of(of)
    ranks = [of.ranks(index) for index in range(len(of.columns))]
    rows = [
        [
            _cell(cell, column.kind, ranks[place].get(index, ""), marks)
            for place, (cell, column) in enumerate(zip(line.cells, of.columns, strict=True))
        ]
        for index, line in enumerate(of.lines)
    ]
    head: list[str] = [escaped(column.title) for column in of.columns]
    rule = ["--:" if column.kind == "number" else "---" for column in of.columns]
    lines = [f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]]
    below = [f"{mark} {escaped(told)}" for told, mark in marks.items()]
    below += map(phrase, of.notes)
    return Markdown("\n".join(lines) + "".join(f"\n\n{note}" for note in below))


def _cell(cell: Cell, kind: str, rank: str, marks: dict[str, str]) -> str:
    text = code(cell.text) if kind == "code" else escaped(cell.text)
    before, after = _AROUND[rank]
    mark = f" {marks[cell.unlike]}" if cell.unlike else ""
    return f"{before}{text}{after}{mark}"


def figure(document: Document, block: Chart | Plot | Picture) -> Markdown:
    """The figure with its text for those who cannot see it."""
    return Markdown(f"![{escaped(block.text)}]({quote(file_name(document, block))})")
