"""A report as LaTeX: a document, its tables in files of their own, and its figures as PDF.

`NAME-latex/` holds NAME.tex, which LuaLaTeX and pdfLaTeX compile as it is, and `tables/` and
`figures/`, whose files other papers can take: a table is a whole `table` environment that needs the
packages booktabs, array, graphicx and T1 encoding.
"""

import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import matplotlib
from matplotlib.figure import Figure

from odnbench.reports.document import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Document,
    Phrase,
    Picture,
    Plot,
    Section,
    Strong,
    Table,
)
from odnbench.reports.drawing import draw_chart
from odnbench.reports.latex_text import Latex, latex, typed
from odnbench.reports.marks import marks_of
from odnbench.reports.paper_tables import paper_tables
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of
from odnbench.reports.templating import SHIPPED, Templates

# Jinja2's own signs are LaTeX's as well.
_MARKS = {
    "block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<",
    "variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>",
}  # fmt: skip
_LINES_ON_PAGE = 46
# In characters: a line of a page, what is between two columns, the narrowest column whose cells
# have several lines, and the narrowest title.
_PAGE, _BETWEEN, _NARROWEST, _HEAD = 108, 3, 16, 10
_UNDIVIDED = 24  # characters in brackets that stay on one line
_EM = 0.6  # of a character, in the font's size
_LONGEST_NAME = 80  # bytes of a file name


@dataclass(frozen=True)
class Part:
    """A stretch of a table that fits on a page, as LaTeX."""

    label: str
    caption: Latex
    spec: str  # of the tabular
    heads: tuple[Latex, ...]
    lines: tuple[tuple[bool, tuple[Latex, ...]], ...]  # (whether a rule stands above it, cells)
    notes: tuple[Latex, ...]

    @property
    def is_tall(self) -> bool:
        """Whether some cells have several lines."""
        return "p{" in self.spec


def write_latex(report: Report, folder: Path, templates: Templates = SHIPPED) -> Path:
    """Writes the folder NAME-latex into `folder`; returns the path of its NAME.tex."""
    document = document_of(report)
    place = folder / f"{document.name}-latex"
    for inner in ("tables", "figures"):
        (place / inner).mkdir(parents=True, exist_ok=True)
    for name, text in as_latex(document, templates, paper_tables(report)).items():
        (place / name).write_text(text, encoding="utf-8")
    files = file_names(document)
    for block in document.walk():
        if isinstance(block, Chart | Plot):
            drawn = draw_chart(block) if isinstance(block, Chart) else block.draw()
            _save(drawn, place / files[block.name])
        elif isinstance(block, Picture):
            shutil.copyfile(block.path, place / files[block.name])
    return place / f"{document.name}.tex"


def as_latex(
    document: Document, templates: Templates = SHIPPED, instead: Mapping[str, Table] | None = None
) -> dict[str, str]:
    """Path within the folder → text, of the document and of each table.

    instead: name → table that takes the place of the document's one of that name.
    """
    instead, files = instead or {}, file_names(document)
    texts = {}
    for block in document.walk():
        if isinstance(block, Table):
            table = instead.get(block.name, block)
            texts[files[block.name]] = templates.render(
                "table.tex.j2",
                {"raw": Latex},
                escape=latex,
                marks=_MARKS,
                document=document,
                parts=parts_of(table, Path(files[block.name]).stem),
            )
    shown = [section for section in document.sections if not _is_behind(section, instead)]
    texts[f"{document.name}.tex"] = templates.render(
        "report.tex.j2",
        {"phrase": phrase, "kind": kind, "raw": Latex, "label": lambda name: Path(name).stem},
        escape=latex,
        marks=_MARKS,
        document=document,
        sections=shown,
        appendix=[section for section in document.sections if section not in shown],
        files=files,
    )
    return texts


def kind(block: Block) -> str:
    """The name of a block's class."""
    return type(block).__name__


def phrase(pieces: Phrase) -> Latex:
    """A phrase as LaTeX."""
    return Latex("".join(map(_piece, pieces)))


def file_names(document: Document) -> dict[str, str]:
    """Name of a table or figure → its file, below the document's folder; ASCII without blanks."""
    names: dict[str, str] = {}
    for block in document.walk():
        if not isinstance(block, Table | Chart | Plot | Picture) or block.name in names:
            continue
        where, ending = ("tables", ".tex") if isinstance(block, Table) else ("figures", ".pdf")
        if isinstance(block, Picture):
            ending = block.path.suffix.lower()
        stem = re.sub(r"[^A-Za-z0-9]+", "-", block.name).strip("-")[:_LONGEST_NAME] or "untitled"
        alike = sum(Path(other).stem.startswith(stem) for other in names.values())
        name = f"{where}/{stem}{ending}"
        names[block.name] = (
            f"{where}/{stem}-{alike + 1}{ending}" if name in names.values() else name
        )
    return names


