"""The figures of a search: what its points have cost and come to, and which values do well."""

# K points, J parameters

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation

from odnbench.arrays import Floats
from odnbench.plan.spaces import Parameter
from odnbench.reports.drawing import plain_axes
from odnbench.reports.looks import PALETTE, in_figure
from odnbench.reports.search import Searched, epochs_of
from odnbench.results.searches import OBJECTIVES, SearchedPoint

_FEWEST_FOR_CONTOUR = 8  # complete points
_PRUNED = "0.72"
_COLOURS = "viridis"


def search_figures(
    search: Searched, label: str, symbols: Mapping[str, str]
) -> dict[str, Callable[[], Figure]]:
    """Name → what draws the figure. label: whether faces are rendered.

    symbols: dotted key of a parameter → its symbol in figures, as "α", where it has one.
    """
    points = [point for point in search.record.points if _value(point) is not None]
    figures: dict[str, Callable[[], Figure]] = {}
    if not any(point.values for point in points):
        return figures
    titles = {
        key: in_figure(symbols.get(key, key.rpartition(".")[2]))
        for key in search.record.space.parameters
    }
    figures["search-history"] = partial(history_figure, search, points, label)
    figures["search-slices"] = partial(slices_figure, search, points, titles, label)
    if len(titles) > 1:
        figures["search-parallel"] = partial(parallel_figure, search, points, titles, label)
    if (contour := _Contour.of(search, points)) is not None:
        figures["search-contour"] = partial(contour_figure, contour, titles, label)
    if len(search.objectives) > 1:
        figures["search-front"] = partial(front_figure, search, label)
    return figures


