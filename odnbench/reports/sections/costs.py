"""What the networks cost, and which of them nothing else beats in error and cost."""

from odnbench.reports import texts
from odnbench.reports.cost_figure import cost_figure
from odnbench.reports.costs import CostRow
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Paragraph,
    Phrase,
    Plot,
    Section,
    Style,
    Table,
)
from odnbench.reports.report import Report
from odnbench.reports.sections.cells import MODEL, line
from odnbench.results.records import COST_BATCH


def costs(report: Report, styles: dict[str, Style]) -> Section | None:
    """The costs as a table, and error against cost as a figure; None where none was measured."""
    if not report.costs:
        return None
    caption: Phrase = (
        "Multiply-adds of convolutions and matrix products for one face. Time per face, one at a "
        f"time and in batches of {COST_BATCH}: the fastest of a few runs of the network as it "
        f"predicts{', mean over seeds' if report.seeds > 1 else ''}; other processes may have been "
        "at work beside, and times on unlike machines cannot be compared. Peak memory of "
        f"predicting {COST_BATCH} faces: weights, pictures and the features that are held at one "
        "time; on a GPU with the scratch space of its operations. Of a network that does not "
        "run in torch neither work nor memory is known.",
    )
    columns = (
        MODEL, Column("parameters"), Column("multiply-adds"), Column("ms, one at a time"),
        Column("ms in batches"), Column("peak memory"), Column("measured on", "text"),
    )  # fmt: skip
    lines = tuple(line(report, cost.row, _cells(cost)) for cost in report.costs)
    blocks: list[Block] = [Table("costs", caption, columns, lines)]
    if report.front and report.main_column is not None:
        titles = "; ".join(row.title for row in report.front)
        blocks += [
            Paragraph((
                "On the front of multiply-adds and mean NME on ", Code(report.main_column),
                f", where no other network is as low in both: {titles}. Intervals of the NME do "
                "not enter that.",
            )),
            _plot(report, styles, report.main_column, titles),
        ]  # fmt: skip
    if report.without_cost:
        titles = ", ".join(row.title for row in report.without_cost)
        told = f"Not measured: {titles}; results of an earlier version hold no cost."
        blocks.append(Paragraph((told,)))
    return Section("What the networks cost", tuple(blocks), folded=True)


def _cells(cost: CostRow) -> list[Cell]:
    machines = "; ".join(map(texts.machine_name, cost.machines))
    return [
        Cell(texts.counted(cost.row.parameters), cost.row.parameters),
        Cell(texts.millions(cost.multiply_adds), cost.multiply_adds),
        Cell(texts.milliseconds(cost.ms_single), cost.ms_single),
        Cell(texts.milliseconds(cost.ms_batched), cost.ms_batched),
        Cell(texts.megabytes(cost.peak_bytes), cost.peak_bytes),
        Cell(machines),
    ]


def _plot(report: Report, styles: dict[str, Style], column: str, front: str) -> Plot:
    label = "rendered faces" if report.columns[column].rendered else "real faces"
    shown = [cost for cost in report.costs if report.is_alike(cost.row, column)]
    return Plot(
        "cost",
        ("Error against cost on ", Code(column), "; a line joins the front."),
        f"On the front of multiply-adds and NME: {front}.",
        lambda: cost_figure(shown, styles, column, label),
    )
