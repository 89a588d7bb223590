"""A report as one HTML file that works offline: reports/templates/report.html.j2 with report.css
and report.js inside.

Jinja escapes whatever is not marked as HTML. Charts reach the script as JSON, which report.js
draws; the page's policy (CSP) allows this style and this script alone, and pictures that are in the
file.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
from markupsafe import Markup

from odnbench.errors import OdnbenchError
from odnbench.reports.chart_values import chart_values, tables_of
from odnbench.reports.document import (
    Block,
    Cell,
    Column,
    Document,
    Gallery,
    Line,
    Picture,
    Plot,
    Points,
    Style,
    Table,
    plain,
)
from odnbench.reports.hard_cases import with_hard_cases
from odnbench.reports.marks import marks_of
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of
from odnbench.reports.templating import SHIPPED, Templates

_DASHES = {"solid": "", "dashed": "5 3", "dotted": "0.1 4"}
_PICTURES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}


def write_html(report: Report, folder: Path, templates: Templates = SHIPPED) -> Path:
    """Writes the report and its hard cases into `folder`; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    document = document_of(report)
    path = folder / f"{document.name}.html"
    path.write_text(as_html(with_hard_cases(document, report), templates), encoding="utf-8")
    return path


def as_html(document: Document, templates: Templates = SHIPPED) -> str:
    """The document as one page, which needs no other file.

    Raises OdnbenchError for a picture that is neither JPEG nor PNG.
    """
    filters: dict[str, Callable[..., object]] = {
        text.__name__: text
        for text in (
            kind, anchor, plain, shown, marks_of, dash, data, tables_of, drawn, stored, jpeg, dots,
            offsets, rows_in,
        )
    }  # fmt: skip
    filters["values"] = chart_values
    style, script = templates.text("report.css"), templates.text("report.js")
    return templates.render(
        "report.html.j2",
        filters,
        document=document,
        style=Markup(style),
        script=Markup(script),
        style_hash=_digest(style),
        script_hash=_digest(script),
    )


def kind(block: Block) -> str:
    """The name of the template's macro for a block."""
    return type(block).__name__.lower()


def anchor(name: str) -> str:
    """`name` without what cannot stand in the address of a place in the page."""
    return re.sub(r"\W+", "-", name)


@dataclass(frozen=True)
class ShownCell:
    """A cell with all that decides its look."""

    column: Column
    cell: Cell
    rank: str  # "best", "second" or ""
    mark: str  # of `Cell.unlike`


def shown(table: Table) -> Iterator[tuple[Line, list[ShownCell]]]:
    """Each line of a table with its cells."""
    ranks, signs = [table.ranks(i) for i in range(len(table.columns))], marks_of(table)
    for index, line in enumerate(table.lines):
        yield (
            line,
            [
                ShownCell(column, cell, places.get(index, ""), signs.get(cell.unlike, ""))
                for column, cell, places in zip(table.columns, line.cells, ranks, strict=True)
            ],
        )


def dash(style: Style) -> str:
    """The `stroke-dasharray` of a style; "" for a solid line."""
    return _DASHES[style.dash]


def data(values: object) -> Markup:
    """`values` as JSON in which nothing can end the element around it."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def drawn(plot: Plot) -> str:
    """The address of a plot's drawing: the SVG itself, the same for the same plot."""
    file = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": plot.name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        plot.draw().savefig(file, format="svg", metadata=nothing)
    # The document type names a file on the Web, which nothing here needs.
    return _address("svg+xml", re.sub(rb"<!DOCTYPE[^>]*>", b"", file.getvalue()))


def stored(picture: Picture) -> str:
    """The address of a picture: its file itself."""
    suffix = picture.path.suffix.lower()
    if suffix not in _PICTURES:
        raise OdnbenchError(
            f"{picture.path}: a report's picture must be .jpg or .png, not '{suffix}'; convert it"
        )
    return _address(_PICTURES[suffix], picture.path.read_bytes())


def jpeg(file: bytes) -> str:
    """The address of a picture in memory."""
    return _address("jpeg", file)


def dots(points: Points) -> str:
    """A path of strokes without length, which round caps make dots, in percent of a tile's side."""
    return "".join(f"M{100 * x:.1f} {100 * y:.1f}h0" for x, y in points)


def offsets(true: Points, predicted: Points) -> str:
    """A path of lines from each point of `true` to that of `predicted`; see `dots`."""
    return "".join(
        f"M{100 * x:.1f} {100 * y:.1f}L{100 * u:.1f} {100 * v:.1f}"
        for (x, y), (u, v) in zip(true, predicted, strict=True)
    )


def rows_in(gallery: Gallery) -> list[str]:
    """The titles of the rows whose points a gallery shows."""
    return list(dict.fromkeys(title for tile in gallery.tiles for title in tile.predicted))


def _address(subtype: str, file: bytes) -> str:
    return f"data:image/{subtype};base64,{base64.b64encode(file).decode()}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
