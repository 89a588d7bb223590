"""What a search did: its setting, the points that fresh seeds confirm, the best, the front."""

from collections.abc import Sequence

from odnbench.reports import texts
from odnbench.reports.decision import progress
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Items,
    Line,
    Paragraph,
    Phrase,
    Plot,
    Section,
    Table,
)
from odnbench.reports.report import Report
from odnbench.reports.search import Confirmed, Searched
from odnbench.reports.search_figures import search_figures
from odnbench.reports.sections.cells import number
from odnbench.results.searches import SearchedPoint

_POINT = (Column("point"), Column("values", "text"))


def search(report: Report) -> Section | None:
    """The section of a search; None for a plan of no search."""
    held = report.search
    if held is None:
        return None
    blocks: list[Block] = [Paragraph((_told(held),)), _settings(held), _space(held)]
    if held.failed:
        failed: list[Phrase] = [
            (f"point {point.number}, {held.titles[point.number]}: "
             f"{point.reason or 'no reason is known'}",)
            for point in held.failed
        ]  # fmt: skip
        blocks.append(Section("Points whose training failed", (Items(tuple(failed)),)))
    blocks += [
        *_confirmed(held), *_best(held), *_front(held), *_shares(held), *_figures(report, held)
    ]  # fmt: skip
    return Section("The search", tuple(blocks))


def _told(held: Searched) -> str:
    told = progress(held)
    if held.promoted:
        told += f" {held.promoted} had been pruned and went on, being among the best after all."
    told += f" Epochs trained: {texts.counted(held.cost.used)}"
    if held.cost.saved > 0:
        told += (
            f", where {texts.counted(held.cost.unpruned)} would have been without pruning: "
            f"{100 * held.cost.saved:.0f} % saved"
        )
    return f"{told}."


def _settings(held: Searched) -> Table:
    record, settings = held.record, held.record.settings
    told = {
        "points proposed by": texts.sampler(settings),
        "points stopped early by": texts.pruner(settings, record.epochs),
        "trainings per point": f"{settings.repeats}, of {record.epochs} epochs",
        "made small": texts.listed([objective.title for objective in held.objectives]),
        "points asked for": texts.counted(record.trials),
    }
    if record.storage:
        told["study"] = record.storage
    lines = tuple(Line((Cell(name), Cell(value))) for name, value in told.items())
    columns = (Column("setting", "text"), Column("value", "text"))
    return Table("search-settings", ("How points were chosen.",), columns, lines)


def _space(held: Searched) -> Table:
    space = held.record.space
    lines = tuple(
        Line((Cell(key), Cell(texts.values_of(one)), Cell(texts.conditions(one))))
        for key, one in space.parameters.items()
    )
    columns = (Column("parameter", "code"), Column("values", "text"), Column("varied", "text"))
    caption: Phrase = ("Space ", Code(space.name), f" ({space.title}).")
    return Table("search-space", caption, columns, lines)


def _confirmed(held: Searched) -> list[Block]:
    decision = held.decision
    if not decision.confirmed:
        return []
    caption: Phrase = (
        "Validation NME in percent, in the search and as the mean over seeds that the search has "
        f"not used ({decision.finished} of {decision.planned} trainings finished). The points were "
        "chosen for low values in the search, which are therefore too low on average. The best of "
        "several is chosen by these very seeds, so that what is left of its gain is still a little "
        "too large; on the test faces it is not chosen.",
    )
    columns = (
        *_POINT, Column("fresh seeds"), Column("in the search"), Column("over fresh seeds"),
        Column("search less fresh seeds"),
    )  # fmt: skip
    lines = tuple(map(_confirmed_line, decision.confirmed))
    table = Table("search-confirmed", caption, columns, lines)
    return [Section("Trained again with fresh seeds", (table,))]


def _confirmed_line(one: Confirmed) -> Line:
    cells = (
        Cell(str(one.number), one.number), Cell(one.row.title),
        number(len(one.row.trials), "{}"), number(one.searched_nme_percent, "{:.2f}"),
        number(one.validation_nme_percent, "{:.2f}"), number(one.optimism, "{:+.2f}"),
    )  # fmt: skip
    return Line(cells, one.row.title, one.row.is_reference)


