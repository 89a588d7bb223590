"""Published tables as papers print them: methods in lines, and below a rule the rows of a report.

A figure that cannot be set beside the others of its column says why: another protocol, another
normaliser or one that nobody states, rendered faces, a part of the faces.
"""

from odnbench.metrics.significance import SIGNIFICANT
from odnbench.plan.entries import Published, PublishedRow
from odnbench.reports import texts
from odnbench.reports.document import Cell, Column, Line, Phrase, Table
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.reports.sections.cells import caveat, remarks
from odnbench.reports.sections.published import normalised_otherwise

_DETECTED = "*"


def paper_tables(report: Report) -> dict[str, Table]:
    """Name of its table in the document → table, of each published table of NMEs."""
    return {
        f"published-{table.name}": _table(report, table)
        for table in report.published
        if table.quantity == "nme"
    }


def _table(report: Report, table: Published) -> Table:
    columns = (
        Column("Method", "text"),
        Column("Year", "text"),
        *(Column(f"{column.capitalize()} set", better="lower") for column in table.columns),
    )
    ours = [line for row in report.table if (line := _own(report, table, row)) is not None]
    first = [Line(ours[0].cells, ours[0].variant, ours[0].is_reference, True)] if ours else []
    lines = (*(_quoted(report, table, row) for row in table.rows), *first, *ours[1:])
    caption = f"{table.title}. {table.metric}. Source: {table.source}."
    return Table(
        f"published-{table.name}", (caption,), columns, lines, _notes(report, table, bool(ours))
    )


def _quoted(report: Report, table: Published, row: PublishedRow) -> Line:
    """A line of the published table."""
    if differs := report.unlike.get(table.name):
        unlike = f"another protocol than ours: {differs}"
    else:
        unlike = normalised_otherwise(report, table, row)
    figures = [row.values.get(column) for column in table.columns]
    cells = (
        Cell(texts.NOTHING) if value is None else Cell(f"{value:.2f}", value, unlike)
        for value in figures
    )
    return Line((Cell(row.method), Cell(str(row.year)), *cells))


def _own(report: Report, table: Published, row: Row) -> Line | None:
    """A row of the report; None where it has no number in the table's columns."""
    cells = []
    for column in (f"{table.dataset}/{column}" for column in table.columns):
        number = row.number("nme", column)
        if number is None:
            cells.append(Cell(texts.NOTHING))
            continue
        compared = report.comparisons.get(column, {}).get(row.title)
        mark = _DETECTED if compared is not None and compared.is_detected else ""
        text = f"{texts.with_interval(number)}{mark}"
        cells.append(Cell(text, number.mean, _unlike(report, row, column)))
    if not any(cell.value is not None for cell in cells):
        return None
    method = Cell(row.title, unlike="; ".join(remarks(report, row)))
    return Line((method, Cell("ours"), *cells), row.title, row.is_reference)


def _unlike(report: Report, row: Row, column: str) -> str:
    """Why a number of ours cannot be set beside published ones; "" where it can."""
    coverage = row.scores_of(column)[0].coverage
    told = [report.unlike_of(row, column)]
    if coverage.rendered or any(trial.trial.rendered for trial in row.trials):
        told.append("on rendered faces: not comparable with published figures")
    elif coverage.official not in (0, coverage.faces):
        told.append(f"on {coverage} faces of {column}")
    return "; ".join(filter(None, told))


def _notes(report: Report, table: Published, has_ours: bool) -> tuple[Phrase, ...]:
    primary = [
        row.method
        for row in table.rows
        if (table.primary if row.primary is None else row.primary)
    ]  # fmt: skip
    notes: list[Phrase] = []
    if primary and len(primary) < len(table.rows):
        names = texts.listed(primary)
        notes.append((f"Of the source's own method: {names}. It quotes the other figures.",))
    if stated := [row for row in table.rows if row.normaliser]:
        who = "; ".join(f"{row.method}: {row.normaliser_source}" for row in stated)
        notes.append((f"Who states the normaliser: {who}.",))
    if not has_ours:
        return (*notes, ("This plan has no number in these columns.",))
    over = " and seeds" if report.seeds > 1 else ""
    spread = "mean ± standard deviation over seeds" if report.seeds > 1 else "one seed"
    notes.append((f"Ours: {spread}, with the 95 % interval over faces{over} in brackets.",))
    if report.reference is not None:
        columns = (f"{table.dataset}/{column}" for column in table.columns)
        found = [c for name in columns for c in report.comparisons.get(name, {}).values()]
        notes.append(
            (
                f"{_DETECTED} detectably unlike {report.reference.title}: p < {SIGNIFICANT:g} in a "
                f"paired permutation test over faces{over}, with Holm's correction.",
                *caveat(found),
            )
        )
    return tuple(notes)
