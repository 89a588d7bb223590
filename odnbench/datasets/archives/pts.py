""".pts files: the landmark files of 300W, which count pixels from 1.

Copies of the data set differ: `version: 1` or `1.0`, `n_points:  68` with one or two spaces,
trailing blanks, Windows line ends, a byte-order mark, files without header and braces. All of these
are read, and so are `x, y`, `x; y` and decimal commas (`12,5 30,25`), where every line has them.
"""

import re
from pathlib import Path

import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.faces import LARGEST_PX
from odnbench.errors import OdnbenchError
from odnbench.files.regular import read_file
from odnbench.files.text import decoded

# A file with the official header. Its numbers hold no "_", because Python reads 1_5 as 15.
_USUAL = re.compile(r"version:[^\n]*\nn_points:\s*([0-9]{1,8})\s*\{([^{}_]*)\}\s*")
# A line in the notation of a spreadsheet, with decimal points or with decimal commas.
_WITH_POINTS = re.compile(r"\s*([-+.\deE]+)\s*[,;]\s*([-+.\deE]+)\s*")
_WITH_COMMAS = re.compile(r"\s*([-+\d]+(?:,\d+)?)\s*[;\s]\s*([-+\d]+(?:,\d+)?)\s*")


def read_pts(path: Path, points: int) -> Floats:
    """The 0-based coordinates of a file of `points` points: (points, 2).

    Raises OdnbenchError that names the file and, where it can, the faulty line.
    """
    try:
        text = decoded(read_file(path))
        text.encode("ascii")  # digits of other scripts would pass for numbers
    except ValueError as error:
        raise OdnbenchError(f"{path}: cannot be read as .pts: {error}") from error
    usual = _USUAL.fullmatch(text)
    if usual and int(usual[1]) == points and len(words := usual[2].split()) == 2 * points:
        try:
            return _checked(path, np.array(list(map(float, words))).reshape(points, 2))
        except ValueError:  # reading line by line, below, names the line
            pass
    return _checked(path, np.array(_lines(path, text, points)))


def _lines(path: Path, text: str, points: int) -> list[tuple[float, float]]:
    """The coordinates, read line by line. Raises OdnbenchError that names the faulty line."""
    rows: list[tuple[float, float]] = []
    declared = points
    for number, line in enumerate(_with_blanks(text.splitlines()), start=1):
        try:
            x, y = line.split()
            if "_" in x + y:
                raise ValueError  # Python reads 1_5 as 15
            rows.append((float(x), float(y)))
        except ValueError:
            words = line.split()
            if header := re.fullmatch(r"\s*n_points:\s*([0-9]{1,8})\s*", line):
                declared = int(header[1])
            elif words not in ([], ["{"], ["}"]) and words[0] != "version:":
                raise OdnbenchError(
                    f"{path}, line {number}: expected 'x y', got '{line.strip()}'"
                ) from None
    if "{" in text and text.split()[-1] != "}":  # the last number may have lost digits
        raise OdnbenchError(f"{path}: it has no closing brace, so it is cut off")
    if not len(rows) == declared == points:
        said = "" if declared == points else f" and a header that says {declared}"
        raise OdnbenchError(f"{path}: expected {points} points, found {len(rows)}{said}")
    return rows


def _with_blanks(lines: list[str]) -> list[str]:
    """`lines` with a blank between the numbers and decimal points, where all lines with numbers are
    in one notation of spreadsheets; else `lines`.
    """
    numbers = [i for i, line in enumerate(lines) if line.strip()[:1] in set("0123456789+-.")]
    for notation in (_WITH_POINTS, _WITH_COMMAS):
        found = [notation.fullmatch(lines[i]) for i in numbers]
        if found and all(found):
            changed = dict(zip(numbers, found, strict=True))
            return [
                " ".join(pair.groups()).replace(",", ".") if (pair := changed.get(i)) else line
                for i, line in enumerate(lines)
            ]
    return lines


def _checked(path: Path, array: Floats) -> Floats:
    """1-based → 0-based coordinates. Raises OdnbenchError for one that is not finite or is huge."""
    if not (np.abs(array) <= LARGEST_PX).all():
        raise OdnbenchError(f"{path}: a coordinate is not a finite number of pixels")
    return array - 1.0  # .pts counts pixels from 1


def write_pts(path: Path, points: Floats) -> None:
    """Writes 0-based `points` (L, 2) with the header of the official archives."""
    lines = [f"{x + 1:.6f} {y + 1:.6f}" for x, y in points]
    header = f"version: 1\nn_points: {len(points)}\n"
    path.write_text(header + "{\n" + "\n".join(lines) + "\n}\n", encoding="ascii")