def history_figure(search: Searched, points: Sequence[SearchedPoint], label: str) -> Figure:
    """The value of each point, and the best so far, over the epochs that the points have taken."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    panel = figure.subplots()
    cost = np.cumsum([epochs_of(point, search.record) for point in points])
    best, reached = math.inf, []
    for point in points:
        best = min(best, point.values[0] if point.values else math.inf)
        reached.append(best)
    complete = [bool(point.values) for point in points]
    values = np.array([_value(point) for point in points], dtype=float)
    mask = np.array(complete)
    panel.plot(cost[~mask], values[~mask], "x", color=_PRUNED, label="pruned, when stopped")
    panel.plot(cost[mask], values[mask], "o", color=PALETTE[0], markersize=4, label="complete")
    finite = np.isfinite(reached)
    panel.step(
        cost[finite],
        np.array(reached)[finite],
        where="post",
        color="black",
        linewidth=1.4,
        label="best so far",
    )
    if search.cost.unpruned > search.cost.used:
        panel.axvline(
            search.cost.unpruned, color="0.4", linestyle=":", label="the same points, none pruned"
        )
    panel.set(xlabel="epochs trained", ylabel=_objective(search), xlim=(0, None))
    limits = _limits(values[mask].tolist(), values.tolist())
    panel.set_ylim(*limits)
    panel.set_title(f"The search over its cost ({label}){_beyond(limits, values)}", fontsize=10)
    plain_axes(panel)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure


def slices_figure(
    search: Searched, points: Sequence[SearchedPoint], titles: Mapping[str, str], label: str
) -> Figure:
    """The value of each point over each parameter."""
    columns = min(3, len(titles))
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 2.9 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    complete = [point.values[0] for point in points if point.values]
    every = [value for point in points if (value := _value(point)) is not None]
    limits = _limits(complete, every)
    for panel, (key, parameter) in zip(
        panels.flat, search.record.space.parameters.items(), strict=False
    ):
        axis = _Axis(parameter)
        for is_complete, style, colour in ((False, "x", _PRUNED), (True, "o", PALETTE[0])):
            shown = [p for p in points if bool(p.values) == is_complete and key in p.point]
            panel.plot(
                [axis.place(point.point[key]) for point in shown],
                [_value(point) for point in shown],
                style, color=colour, markersize=4,
            )  # fmt: skip
        defaults = next((p for p in points if p.number == 0 and key in p.point), None)
        if defaults is not None:
            place = axis.place(defaults.point[key])
            panel.plot([place], [_value(defaults)], "D", color=PALETTE[5], markersize=6)
        axis.on(panel.xaxis, panel.set_xlim)
        panel.set_xlabel(titles[key])
        panel.set_ylim(*limits)
        plain_axes(panel)
    for panel in panels.flat[len(titles) :]:
        panel.set_visible(False)
    for panel in panels[:, 0]:
        panel.set_ylabel(_objective(search), fontsize=9)
    marks = [
        Line2D([], [], marker=marker, color=colour, linestyle="", label=text)
        for marker, colour, text in (
            ("o", PALETTE[0], "complete"), ("x", _PRUNED, "pruned"), ("D", PALETTE[5], "defaults"),
        )
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    title = f"Value by parameter ({label}){_beyond(limits, every)}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def parallel_figure(
    search: Searched, points: Sequence[SearchedPoint], titles: Mapping[str, str], label: str
) -> Figure:
    """A line for each point through its values; the best are drawn last. A line ends where the
    point has no value.
    """
    keys = list(titles)
    figure = Figure(figsize=(1.5 * len(keys) + 2.4, 4.2), layout="constrained")
    panel = figure.subplots()
    axes = {key: _Axis(search.record.space.parameters[key]) for key in keys}
    pruned = [_polyline(point, axes) for point in points if not point.values]
    complete = sorted((p for p in points if p.values), key=lambda p: -p.values[0])
    panel.add_collection(LineCollection(pruned, colors=_PRUNED, linewidths=0.6, alpha=0.6))
    values = np.array([point.values[0] for point in complete])
    lines = LineCollection(
        [_polyline(point, axes) for point in complete],
        array=values, cmap=_COLOURS, linewidths=1.3,
    )  # fmt: skip
    # One point far off would leave one colour to all others.
    lines.set_clim(values.min(), max(float(np.quantile(values, 0.9)), values.min() + 1e-9))
    panel.add_collection(lines)
    for place, key in enumerate(keys):
        panel.axvline(place, color="0.3", linewidth=0.8)
        for height, text in axes[key].ticks:
            panel.annotate(
                text, (place, axes[key].share(height)), (3, 0), textcoords="offset points",
                fontsize=7, va="center", color="0.25",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
            )  # fmt: skip
    panel.set(xlim=(-0.15, len(keys) - 0.6), ylim=(-0.04, 1.04), yticks=[])
    panel.set_xticks(range(len(keys)), [titles[key] for key in keys])
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.set_title(f"All points ({label}); grey: pruned", fontsize=10)
    figure.colorbar(lines, ax=panel, label=_objective(search), extend="max")
    return figure


@dataclass(frozen=True)
class _Contour:
    """The complete points over the two parameters with a range that matter most."""

    keys: tuple[str, str]
    axes: "tuple[_Axis, _Axis]"
    places: Floats  # (2, K) on the axes
    values: Floats  # (K,)
    objective: str

    @property
    def shares(self) -> Floats:
        """(2, K) places as shares of the axes: triangles of unlike scales would be slivers."""
        return np.stack([axis.share(x) for axis, x in zip(self.axes, self.places, strict=True)])

    @classmethod
    def of(cls, search: Searched, points: Sequence[SearchedPoint]) -> "_Contour | None":
        """None where fewer than two parameters have a range, or too few points are complete, or
        all of these are on a line.
        """
        parameters = search.record.space.parameters
        keys = [share.key for share in search.shares if not parameters[share.key].choices][:2]
        shown = [p for p in points if p.values and all(key in p.point for key in keys)]
        if len(keys) < 2 or len(shown) < _FEWEST_FOR_CONTOUR:
            return None
        axes = (_Axis(parameters[keys[0]]), _Axis(parameters[keys[1]]))
        places = [
            [axis.place(point.point[key]) for point in shown]
            for axis, key in zip(axes, keys, strict=True)
        ]
        values = np.array([point.values[0] for point in shown])
        contour = cls((keys[0], keys[1]), axes, np.array(places), values, _objective(search))
        spread = contour.shares - contour.shares[:, :1]
        return contour if np.linalg.matrix_rank(spread, tol=1e-6) == 2 else None


def contour_figure(contour: _Contour, titles: Mapping[str, str], label: str) -> Figure:
    """The value between the complete points, interpolated."""
    values, (x, y) = contour.values, contour.places
    high = float(np.quantile(values, 0.9))
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    panel = figure.subplots()
    levels = np.linspace(values.min(), max(high, values.min() + 1e-9), 12)
    triangles = Triangulation(*contour.shares).triangles
    areas = panel.tricontourf(
        Triangulation(x, y, triangles), values, levels, cmap=_COLOURS, extend="max"
    )
    panel.plot(x, y, "o", color="white", markeredgecolor="black", markersize=4)
    contour.axes[0].on(panel.xaxis, panel.set_xlim)
    contour.axes[1].on(panel.yaxis, panel.set_ylim)
    panel.set(xlabel=titles[contour.keys[0]], ylabel=titles[contour.keys[1]])
    panel.set_title(f"Between the complete points, interpolated ({label})", fontsize=10)
    figure.colorbar(areas, ax=panel, label=contour.objective)
    return figure


def front_figure(search: Searched, label: str) -> Figure:
    """The complete points by their first two objectives, and the Pareto front."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    front = {point.number for point in search.front}
    values = np.array([point.values[:2] for point in search.record.best])
    on_front = np.array([point.number in front for point in search.record.best])
    panel.plot(*values[~on_front].T, "o", color=_PRUNED, markersize=4, label="other points")
    ends = values[on_front][np.argsort(values[on_front][:, 0])]
    panel.plot(*ends.T, "o-", color=PALETTE[0], markersize=5, label="Pareto front")
    first, second = search.objectives[:2]
    panel.set(xlabel=f"{first.title}, {first.unit}", ylabel=f"{second.title}, {second.unit}")
    panel.set_title(f"Objectives ({label})", fontsize=10)
    plain_axes(panel)
    panel.legend(frameon=False, fontsize=8)
    return figure


