"""Figures of effects and of errors in bars, drawn through matplotlib's objects."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from odnbench.metrics.factorial import Effect
from odnbench.reports.document import Style
from odnbench.reports.drawing import plain_axes
from odnbench.reports.looks import PALETTE, in_figure, in_legend, line_of
from odnbench.reports.rows import Measured, Row

_UNSEEN = "0.6"


def effects_figure(effects: Sequence[Effect], title: str) -> Figure:
    """A dot with its interval for each effect, in percentage points; detected ones are filled."""
    figure = Figure(figsize=(7.6, 0.42 * len(effects) + 1.5), layout="constrained")
    axes = figure.subplots()
    for place, effect in enumerate(effects):
        of, colour = effect.interval, PALETTE[0] if effect.is_detected else _UNSEEN
        ends = [[of.estimate - of.low], [of.high - of.estimate]] if of.is_bounded else [[0], [0]]
        axes.errorbar(
            [100 * of.estimate], [place], xerr=100 * np.maximum(0, ends), marker="o", color=colour,
            markerfacecolor=colour if effect.is_detected else "white", linestyle="",
        )  # fmt: skip
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_yticks(range(len(effects)), [in_figure(" × ".join(e.modules)) for e in effects])
    axes.invert_yaxis()
    axes.set_xlabel("change of the NME, percentage points (filled: detected)")
    axes.set_title(in_figure(title), fontsize=10)
    plain_axes(axes)
    return figure


def errors_figure(
    shown: Sequence[tuple[Row, Measured, float | None]], styles: Mapping[str, Style], title: str
) -> Figure:
    """A bar for each row, its NME with its interval, and a hatched one for a published NME."""
    figure = Figure(figsize=(9.0, 0.62 * len(shown) + 1.5), layout="constrained")
    axes = figure.subplots()
    any_published = any(published is not None for *_, published in shown)
    shift = 0.2 if any_published else 0.0
    for place, (row, measured, published) in enumerate(shown):
        colour = line_of(styles[row.title])["color"]
        found = measured.interval
        ends = None
        if found is not None:
            ends = np.maximum(0, [[measured.mean - found.low], [found.high - measured.mean]])
        axes.barh(place - shift, measured.mean, 0.38, color=colour, xerr=ends, ecolor="0.4")
        if published is not None:
            axes.barh(place + shift, published, 0.38, color="white", edgecolor=colour, hatch="///")
    axes.set_yticks(range(len(shown)), [in_legend(row.title) for row, *_ in shown])
    axes.invert_yaxis()
    told = "filled: ours, with 95 % interval; hatched: the paper's"
    axes.set_xlabel(f"NME, % ({told if any_published else 'with 95 % interval'})")
    axes.set_title(in_figure(title), fontsize=10)
    plain_axes(axes)
    return figure
