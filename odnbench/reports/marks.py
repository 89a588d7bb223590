"""Marks of a table's cells, and what each stands for, the same in every format."""

from collections.abc import Iterable, Iterator
from itertools import count

from odnbench.reports.document import Table

_SIGNS = "†‡§¶"


def marks_of(table: Table) -> dict[str, str]:
    """What cells of `table` say by their `unlike` → mark, in the order of the lines."""
    told = dict.fromkeys(cell.unlike for line in table.lines for cell in line.cells if cell.unlike)
    return dict(zip(told, _marks(), strict=False))


def numbered(texts: Iterable[str]) -> dict[str, str]:
    """Text → "[1]", "[2]", …, as sources are referred to."""
    return {text: f"[{number}]" for number, text in enumerate(dict.fromkeys(texts), 1)}


def _marks() -> Iterator[str]:
    """†, ‡, §, ¶, ††, ‡‡, …"""
    for times in count(1):
        yield from (sign * times for sign in _SIGNS)
