"""A chart, drawn through matplotlib's objects: no global state, no display."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from odnbench.reports.document import Chart, Curve, Panel
from odnbench.reports.looks import in_figure, in_legend, line_of

_BAND = 0.16  # opacity
_FEW = 5.0  # ratio of the largest value to the smallest, below which 1, 2 and 5 are too few ticks


def draw_chart(chart: Chart) -> Figure:
    """The panels of `chart` beside each other, with one legend for the curves of all.

    Panels of one label share their y axis.
    """
    panels = chart.panels
    shared = len({(panel.y_label, panel.y_range, panel.log_y) for panel in panels}) == 1
    figure = Figure(figsize=(4.6 * len(panels) + 2.8, 4.3), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=shared)[0]
    legend: dict[str, Artist] = {}
    for index, (on, panel) in enumerate(zip(axes, panels, strict=True)):
        _draw_panel(on, panel, with_y_label=index == 0 or not shared)
        handles, labels = on.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(legend.values()), list(legend), loc="outside right center", frameon=False, fontsize=8
    )
    return figure


def plain_axes(axes: Axes) -> None:
    """Gives axes the look of all figures: a light grid, and no frame."""
    axes.grid(color="0.92", which="both")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def few_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Gives a logarithmic axis ticks that can be read: 1, 2 and 5 of each decade, or, where
    `values` span too little for these, round numbers.
    """
    is_narrow = max(values) < _FEW * min(values)
    axis.set_major_locator(MaxNLocator(5) if is_narrow else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _draw_panel(axes: Axes, panel: Panel, *, with_y_label: bool) -> None:
    for curve in panel.curves:
        _draw_curve(axes, curve)
    for mark in panel.marks:
        axes.axvline(mark, color="0.6", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel=in_figure(panel.x_label),
        xscale="log" if panel.log_x else "linear",
        yscale="log" if panel.log_y else "linear",
        xlim=panel.x_range,
        ylim=panel.y_range,
    )
    if with_y_label:
        axes.set_ylabel(in_figure(panel.y_label))
    axes.set_title(in_figure(panel.title), fontsize=10)
    for axis, is_log, key in ((axes.xaxis, panel.log_x, "x"), (axes.yaxis, panel.log_y, "y")):
        if is_log:
            few_ticks(axis, [value for curve in panel.curves for value in getattr(curve, key)])
    if all(float(x).is_integer() for curve in panel.curves for x in curve.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain_axes(axes)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    look, title = line_of(curve.style), in_legend(curve.title)
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
    if not curve.is_points:
        axes.plot(x, y, linewidth=1.6, label=title, **look)
        if len(low):
            axes.fill_between(x, low, high, color=look["color"], alpha=_BAND, linewidth=0)
        return
    bars = np.maximum(0, [y - low, high - y]) if len(low) else None
    axes.errorbar(x, y, yerr=bars, color=look["color"], marker="o", linestyle="", label=title)
