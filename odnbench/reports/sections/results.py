"""What was measured: the summary of a report, and a table for each column of test faces."""

from collections.abc import Mapping

from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.metrics.significance import Comparison
from odnbench.reports import texts
from odnbench.reports.bar_figures import errors_figure
from odnbench.reports.charts import ced_chart
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Line,
    Paragraph,
    Phrase,
    Piece,
    Plot,
    Section,
    Strong,
    Style,
    Table,
)
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.reports.sections.cells import (
    EMPTY,
    MODEL,
    VERDICT,
    against,
    caveat,
    line,
    measured,
    number,
    slug,
)


def summary(report: Report) -> Table | None:
    """Model, cost, NME on the main column, and verdict against the reference; None where nothing
    was scored.
    """
    column = report.main_column
    if column is None:
        return None
    work = {cost.row.title: cost.multiply_adds for cost in report.costs if cost.multiply_adds}
    cost = Column("multiply-adds" if work else "parameters")
    columns = [MODEL, cost, Column(f"NME on {column}, %", better="lower")]
    compared = report.comparisons.get(column, {})
    if compared and report.reference is not None:
        columns.append(Column("against the reference", "text"))

    def of(row: Row) -> Line:
        adds = work.get(row.title)
        count = Cell(texts.counted(row.parameters), row.parameters)
        spent = count if not work else number(adds and adds / 1e6, "{:,.1f} M")
        error = measured(row.number("nme", column), report.unlike_of(row, column))
        verdict = _verdict(row, column, compared.get(row.title), "{0.text}, {0.percent:+.1f} %")
        cells = [spent, error, verdict][: len(columns) - 1]
        return line(report, row, cells, is_compared=True)

    caption: Phrase = (
        "Test NME in percent", *_spread(report), " on ", Code(column),
        f" ({report.columns[column]} faces)" if not report.rendered else "", ".",
        *caveat(compared.values()),
    )  # fmt: skip
    return Table("summary", caption, tuple(columns), tuple(map(of, report.table)))


def results(report: Report, styles: dict[str, Style]) -> Section | None:
    """A table for each column, that of the most faces first and the others folded; CED curves.

    None where nothing was scored.
    """
    if not report.columns:
        return None
    names = sorted(report.columns, key=lambda column: column != report.main_column)
    blocks: list[Block] = []
    if few := report.few_faces:
        blocks.append(Paragraph((
            f"Fewer than {FEWEST_FACES} faces do not show how errors vary, so that there is no "
            "interval and no test on ",
            *_codes(few), ".",
        )))  # fmt: skip
    blocks += [
        Section(
            f"{column} ({report.columns[column]})",
            (_table(report, column),),
            folded=column != report.main_column,
        )
        for column in names
    ]
    blocks.append(Section("Distribution of the errors", (ced_chart(report, styles),)))
    if (plot := _methods(report, styles)) is not None:
        blocks.append(Section("Beside other methods", (plot,)))
    return Section("Results", tuple(blocks))


def _methods(report: Report, styles: dict[str, Style]) -> Plot | None:
    """Bars as in the paper's Fig. 4(a); None where no method of others has predicted the main
    column's faces.
    """
    column = report.main_column
    if column is None or not any(column in row.foreign for row in report.foreign):
        return None
    shown = [(row, found, None) for row in report.table if (found := row.number("nme", column))]
    told = "; ".join(f"{row.title} {found.mean:.2f}" for row, found, _ in shown)
    unlike = (f"{r.title}: {why}" for r, *_ in shown if (why := report.unlike_of(r, column)))
    caption: Phrase = (
        "NME of our models and of the methods whose predictions were given, on ", Code(column),
        f" (not comparable as they stand: {reasons})." if (reasons := "; ".join(unlike)) else ".",
    )  # fmt: skip
    return Plot(
        "methods",
        caption,
        f"NME in percent on {column}: {told}.",
        lambda: errors_figure(shown, styles, f"{column} ({report.columns[column]})"),
    )