class _Axis:
    """Where values of a parameter stand on an axis: logarithms where its scale is logarithmic, with
    0 half a decade below the range; choices at whole numbers.
    """

    def __init__(self, parameter: Parameter):
        self.parameter = parameter
        if parameter.choices:
            self.low, self.high = -0.3, len(parameter.choices) - 0.7
            self.ticks = [(float(i), _short(c)) for i, c in enumerate(parameter.choices)]
            return
        low, high = parameter.low, parameter.high
        assert low is not None and high is not None
        self.low, self.high = self._number(low), self._number(high)
        if parameter.scale == "log":
            first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
            step = max(1, (last - first) // 4)
            decades = range(first, last + 1, step)
            self.ticks = [(float(d), f"$10^{{{d}}}$") for d in decades]
            if len(self.ticks) < 2:
                self.ticks = [(self.low, f"{low:.2g}"), (self.high, f"{high:.2g}")]
        else:
            self.ticks = [(float(t), f"{t:.3g}") for t in np.linspace(low, high, 4)]
        if parameter.zero:
            self.ticks.insert(0, (self.low - 0.5, "0"))
            self.low -= 0.5

    def place(self, value: Any) -> float:
        """Where a value stands."""
        if self.parameter.choices:
            return float(self.parameter.choices.index(value))
        return self.low if self.parameter.is_zero(value) else self._number(value)

    def share(self, place: Any) -> Any:
        """A place, or an array of places, as a share of the axis."""
        return (place - self.low) / (self.high - self.low)

    def on(self, axis: Any, set_limits: Any) -> None:
        """Sets ticks and limits of a panel's axis."""
        axis.set_ticks([place for place, _ in self.ticks], [text for _, text in self.ticks])
        axis.set_tick_params(labelsize=8)
        room = 0.04 * (self.high - self.low)
        set_limits(self.low - room, self.high + room)

    def _number(self, value: float) -> float:
        return math.log10(value) if self.parameter.scale == "log" else float(value)


def _polyline(point: SearchedPoint, axes: Mapping[str, _Axis]) -> list[tuple[float, float]]:
    """The line of a point through its values, up to the first parameter that it does not have."""
    line = []
    for place, (key, axis) in enumerate(axes.items()):
        if key not in point.point:
            break
        line.append((float(place), float(axis.share(axis.place(point.point[key])))))
    return line


def _value(point: SearchedPoint) -> float | None:
    """The first objective of a complete point; of a pruned one, what it had come to."""
    if point.values:
        return point.values[0]
    if point.state != "pruned" or not point.steps:
        return None
    return point.steps[max(point.steps, key=int)]


def _limits(complete: Sequence[float], every: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis of values, from which single points far above are left out."""
    low, high = min(every), float(np.quantile(np.array(every, dtype=float), 0.95))
    high = max(high, max(complete) if len(complete) < 4 else float(np.quantile(complete, 0.9)))
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _beyond(limits: tuple[float, float], values: Iterable[float]) -> str:
    """How many values lie above the limits of an axis, as the end of a title; "" for none."""
    count = sum(value > limits[1] for value in values)
    return f"; {count} above, not shown" if count else ""


def _objective(search: Searched) -> str:
    first = OBJECTIVES[search.record.settings.objectives[0]]
    return f"{first.title}, {first.unit}"


def _short(choice: Any) -> str:
    text = in_figure(str(choice))
    return text if len(text) <= 14 else f"{text[:13]}…"
