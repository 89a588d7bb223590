"""The figure of error against cost, drawn through matplotlib's objects."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odnbench.reports.costs import CostRow, Machine, pareto_front
from odnbench.reports.document import Style
from odnbench.reports.drawing import few_ticks, plain_axes
from odnbench.reports.looks import in_figure, in_legend, line_of
from odnbench.reports.rows import Measured
from odnbench.reports.texts import machine_name

Point = tuple[CostRow, float, Measured]  # of a row: its cost on the axis, and its NME


def cost_figure(
    costs: Sequence[CostRow], styles: Mapping[str, Style], column: str, label: str
) -> Figure:
    """NME on `column` with its interval, over multiply-adds and, where all rows were measured on
    one machine, over the time for a single face; a line joins the Pareto front.

    styles: title of a row → its look in every figure. label: whether faces are rendered.
    """
    scored = [(cost, nme) for cost in costs if (nme := cost.row.number("nme", column)) is not None]
    axes: dict[str, list[Point]] = {
        "multiply-adds per face, millions": [
            (c, c.multiply_adds / 1e6, nme) for c, nme in scored if c.multiply_adds is not None
        ]
    }
    if (machine := _only_machine(costs)) is not None:
        title = f"ms per face, one at a time ({machine_name(machine)})"
        axes[in_figure(title)] = [(c, c.ms_single or 0.0, nme) for c, nme in scored]
    figure = Figure(figsize=(4.6 * len(axes) + 2.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(axes), squeeze=False, sharey=True)[0]
    for panel, (title, points) in zip(panels, axes.items(), strict=True):
        _draw(panel, points, styles)
        panel.set_xlabel(title)
    panels[0].set_ylabel("NME, %")
    figure.suptitle(in_figure(f"Error on {column} against cost ({label})"), fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _only_machine(costs: Sequence[CostRow]) -> Machine | None:
    """What all costs were measured on; None where that is not one machine."""
    machines = {machine for cost in costs for machine in cost.machines}
    return machines.pop() if len(machines) == 1 else None


def _draw(panel: Axes, points: Sequence[Point], styles: Mapping[str, Style]) -> None:
    on_front = pareto_front([(x, nme.mean) for _, x, nme in points])
    ends = sorted(
        (x, nme.mean) for (_, x, nme), is_on in zip(points, on_front, strict=True) if is_on
    )
    panel.plot(
        *zip(*ends, strict=True),
        color="0.6",
        linewidth=1.0,
        zorder=1,
        label="Pareto front (filled)",
    )
    for (cost, x, nme), is_on in zip(points, on_front, strict=True):
        style = styles[cost.row.title]
        colour = line_of(style)["color"]
        interval = nme.interval
        below_above = (
            None if interval is None
            else [[max(0.0, nme.mean - interval.low)], [max(0.0, interval.high - nme.mean)]]
        )  # fmt: skip
        panel.errorbar(
            [x], [nme.mean], yerr=below_above, color=colour,
            marker="o" if style.dash == "solid" else "s",
            markerfacecolor=colour if is_on else "white", linestyle="", linewidth=1.0,
            label=in_legend(cost.row.title),
        )  # fmt: skip
    panel.set_xscale("log")
    costs = [x for _, x, _ in points]
    panel.margins(x=0.15)
    few_ticks(panel.xaxis, costs)
    plain_axes(panel)