def parts_of(table: Table, label: str) -> list[Part]:
    """The table in parts that fit on a page; each has the caption and the notes."""
    signs = marks_of(table)
    texts = [f"{sign} {reason}" for reason, sign in signs.items()]
    notes = (*map(latex, texts), *map(phrase, table.notes))
    ranks = [table.ranks(index) for index in range(len(table.columns))]
    widths = _widths(table)
    stretches = list(_stretches(table, widths))
    parts = []
    for number, stretch in enumerate(stretches, 1):
        of = f" (part {number} of {len(stretches)})" if len(stretches) > 1 else ""
        lines = tuple(
            (
                table.lines[index].begins_group and index > stretch.start,
                tuple(
                    _cell(cell, column, rank.get(index, ""), signs.get(cell.unlike, ""))
                    for cell, column, rank in zip(
                        table.lines[index].cells, table.columns, ranks, strict=True
                    )
                ),
            )
            for index in stretch
        )
        parts.append(
            Part(
                label if number == 1 else f"{label}-{number}",
                Latex(f"{phrase(table.caption)}{of}"),
                _spec(table, widths),
                tuple(map(_head, table.columns, widths)),
                lines,
                notes,
            )
        )
    return parts


def _is_behind(section: Section, instead: Mapping[str, Table]) -> bool:
    """Whether a section stands in the appendix: folded, and without a table of a paper."""
    return section.folded and not any(
        isinstance(block, Table) and block.name in instead for block in section.blocks
    )


def _piece(piece: str | Code | Strong) -> str:
    if isinstance(piece, Code):
        return typed(piece.text)
    if isinstance(piece, Strong):
        return f"\\textbf{{{latex(piece.text)}}}"
    return latex(piece)


def _cell(cell: Cell, column: Column, rank: str, sign: str) -> Latex:
    """A cell; of a number with its interval in brackets, the number alone is marked by its rank."""
    text = cell.text.replace("-", "−") if column.kind == "number" else cell.text
    number, bracket, rest = text.partition(" (")
    shown: Latex = typed(number) if column.kind == "code" else latex(number)
    if command := {"best": "textbf", "second": "underline"}.get(rank):
        shown = Latex(f"\\{command}{{{shown}}}")
    inside = latex(rest)
    if len(rest) <= _UNDIVIDED:
        inside = Latex(inside.replace(" ", "~"))
    behind = f"\\textsuperscript{{{latex(sign)}}}" if sign else ""
    return Latex(f"{shown}{bracket}{inside}{behind}")


def _spec(table: Table, widths: Sequence[int]) -> str:
    """The columns of a tabular: a column narrower than its cells has lines in them."""
    kinds = []
    for index, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        is_number = column.kind == "number"
        if width < _longest(table, index):
            side = "left" if is_number else "right"
            kinds.append(f">{{\\ragged{side}\\arraybackslash}}p{{{width * _EM:.1f}em}}")
        else:
            kinds.append("r" if is_number else "l")
    return "".join(kinds)


def _widths(table: Table) -> list[int]:
    """The characters of a line in each column: all of the longest cell, as far as a page has room
    for them.
    """
    widths = [_longest(table, index) for index in range(len(table.columns))]
    while sum(widths) + _BETWEEN * len(widths) > _PAGE and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _longest(table: Table, index: int) -> int:
    return max((len(line.cells[index].text) for line in table.lines), default=0)


def _head(column: Column, width: int) -> Latex:
    """The title of a column, in several lines where the column is narrower."""
    lines = [
        latex(line)
        for line in wrap(
            column.title, max(_HEAD, width), break_on_hyphens=False, break_long_words=False
        )
    ]
    if len(lines) < 2:
        return Latex("".join(lines))
    side = "r" if column.kind == "number" else "l"
    inside = r" \\ ".join(lines)
    return Latex(f"\\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{inside}\\end{{tabular}}")


def _stretches(table: Table, widths: Sequence[int]) -> Iterator[range]:
    """The lines of a table that stand on a page together."""
    start, height = 0, 0
    for index, line in enumerate(table.lines):
        cells = zip(line.cells, widths, strict=True)
        own = max((math.ceil(len(cell.text) / width) for cell, width in cells if width), default=1)
        if height + own > _LINES_ON_PAGE and index > start:
            yield range(start, index)
            start, height = index, 0
        height += own
    yield range(start, len(table.lines))


def _save(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context({"pdf.fonttype": 42}):  # fonts as TrueType, which journals ask for
        # Without a date, equal figures are equal files.
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