def _table(report: Report, column: str) -> Table:
    """The metrics of every row on a column, published figures, and differences."""
    figures = report.paper.get(column)
    compared = report.comparisons.get(column, {})
    columns = [MODEL]
    for metric in report.shown_metrics:
        limit = f"@{report.protocol.failure_percent:g}" if metric.per_threshold else ""
        columns.append(Column(f"{metric.title}{limit}, {metric.unit}", better=metric.better))
    if figures is not None:
        columns.append(Column("published NME, %"))
    if compared:
        columns += [Column("difference"), Column("p"), VERDICT]

    def of(row: Row) -> Line:
        unlike = report.unlike_of(row, column)
        first, *others = (row.number(m.name, column) for m in report.shown_metrics)
        cells = [measured(first, unlike)]
        means = (None if other is None else other.mean for other in others)
        cells += [number(mean, "{:.1f}", unlike) for mean in means]
        if figures is not None:
            figure = figures.values.get(row.variant)
            differs = "" if figure is None else _published_unlike(report, row, column)
            cells.append(number(figure, "{:.2f}", differs))
        if compared:
            found = compared.get(row.title)
            cells += [
                *against(found)[:2],
                _verdict(row, column, found, "{0.text} (d {0.effect:+.2f})"),
            ]
        return line(report, row, cells, is_compared=True)

    return Table(
        f"results-{slug(column)}",
        _caption(report, compared),
        tuple(columns),
        tuple(map(of, report.table)),
        tuple(_notes(report, column)),
    )


def _published_unlike(report: Report, row: Row, column: str) -> str:
    """Why the published figure of a row is unlike the number of the row; "" where it is not."""
    coverage = report.columns[column]
    told = [report.paper[column].unlike]
    if coverage.rendered:
        told.insert(0, "of real faces, not of rendered ones")
    elif coverage.official not in (0, coverage.faces):
        told.append(f"of {coverage.official} faces, ours of {coverage.faces}")
    if row.is_flip_tested:
        told.append("ours with a flip test")
    return "; ".join(part for part in told if part)


def _caption(report: Report, compared: Mapping[str, Comparison]) -> Phrase:
    limit = f"{report.protocol.failure_percent:g}"
    told: list[Piece] = [
        "NME in percent (lower is better)", *_spread(report), f"; FR@{limit} is the percentage of "
        f"faces with an NME above {limit} %, AUC@{limit} the area under the CED up to there.",
    ]  # fmt: skip
    if compared and report.reference is not None:
        seeds = " and seeds" if report.seeds > 1 else ""
        told += [
            " Difference: of the mean NME from that of ",
            Strong(report.reference.title),
            ", in percent of it, with its 95 % interval; p of a paired permutation test over faces"
            f"{seeds}, corrected by Holm over the lines; d is Cohen's d_z over faces.",
            *caveat(compared.values()),
        ]
    return tuple(told)


def _spread(report: Report) -> tuple[str, ...]:
    """What stands behind a mean, in words."""
    if report.seeds > 1:
        return (" ± standard deviation over seeds, with its 95 % interval over faces and seeds",)
    return (" with its 95 % interval over faces (one seed: the spread between seeds is not in it)",)


def _notes(report: Report, column: str) -> list[Phrase]:
    notes: list[Phrase] = []
    if rule := report.rules.get(column):
        notes.append((Code(column), f": {rule}."))
    return notes


def _verdict(row: Row, column: str, found: Comparison | None, words: str) -> Cell:
    """What the comparison of a row with the reference has come to, in `words`."""
    if row.is_reference:
        return Cell("reference")
    if found is None:
        return Cell("not compared") if row.scores_of(column) else EMPTY
    return Cell(words.format(found))


def _codes(names: list[str]) -> Phrase:
    pieces: list[str | Code] = []
    for name in names:
        pieces += [", ", Code(name)] if pieces else [Code(name)]
    return tuple(pieces)
