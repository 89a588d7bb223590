"""Published tables, with what their figures follow and who states it."""

from collections.abc import Mapping

from odnbench.plan.entries import Published, PublishedRow
from odnbench.reports.document import Cell, Column, Line, Phrase, Section, Table
from odnbench.reports.marks import numbered
from odnbench.reports.report import Report
from odnbench.reports.sections.cells import number


def published(report: Report) -> Section | None:
    """The published tables that the pipeline names; None where it names none."""
    tables = tuple(_table(report, table) for table in report.published)
    return Section("Published figures", tables, folded=True) if tables else None


def _table(report: Report, table: Published) -> Table:
    stated = [row for row in table.rows if row.normaliser]
    better = Column("", better="higher" if table.quantity == "success" else "lower").better
    columns = [Column("method", "text"), Column("year")]
    columns += [Column(column, better=better) for column in table.columns]
    columns += [Column("normalised by", "text")] if stated else []
    columns.append(Column("source", "text"))
    caption: Phrase = (f"{table.title}. {table.metric}. Source: {table.source}.",)
    if differs := report.unlike.get(table.name):
        caption += (f" These figures follow another protocol than ours: {differs}.",)
    notes: list[Phrase] = []
    if stated:
        who = "; ".join(f"{row.method}: {row.normaliser_source}" for row in stated)
        notes.append((f"Who states the normaliser: {who}.",))
    sources = numbered(row.source for row in table.rows if row.source)
    read = f", read {table.read_on}" if table.read_on else ""
    notes += [(f"{sign} {source}{read}",) for source, sign in sources.items()]
    notes += [(f"{row.method}: {row.note}",) for row in table.rows if row.note]
    lines = tuple(_line(report, table, row, sources, bool(stated)) for row in table.rows)
    return Table(f"published-{table.name}", caption, tuple(columns), lines, tuple(notes))


def _line(
    report: Report,
    table: Published,
    row: PublishedRow,
    sources: Mapping[str, str],
    with_normaliser: bool,
) -> Line:
    unlike = normalised_otherwise(report, table, row)
    cells = [Cell(row.method), Cell(str(row.year), row.year)]
    for column in table.columns:
        figure = row.values.get(column)
        cells.append(number(figure, "{:.2f}", unlike if figure is not None else ""))
    if with_normaliser:
        cells.append(Cell(row.normaliser or "not stated here"))
    who = "primary" if table.is_primary(row) else "secondary"
    cells.append(Cell(f"{who} {sources[row.source]}" if row.source else who))
    return Line(tuple(cells), _titled(report, row.variant))


def normalised_otherwise(report: Report, table: Published, row: PublishedRow) -> str:
    """Why figures of `row` cannot be set beside others by what divides their errors; "" where they
    can, and where no row of `table` states its normaliser.
    """
    own = report.protocol
    if not row.normaliser:
        any_stated = any(other.normaliser for other in table.rows)
        told = "its normaliser is not stated: whether it is comparable is not known"
        return told if any_stated else ""
    if row.normaliser == own.normaliser:
        return ""
    return (
        f"over {row.normaliser}, not {own.normaliser} as protocol {own.name}: not comparable with "
        "numbers under that protocol"
    )


def _titled(report: Report, variant: str) -> str:
    """The title of the row of ours that is this published network; "" where there is none, or
    several.
    """
    titles = [row.title for row in report.rows if variant and row.variant == variant]
    return titles[0] if len(titles) == 1 else ""