def _best(held: Searched) -> list[Block]:
    if not held.best:
        return []
    repeats = held.record.settings.repeats
    trainings = (
        "one training each" if repeats == 1 else f"the mean over {repeats} trainings each"
    )  # fmt: skip
    caption: Phrase = (
        f"By {held.objectives[0].title}, {trainings}: the first {len(held.best)} of "
        f"{texts.counted(held.counts['complete'])} complete points.",
    )
    states = {
        point.number: ", ".join([
            "complete",
            *(["had been pruned"] if point.promoted else []),
            *(["trained again"] if point.number in held.confirmed_numbers else []),
        ])
        for point in held.best
    }  # fmt: skip
    table = _points(held, "search-best", caption, held.best, states)
    return [Section("The best points of the search", (table,))]


def _front(held: Searched) -> list[Block]:
    if not held.front:
        return []
    objectives = texts.listed([objective.title for objective in held.objectives])
    caption: Phrase = (
        f"Of the complete points, those that no other one beats: as small in all of {objectives}, "
        "and smaller in one.",
    )
    return [Section("The Pareto front", (_points(held, "search-front", caption, held.front, {}),))]


def _points(
    held: Searched,
    name: str,
    caption: Phrase,
    points: Sequence[SearchedPoint],
    states: dict[int, str],
) -> Table:
    """A line for each point with its objectives and, where `states` has any, its state."""
    objectives = tuple(Column(f"{one.title}, {one.unit}") for one in held.objectives)
    columns = (*_POINT, *objectives, *((Column("state", "text"),) if states else ()))
    lines = tuple(
        Line((
            Cell(str(point.number), point.number), Cell(held.titles[point.number]),
            *(number(value, "{:.4g}") for value in point.values),
            *((Cell(states[point.number]),) if states else ()),
        ))
        for point in points
    )  # fmt: skip
    return Table(name, caption, columns, lines)


def _shares(held: Searched) -> list[Block]:
    if not held.shares:
        return []
    record = held.record
    caption: Phrase = (
        f"The share of the spread of {held.objectives[0].title} that a parameter explains over the "
        f"{texts.counted(held.counts['complete'])} complete points, by {record.importance_method}: "
        f"mean over {len(record.importances[0].values)} seeds of the method, with the smallest and "
        "the largest. It holds for the ranges that were searched. Parameters that are not varied "
        "everywhere are left out.",
    )
    lines = tuple(
        Line((
            Cell(share.key), number(share.mean, "{:.2f}"),
            Cell(f"{share.low:.2f} to {share.high:.2f}"),
        ))
        for share in held.shares
    )  # fmt: skip
    columns = (
        Column("parameter", "code"), Column("share"), Column("smallest to largest", "text")
    )  # fmt: skip
    table = Table("search-shares", caption, columns, lines)
    return [Section("Which parameters matter", (table,))]


_CAPTIONS = {
    "search-history": "The value of each point, and the best so far, over the epochs trained",
    "search-slices": "The value of each point over each parameter",
    "search-parallel": "A line for each point through its values, the best drawn last",
    "search-contour": "The value between the complete points, interpolated, over the two "
    "parameters with a range that matter most",
    "search-front": "The complete points by their first two objectives, and the Pareto front",
}


def _figures(report: Report, held: Searched) -> list[Block]:
    label = "rendered faces" if report.rendered else "real faces"
    symbols = {f"loss.{weight.name}": weight.symbol for weight in report.penalties}
    best = held.best[0] if held.best else None
    told = "" if best is None else f"; best: {held.titles[best.number]}, {best.values[0]:.4g}"
    plots = [
        Plot(name, (f"{_CAPTIONS[name]}.",), f"{_CAPTIONS[name]}{told}.", draw)
        for name, draw in search_figures(held, label, symbols).items()
    ]
    return [Section("Figures of the search", tuple(plots))] if plots else []
