"""Cells and lines of a report's tables."""

import re
from collections.abc import Iterable, Iterator

from odnbench.metrics.factorial import Effect
from odnbench.metrics.significance import Comparison
from odnbench.reports import texts
from odnbench.reports.document import Cell, Column, Line, Phrase, Strong
from odnbench.reports.report import Report, caveat_of
from odnbench.reports.rows import Measured, Row

EMPTY = Cell(texts.NOTHING)
MODEL = Column("model", "text")
VERDICT = Column("verdict", "text")


def number(value: float | None, pattern: str, unlike: str = "") -> Cell:
    """A number in the words of `pattern`, as "{:.2f}"; "–" for None."""
    return Cell(texts.NOTHING if value is None else pattern.format(value), value, unlike)


def measured(found: Measured | None, unlike: str = "") -> Cell:
    """A number with its interval."""
    return Cell(texts.with_interval(found), None if found is None else found.mean, unlike)


def against(comparison: Comparison | None) -> tuple[Cell, Cell, Cell]:
    """Difference, p and verdict of a comparison."""
    if comparison is None:
        return EMPTY, EMPTY, EMPTY
    return (
        Cell(texts.relative(comparison), comparison.percent),
        Cell(f"{comparison.p_holm:.4f}", comparison.p_holm),
        Cell(comparison.text),
    )


def line(report: Report, row: Row, cells: Iterable[Cell], *, is_compared: bool = False) -> Line:
    """The line of a row: its title with what must be known of all its numbers, and `cells`.

    is_compared: whether the line is read as a difference from the reference.
    """
    told = [*(_other_base(report, row) if is_compared else ()), *remarks(report, row)]
    return Line((Cell(row.title, unlike="; ".join(told)), *cells), row.title, row.is_reference)


def _other_base(report: Report, row: Row) -> Iterator[str]:
    if row in report.other_bases and report.reference is not None:
        yield (
            f"another backbone, {texts.carrier(row.base)}, than that of {report.reference.title}, "
            f"{texts.carrier(report.reference.base)}: a difference is that of modules and backbone "
            "together"
        )


def remarks(report: Report, row: Row) -> list[str]:
    """What must be known of all numbers of a row."""
    told = list(_without_numbers(report, row))
    if row in report.taught:
        last = row.trials[0].epochs[-1]
        told.append(
            "a teacher's predictions for the training pictures were targets as well, so that what "
            "the teacher had learnt is in this network; its weighted term and the data term, in "
            f"the last epoch of the first seed: {last.penalties['teacher']:.3g} and "
            f"{last.data_term:.3g}"
        )
    return [*told, *row.notes]


def _without_numbers(report: Report, row: Row) -> Iterator[str]:
    """How many seeds of a row have numbers, where others of its seeds have none."""
    missing = report.missing_of(row)
    planned = len(row.trials) + len(missing)
    why = [f"of the others: {'; '.join(str(one.standing) for one in missing)}"] if missing else []
    # A trial that has not begun does not tell its row: rows are taken to have equally many seeds.
    most = max(len(one.trials) + len(report.missing_of(one)) for one in report.rows)
    waiting = any(not one.row and one.standing.state == "waiting" for one in report.missing)
    if row.trials and planned < most and waiting:
        planned = most
        why.append("some trials have not begun")
    if why:
        yield f"{len(row.trials)} of {planned} seeds have numbers; {'; '.join(why)}"


def caveat(found: Iterable[Comparison | Effect | None]) -> Phrase:
    """How the fewest seeds of comparisons and effects limit them, as a sentence; () for no limit.

    found: of the table that the sentence stands at.
    """
    told = caveat_of(found)
    return (" ", Strong(f"{told[0].upper()}{told[1:]}.")) if told else ()


def slug(name: str) -> str:
    """`name` in letters and digits, with hyphens between them."""
    return re.sub(r"\W+", "-", name).strip("-")
