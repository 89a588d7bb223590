"""What disturbed test faces do to each row: curves over levels, areas under them, tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from odnbench.metrics.significance import SIGNIFICANT
from odnbench.reports import texts
from odnbench.reports.disturbances import AtLevel, Bench, DisturbedRow
from odnbench.reports.document import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Curve,
    Line,
    Panel,
    Paragraph,
    Phrase,
    Section,
    Style,
    Table,
)
from odnbench.reports.report import Report
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

_WHAT = {
    "occluders": (
        "Each test face has an occluder pasted on it that covers this share of the tight box of "
        "its landmarks: an object of the renderer or a patch of another picture, none of which was "
        "trained on. It grows with the level and stays where it is."
    ),
    "shift": (
        "The box of each test face is shifted by this share of its side, in a direction of its "
        "own; the picture is not resampled."
    ),
    "scale": (
        "The box of each test face is larger or smaller by this share of its side, either as "
        "likely."
    ),
}


def disturbances(report: Report, styles: Mapping[str, Style]) -> Section | None:
    """The benches of a plan that has any, a section for each kind; None where it has none.

    styles: title of a row → its look.
    """
    kinds = report.pipeline.disturbances if report.disturbed else {}
    parts: list[Block] = []
    for kind in kinds:
        by_column = {column: found[kind] for column, found in report.disturbed.items()}
        about = by_column[next(iter(by_column))].about
        parts.append(Section(about.title, tuple(_blocks(report, by_column, styles))))
    if not parts:
        return None
    told = (
        "The trained networks predict the test faces again, each disturbed in the same way for "
        "every row; nothing is trained anew. Level 0 are the faces as they are."
    )
    return Section("Disturbed test faces", (Paragraph((told,)), *parts))


def _blocks(
    report: Report, by_column: Mapping[str, Bench], styles: Mapping[str, Style]
) -> Iterator[Block]:
    """The blocks of one kind of disturbance."""
    bench = by_column[report.main_column or next(iter(by_column))]
    yield Paragraph((_WHAT[bench.kind],))
    if bench.incomplete:
        lacking = "; ".join(
            f"{one.row.title}: {', '.join(f'{level:g}' for level in one.lacks)}"
            for one in bench.incomplete
        )
        yield Paragraph((
            "Not every seed of these rows has predicted all levels, so that they have no area and "
            f"no number at these levels (the command that ran them goes on): {lacking}.",
        ))  # fmt: skip
    if any(one.levels for one in bench.rows):
        yield _chart(report, report.main_column or next(iter(by_column)), bench, styles)
    compared = [
        comparison
        for of_column in by_column.values()
        for one in of_column.rows
        for comparison in (one.area_comparison, *(at.comparison for at in one.levels))
    ]
    yield Paragraph((_areas_are(report, bench), *caveat(compared)))
    yield from (_area_table(report, column, one) for column, one in by_column.items())
    tables = [
        table for column, one in by_column.items() for table in _level_tables(report, column, one)
    ]
    yield Section(f"{bench.about.title}, level by level", tuple(tables), folded=True)


def _chart(report: Report, column: str, bench: Bench, styles: Mapping[str, Style]) -> Chart:
    alike = [one for one in bench.rows if one.levels and _is_alike(report, one, column)]
    errors = Panel(
        f"{column} ({report.columns[column]})",
        bench.about.axis,
        "NME, %",
        tuple(_error_curve(one, styles) for one in alike),
    )
    told = tuple(curve for one in alike if len((curve := _map_curve(one, bench.kind, styles)).x))
    caption: Phrase = (
        f"NME over the {bench.about.axis}, as the mean over seeds, with its 95 % interval over "
        "faces and seeds",
    )
    panels: tuple[Panel, ...] = (errors,)
    if told:
        panels = (errors, Panel("what the map P tells", bench.about.axis, "AUROC of 1 − P", told))
        caption += (
            "; AUROC of 1 − P within a face, of hidden landmarks against visible ones (0.5 tells "
            "nothing)",
        )
    ends = "; ".join(
        f"{one.row.title} from {one.levels[0].nme.mean:.2f} % at {one.levels[0].level:g} to "
        f"{one.levels[-1].nme.mean:.2f} % at {one.levels[-1].level:g}"
        for one in alike
    )
    text = f"{bench.about.title}: NME on {column}, {ends}."
    return Chart(f"disturbed-{bench.kind}", (*caption, "."), text, panels)


def _is_alike(report: Report, one: DisturbedRow, column: str) -> bool:
    return one.row.is_reference or report.is_alike(one.row, column)


def _error_curve(one: DisturbedRow, styles: Mapping[str, Style]) -> Curve:
    intervals = [at.nme.interval for at in one.levels]
    known = [interval for interval in intervals if interval is not None]
    banded = known if len(known) == len(intervals) else []
    return Curve(
        one.row.title,
        styles[one.row.title],
        tuple(at.level for at in one.levels),
        tuple(at.nme.mean for at in one.levels),
        tuple(interval.low for interval in banded),
        tuple(interval.high for interval in banded),
    )


def _map_curve(one: DisturbedRow, kind: str, styles: Mapping[str, Style]) -> Curve:
    """AUROCs over levels; without level 0 of pasted occluders, which has none of them."""
    told = [
        (at.level, at.map_tells.within)
        for at in one.levels
        if at.map_tells is not None and at.map_tells.within is not None
        if at.level or kind != "occluders"
    ]
    return Curve(
        one.row.title,
        styles[one.row.title],
        tuple(level for level, _ in told),
        tuple(within.estimate for _, within in told),
        tuple(within.low for _, within in told),
        tuple(within.high for _, within in told),
    )


def _areas_are(report: Report, bench: Bench) -> str:
    first, last = bench.levels[0], bench.levels[-1]
    reference = "the reference" if report.reference is None else report.reference.title
    return (
        f"NME in percent without disturbance and at level {last:g}; its mean over the levels, "
        f"which is the area under the curve over the range {first:g} to {last:g}, with its 95 % "
        f"interval; the difference of that mean from {reference}, with its interval and Holm's p "
        "over the rows of a table."
    )


def _area_table(report: Report, column: str, bench: Bench) -> Table:
    first, last = bench.levels[0], bench.levels[-1]
    caption: Phrase = (Code(column), f" ({report.columns[column]}).")
    columns = (
        MODEL, Column("NME at 0", better="lower"), Column(f"at {last:g}", better="lower"),
        Column("mean over levels", better="lower"), Column("difference"), Column("p"), VERDICT,
    )  # fmt: skip

    def line_of(one: DisturbedRow) -> Line:
        unlike = report.unlike_of(one.row, column)
        ends = (_at(one, level) for level in (first, last))
        cells = [
            *(number(None if at is None else at.nme.mean, "{:.2f}", unlike) for at in ends),
            measured(one.area, unlike),
            *against(one.area_comparison),
        ]
        return line(report, one.row, cells, is_compared=True)

    lines = tuple(line_of(one) for one in bench.rows if one.levels)
    return Table(f"disturbed-{bench.kind}-{slug(column)}", caption, columns, lines)


def _level_tables(report: Report, column: str, bench: Bench) -> Iterator[Table]:
    """NME, difference from the reference and AUROC of 1 − P at each level."""
    rows = [one for one in bench.rows if one.levels]
    compared = [one for one in rows if any(at.comparison is not None for at in one.levels)]
    mapped = [one for one in rows if any(at.map_tells is not None for at in one.levels)]
    # Of the first row that has the level.
    achieved = {at.level: f"{at.amount:.3f}" for one in reversed(rows) for at in one.levels}
    amounts = ", ".join(achieved.get(level, texts.NOTHING) for level in bench.levels)

    def nme(one: DisturbedRow, at: AtLevel) -> Cell:
        return number(at.nme.mean, "{:.2f}", report.unlike_of(one.row, column))

    questions: tuple[
        tuple[str, str, Sequence[DisturbedRow], Callable[[DisturbedRow, AtLevel], Cell]], ...
    ] = (
        ("nme", f"NME in percent; achieved in the mean over faces: {amounts}", rows, nme),
        (
            "difference",
            "difference of the NME from the reference in percentage points; * where Holm's p over "
            f"the rows of a level is below {SIGNIFICANT:g}",
            compared,
            _difference,
        ),
        (
            "auroc",
            "AUROC of 1 − P within a face, of hidden landmarks against visible ones",
            mapped,
            _auroc,
        ),
    )
    columns = (MODEL, *(Column(f"{level:g}") for level in bench.levels))
    for name, what, kept, cell_of in questions:
        lines = tuple(
            line(
                report,
                one.row,
                [
                    EMPTY if (at := _at(one, level)) is None else cell_of(one, at)
                    for level in bench.levels
                ],
            )
            for one in kept
        )
        if lines:
            caption: Phrase = (Code(column), f", by the {bench.about.axis}: {what}.")
            named = f"disturbed-{bench.kind}-{name}-{slug(column)}"
            yield Table(named, caption, columns, lines)


def _at(one: DisturbedRow, level: float) -> AtLevel | None:
    return next((at for at in one.levels if at.level == level), None)


def _difference(_: DisturbedRow, at: AtLevel) -> Cell:
    if at.comparison is None:
        return EMPTY
    found = 100 * at.comparison.difference
    return Cell(f"{found:+.2f}{'*' if at.comparison.is_detected else ''}", found)


def _auroc(_: DisturbedRow, at: AtLevel) -> Cell:
    told = at.map_tells
    return (
        EMPTY
        if told is None
        else Cell(texts.within_faces(told), None if told.within is None else told.within.estimate)
    )
