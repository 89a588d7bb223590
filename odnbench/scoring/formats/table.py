"""Tables as text: a row for each face, a column for each coordinate.

Columns are separated by commas, semicolons, tabs or blanks; where the separator is no comma,
numbers may have a decimal comma. The face stands in the column `face`, or in one that is called as
tools call it (`image_name`, `imgpath`, …). Coordinates are called x0, y0, x1, y1, … with any words
around them that are the same for all: `original_0_x`, `x_0`, `landmark_0_x`. `o0` (1 = occluded) or
`v0` (1 = visible) tell occlusion; left, top, right, bottom (or xmin, ymin, xmax, ymax, or left,
top, width, height) are the box of the face. Pixels are counted from 0.
"""

# N faces, L landmarks

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError, one_line, some
from odnbench.scoring.formats.columns import EXPECTED, Columns, columns_of
from odnbench.scoring.formats.content import Content

_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "blanks"}
_NOTHING = ("", "nan", "na", "n/a", "null", "none", "-")


@dataclass(frozen=True)
class _Row:
    line: int  # of the file, from 1
    cells: list[str]


def read_table(text: str) -> Content:
    """What the table holds. Raises OdnbenchError for a table without faces or coordinates, and for
    text where a number belongs.
    """
    first, _, rest = text.partition("\n")
    if told := re.fullmatch(r"sep=(.)\s*", first):  # as Excel writes and reads it
        separator, text = told[1], rest
    else:
        separator = next((sign for sign in _SEPARATORS if sign in first.strip()), ",")
    rows = _rows(text, separator)
    header = [name.strip() for name in rows.pop(0).cells] if rows else []
    if header and not header[-1]:
        header.pop()  # a separator at the end of each line
    columns = columns_of(header)
    rows = [_Row(row.line, _of_width(row, len(header))) for row in rows]
    faces = [row.cells[columns.face].strip() for row in rows]
    for row, face in zip(rows, faces, strict=True):
        if not face:
            raise OdnbenchError(f"line {row.line} names no face")
    is_decimal = separator != "," and _has_decimal_commas(rows, columns)

    def numbers(axis: Sequence[int]) -> Floats:
        """(N, number of columns)."""
        found = [[_number(row, column, header, is_decimal) for column in axis] for row in rows]
        return np.array(found, np.float64).reshape(len(rows), len(axis))

    notes = _notes(header, columns, separator, is_decimal)
    occluded: Flags | None = None
    if "o" in columns.axes:
        occluded = numbers(columns.axes["o"]) > 0.5
    elif "v" in columns.axes:
        occluded = _hidden(numbers(columns.axes["v"]), notes)
    boxes: Floats | None = None
    if columns.box:
        boxes = numbers(columns.box)
        boxes[:, 2:] += boxes[:, :2] if columns.box_has_sides else 0.0
    points = np.stack([numbers(columns.axes["x"]), numbers(columns.axes["y"])], axis=-1)
    return Content(faces, points, occluded, boxes, notes=notes)


def _rows(text: str, separator: str) -> list[_Row]:
    """The lines that are not empty, the header first."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        return [_Row(lines.line_num, cells) for cells in lines if any(map(str.strip, cells))]
    except csv.Error as error:
        raise OdnbenchError(f"line {lines.line_num}: {error}; expected {EXPECTED}") from error


def _of_width(row: _Row, width: int) -> list[str]:
    """The cells of `row`, as many as the header has; those that are missing are empty."""
    cells = row.cells
    if len(cells) == width + 1 and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) > width:
        raise OdnbenchError(
            f"line {row.line}: expected {width} cells as in the header, got {len(cells)}"
        )
    return cells + [""] * (width - len(cells))


def _has_decimal_commas(rows: Sequence[_Row], columns: Columns) -> bool:
    """Whether numbers have a decimal comma. Raises OdnbenchError where others have a point."""
    used = [column for axis in columns.axes.values() for column in axis] + list(columns.box)
    told = [row.cells[column] for row in rows for column in used]
    has_commas = any("," in cell for cell in told)
    if has_commas and any("." in cell for cell in told):
        raise OdnbenchError("some numbers have a decimal comma and some a point; give one of both")
    return has_commas


def _number(row: _Row, column: int, header: Sequence[str], is_decimal: bool) -> float:
    """The number in a cell; NaN for an empty cell. Raises OdnbenchError for other text."""
    cell = row.cells[column].replace(",", ".") if is_decimal else row.cells[column]
    try:
        if "_" not in cell:  # Python reads 1_5 as 15
            return float(cell)
    except ValueError:
        pass
    lower = cell.strip().lower()
    if lower in _NOTHING:
        return float("nan")
    if lower in ("true", "false"):
        return float(lower == "true")
    raise OdnbenchError(
        f"line {row.line}, column '{one_line(header[column])}': expected a number, got "
        f"'{one_line(row.cells[column])}'"
    )


def _hidden(visible: Floats, notes: list[str]) -> Flags | None:
    """(N, L) whether landmarks are occluded, by columns v0, v1, …; None where these tell nothing.

    Adds to `notes` how they were read.
    """
    values = set(np.unique(visible).tolist())
    if not values <= {0.0, 1.0, 2.0}:
        notes.append("the columns of v hold other numbers than 0, 1 and 2, and are not used")
        return None
    if 2.0 in values:
        notes.append("v is COCO's: 2 is visible, 1 and 0 are occluded")
        return visible < 2
    notes.append("v: 1 is visible, 0 is occluded")
    return visible < 1


def _notes(header: Sequence[str], columns: Columns, separator: str, is_decimal: bool) -> list[str]:
    """How the table was read, where it is not in the usual form."""
    face, x = header[columns.face], header[columns.axes["x"][0]]
    found = []
    if separator != ",":
        comma = ", numbers with a decimal comma" if is_decimal else ""
        found.append(f"columns separated by {_SEPARATORS.get(separator, separator)}{comma}")
    if face != "face":
        found.append(f"faces named in the column '{one_line(face)}'")
    if unused := [name for i, name in enumerate(header) if name and i not in columns.used]:
        found.append(f"columns that are not used: {some(unused)}")
    if x != "x0":
        found.append(f"coordinates in columns like '{one_line(x)}', pixels counted from 0")
    return found
