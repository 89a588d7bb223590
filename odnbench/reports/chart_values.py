"""The numbers of a chart, for a script that draws them and for those who want to read them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odnbench.errors import one_line
from odnbench.reports.document import Cell, Chart, Column, Curve, Line, Panel, Table

_SHOWN = 8  # x of a curve in a table
_PRECISION = ".6g"  # that a drawing needs


def chart_values(chart: Chart) -> Mapping[str, Any]:
    """The chart as JSON can hold it; None stands for a number that is not finite."""
    return {"panels": [_panel(panel) for panel in chart.panels]}


def tables_of(chart: Chart) -> list[Table]:
    """A table for each panel, with a few of the values of each curve, at both ends and between."""
    return [
        _table(f"values-{chart.name}-{index}", panel)
        for index, panel in enumerate(chart.panels, 1)
        if any(len(curve.x) for curve in panel.curves)
    ]


def _panel(panel: Panel) -> Mapping[str, Any]:
    befores = (None, *panel.curves)
    return {
        "title": one_line(panel.title),
        "xLabel": one_line(panel.x_label),
        "yLabel": one_line(panel.y_label),
        "xRange": panel.x_range,
        "yRange": panel.y_range,
        "logX": panel.log_x,
        "logY": panel.log_y,
        "marks": _numbers(panel.marks),
        "curves": [
            _curve(curve, before) for curve, before in zip(panel.curves, befores, strict=False)
        ],
    }


def _curve(curve: Curve, before: Curve | None) -> Mapping[str, Any]:
    """The curve; its x is None where it is that of the curve before, as of most curves it is."""
    is_same = before is not None and np.array_equal(curve.x, before.x)
    return {
        "title": one_line(curve.title),
        "colour": curve.style.colour,
        "dash": curve.style.dash,
        "isPoints": curve.is_points,
        "x": None if is_same else _numbers(curve.x),
        "y": _numbers(curve.y),
        "low": _numbers(curve.low),
        "high": _numbers(curve.high),
    }


def _numbers(values: Sequence[float]) -> list[float | None]:
    # Numbers of Python's own are formatted several times as fast as those of NumPy.
    own = np.asarray(values, np.float64).tolist()
    return [float(format(v, _PRECISION)) if math.isfinite(v) else None for v in own]


def _table(name: str, panel: Panel) -> Table:
    curves = [curve for curve in panel.curves if len(curve.x)]
    what = f"{panel.title}: {panel.y_label}" if panel.title else panel.y_label
    if len({tuple(curve.x) for curve in curves}) == 1 and len(curves[0].x) > 1:
        chosen = _chosen(len(curves[0].x))
        columns = [Column("curve", "text"), *(Column(_text(curves[0].x[i])) for i in chosen)]
        lines = [Line((Cell(c.title), *(_cell(c, i) for i in chosen)), c.title) for c in curves]
        return Table(name, (f"{what}, at {panel.x_label} of",), tuple(columns), tuple(lines))
    columns = [Column("curve", "text"), Column(panel.x_label), Column(panel.y_label)]
    lines = [
        Line((Cell(c.title), Cell(_text(c.x[i]), c.x[i]), _cell(c, i)), c.title)
        for c in curves
        for i in _chosen(len(c.x))
    ]
    return Table(name, (what,), tuple(columns), tuple(lines))


def _chosen(count: int) -> list[int]:
    """Indices of at most `_SHOWN` of `count` values, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, _SHOWN).round())]


def _cell(curve: Curve, index: int) -> Cell:
    value = float(curve.y[index])
    if not math.isfinite(value):
        return Cell("–")
    text = _text(value)
    if len(curve.low):
        text += f" ({_text(curve.low[index])}–{_text(curve.high[index])})"
    return Cell(text, value)


def _text(value: float) -> str:
    return f"{value:.4g}"
