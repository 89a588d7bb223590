"""Where in the face errors are: by part of the face, and on visible and occluded points."""

from collections.abc import Sequence

from odnbench.metrics.breakdown import Group
from odnbench.reports.document import Code, Column, Phrase, Section, Table
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.reports.sections.cells import MODEL, line, number
from odnbench.scoring.groups import mean_group

# Kind of a group → its title, around its name.
_TITLES = {"component": "{}", "points": "{} points", "occluded": "{}"}
_SHARES = "faces by the share of their landmarks that is occluded"
Groups = Sequence[tuple[Row, list[tuple[Group, ...]]]]  # of each seed


def parts(report: Report) -> Section | None:
    """The errors on the main column by groups of points; None where no row has any."""
    column = report.main_column or ""
    held = [(row, [t.clean.groups.get(column, ()) for t in row.trials]) for row in report.rows]
    tables = [
        _table(report, column, name, what, held, kinds)
        for name, what, kinds in (
            (
                "parts",
                "parts of the face, and visible and occluded points",
                ("component", "points"),
            ),
            ("occluded-shares", _SHARES, ("occluded",)),
        )
    ]
    shown = tuple(table for table in tables if len(table.columns) > 1)
    title = "Errors by part of the face and by occlusion"
    return Section(title, shown, folded=True) if shown else None


def _table(
    report: Report, column: str, name: str, what: str, held: Groups, kinds: Sequence[str]
) -> Table:
    """A column for each group of the kinds that any row has."""
    every = [group for _, seeds in held for seed in seeds for group in seed if group.by in kinds]
    first = {(group.by, group.name): group for group in reversed(every)}
    groups = [first[key] for key in dict.fromkeys((one.by, one.name) for one in every)]
    columns = [Column(_TITLES[one.by].format(one.name), better="lower") for one in groups]
    caption: Phrase = (
        "Mean distance in percent of the normaliser on ", Code(column), ", over all points of a "
        f"group together{', mean over seeds' if report.seeds > 1 else ''}: {what}.",
    )  # fmt: skip
    sizes = "; ".join(
        f"{title.title}: {one.points:,} points of {one.faces:,} faces"
        for title, one in zip(columns, groups, strict=True)
    )
    lines = tuple(
        line(report, row, [
            number(mean_group(seeds, one.by, one.name), "{:.2f}", report.unlike_of(row, column))
            for one in groups
        ])
        for row, seeds in held
    )  # fmt: skip
    return Table(name, caption, (MODEL, *columns), lines, ((f"{sizes}.",),))
