"""A report as a document: sections of sentences, tables and figures, the same for every format.

Sections (reports/sections/) make a `Document` of a `Report`; a format (registry/formats.toml) turns
it into a file. No text in a document is markup: `Code` and `Strong` say what a piece of text is,
and each format escapes all text by its own rules. A cell of a table holds its number beside the
text that shows it, so that nothing displayed is ever parsed back.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # a document of tables alone needs no matplotlib
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is typed: a key, a file, a split as 300w/full."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Text that stands out."""

    text: str


Piece: TypeAlias = str | Code | Strong
Phrase: TypeAlias = tuple[Piece, ...]  # a sentence, or several


def plain(phrase: Phrase) -> str:
    """The text of a phrase, without what its pieces are."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in phrase)


def joined(phrases: Sequence[Phrase], between: str = " ") -> Phrase:
    """One phrase of several, with a text between them."""
    pieces: list[Piece] = []
    for phrase in phrases:
        pieces += [between, *phrase] if pieces else phrase
    return tuple(pieces)


@dataclass(frozen=True)
class Paragraph:
    """A phrase that stands by itself."""

    phrase: Phrase


@dataclass(frozen=True)
class Items:
    """A list of phrases."""

    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    kind: Literal["text", "number", "code"] = "number"
    better: Literal["lower", "higher", ""] = ""  # by which formats mark the best and the second


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    value: float | None = None  # the number that `text` shows, by which a table is sorted
    # Why the number cannot be compared with others of its column; formats show a mark, and the text
    # once below the table.
    unlike: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    cells: tuple[Cell, ...]  # one for each column
    variant: str = ""  # the title of the report's row that it is about, for its colour
    is_reference: bool = False
    begins_group: bool = False  # whether it stands apart from the lines above it, as below a rule


@dataclass(frozen=True)
class Table:
    """Cells under the titles of their columns."""

    name: str  # of its files and anchors, as "results-300w-full"
    caption: Phrase  # what the numbers are: unit, interval, test
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[Phrase, ...] = ()  # below it

    def ranks(self, column: int) -> Mapping[int, Literal["best", "second"]]:
        """Index of a line → its place among the comparable numbers of a column; {} where the column
        has no better, or fewer than two numbers.
        """
        better = self.columns[column].better
        held = [
            (cell.value, index)
            for index, line in enumerate(self.lines)
            if (cell := line.cells[column]).value is not None and not cell.unlike
        ]
        values = sorted({value for value, _ in held}, reverse=better == "higher")
        if not better or len(values) < 2:
            return {}
        places: dict[float, Literal["best", "second"]] = {values[0]: "best", values[1]: "second"}
        return {index: places[value] for value, index in held if value in places}


@dataclass(frozen=True)
class Style:
    """How a row of the report looks in every figure."""

    colour: str  # "#rrggbb", or "text": black on white, white on black
    dash: Literal["solid", "dashed", "dotted"] = "solid"


@dataclass(frozen=True)
class Curve:
    """A line of a chart, or where it has no steps between them, points."""

    title: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # of the band around it, one for each x; () for none
    high: Sequence[float] = ()
    is_points: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its curves."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_range: tuple[float, float] | None = None  # None: what the curves need
    y_range: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False
    marks: tuple[float, ...] = ()  # x of thin vertical lines


@dataclass(frozen=True)
class Chart:
    """Panels beside each other, whose curves of one title share their style and a legend."""

    name: str  # of its files, as "ced"
    caption: Phrase
    text: str  # what it shows, in words, for those who cannot see it
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Plot:
    """A figure that is more than a chart: matplotlib draws it in every format."""

    name: str
    caption: Phrase
    text: str
    draw: Callable[[], "Drawing"]


@dataclass(frozen=True)
class Picture:
    """A picture file."""

    name: str
    caption: Phrase
    text: str
    path: Path


Points: TypeAlias = Sequence[tuple[float, float]]  # (L) x rightwards, y downwards


@dataclass(frozen=True)
class Tile:
    """One face: its annotated points and what rows predict, in units of the tile's side."""

    title: str  # the face's id
    facts: Phrase  # the numbers for which it is shown
    true: Points
    predicted: Mapping[str, Points]  # title of a row → its points
    picture: bytes | None = None  # JPEG file behind them; None where the face is not to be seen


@dataclass(frozen=True)
class Gallery:
    """Faces beside each other. A format without room for them leaves them out."""

    name: str
    caption: Phrase  # by what they were chosen
    tiles: tuple[Tile, ...]


Block: TypeAlias = "Paragraph | Items | Table | Chart | Plot | Picture | Gallery | Section"


@dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]
    # Whether it is for those who want to know more: closed where a format can, else further below.
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """The report of one pipeline."""

    name: str  # of its files: the pipeline's name
    title: str
    # What must not be missed about all numbers: rendered faces, partial sets, flip tests.
    warnings: tuple[Phrase, ...]
    found: tuple[Phrase, ...]  # what was found, in sentences
    not_shown: tuple[Phrase, ...]  # what cannot be concluded, and why
    summary: Table | None  # model, cost, NME with interval, verdict
    sections: tuple[Section, ...]
    styles: Mapping[str, Style] = field(default_factory=dict)  # title of a row → its look

    def walk(self) -> Iterator[Block]:
        """Every block in order, sections before what stands in them."""

        def of(blocks: Sequence[Block]) -> Iterator[Block]:
            for block in blocks:
                yield block
                if isinstance(block, Section):
                    yield from of(block.blocks)

        if self.summary is not None:
            yield self.summary
        yield from of(self.sections)
