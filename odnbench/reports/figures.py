"""The figures of a report, drawn through matplotlib's objects: no global state, no display."""

# T thresholds of a CED curve

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from odnbench.metrics.ced import ced
from odnbench.plan.trials import Coverage
from odnbench.reports.cost_figure import cost_figure
from odnbench.reports.looks import PALETTE, in_figure
from odnbench.reports.ranks import RankRow
from odnbench.reports.report import Report
from odnbench.reports.search_figures import search_figures
from odnbench.results.records import Epoch
from odnbench.scoring.scores import Score

STYLES = ("-", (0, (5, 2)))
LARGEST_NME_PERCENT = 25.0
_LEGEND_CHARACTERS = 40
_SMALLEST_SINGULAR_VALUE = 1e-6  # of the largest; float32 has 24 bits


@dataclass(frozen=True)
class Curve:
    """A line of a figure, with all that decides its colour and dash."""

    title: str
    scores: Mapping[str, Score]  # by column
    epochs: Sequence[Epoch]
    is_reference: bool
    is_trained: bool


def figures_of(report: Report) -> dict[str, Figure]:
    """File name → figure."""
    label = "rendered faces" if report.rendered else "real faces"
    curves = [
        Curve(
            # A legend of one long line would leave no room for the panels.
            fill(in_figure(row.title), _LEGEND_CHARACTERS, break_on_hyphens=False),
            row.trials[0].scores if row.trials else row.foreign,
            row.trials[0].epochs if row.trials else (),
            row.is_reference,
            row.is_trained or not row.trials,
        )
        for row in report.table
    ]
    named: dict[str, Figure] = {}
    if report.columns:
        named[f"{report.pipeline.name}-ced.png"] = ced_figure(
            curves, report.columns, report.protocol.failure_percent
        )
    trained = [curve for curve in curves if curve.epochs]
    if trained:
        named[f"{report.pipeline.name}-training.png"] = training_figure(trained, label)
    if report.front and report.main_column is not None:
        titles = [row.title for row in report.table]
        styles = dict(zip(titles, line_styles(curves), strict=True))
        named[f"{report.pipeline.name}-cost.png"] = cost_figure(
            report.costs, styles, report.main_column, label
        )
    ranked = [rank for rank in report.ranks if rank.product_spectrum]
    if ranked:
        shown = next((rank for rank in ranked if rank.row is report.exemplar_row), ranked[0])
        named[f"{report.pipeline.name}-spectrum.png"] = spectrum_figure(shown, label)
    if report.search is not None:
        symbols = {f"loss.{weight.name}": weight.symbol for weight in report.penalties}
        named |= search_figures(report.search, report.pipeline.name, label, symbols)
    return named


def ced_figure(
    curves: Sequence[Curve], columns: Mapping[str, Coverage], failure_percent: float
) -> Figure:
    """CED curves, one panel per column."""
    figure = Figure(figsize=(4.6 * len(columns) + 2.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    # The mean shape would stretch the axis beyond what tells the networks apart.
    networks = [curve.scores for curve in curves if curve.is_trained]
    networks = networks or [curve.scores for curve in curves]
    far = [np.quantile(s[column].nme, 0.98) for s in networks for column in columns if column in s]
    largest = max(failure_percent, min(LARGEST_NME_PERCENT, 100 * max(far)))
    thresholds = np.linspace(0, largest, 500)  # (T,)
    for panel, (column, coverage) in zip(panels, columns.items(), strict=True):
        for curve, (colour, style) in zip(curves, line_styles(curves), strict=True):
            scores, title = curve.scores, curve.title
            if column in scores:
                share = ced(scores[column].nme, thresholds / 100) * 100
                panel.plot(
                    thresholds, share, color=colour, linestyle=style, linewidth=1.6, label=title
                )
        panel.axvline(failure_percent, color="0.6", linewidth=0.8, linestyle=":")
        panel.set(xlabel="NME, %", xlim=(0, largest), ylim=(0, 100))
        panel.set_title(in_figure(f"{column} ({coverage})"), fontsize=10)
        panel.grid(color="0.92")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of faces, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def training_figure(curves: Sequence[Curve], label: str) -> Figure:
    """Validation error by epoch."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    panel = figure.subplots()
    for curve, (colour, style) in zip(curves, line_styles(curves), strict=True):
        x = [epoch.epoch for epoch in curve.epochs]
        y = [epoch.validation_nme_percent for epoch in curve.epochs]
        panel.plot(
            x, y, color=colour, linestyle=style, marker=".", linewidth=1.3, label=curve.title
        )
    panel.set(xlabel="epoch", ylabel="validation NME, %", yscale="log")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("{x:g}")
    panel.tick_params(axis="y", which="both", labelsize=8)
    panel.set_title(f"Validation error while training ({label})", fontsize=10)
    panel.grid(color="0.92", which="both")
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure


def spectrum_figure(rank: RankRow, label: str) -> Figure:
    """Singular values of M and of M W_fcᵀ, each over its largest."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    panel = figure.subplots()
    spectra = {"M": rank.spectrum, "M W_fcᵀ": rank.product_spectrum}
    for (name, spectrum), colour in zip(spectra.items(), PALETTE, strict=False):
        sigma = np.array(spectrum)
        seen = sigma / sigma[0] if sigma[0] > 0 else sigma
        # Values of no more than rounding errors would stretch the axis.
        seen = np.where(seen > _SMALLEST_SINGULAR_VALUE, seen, np.nan)
        panel.plot(np.arange(1, len(sigma) + 1), seen, color=colour, linewidth=1.6, label=name)
    panel.set(xlabel="singular value", ylabel="size over the largest", yscale="log")
    panel.set_title(f"Spectra of {in_figure(rank.row.title)} ({label})", fontsize=10)
    panel.grid(color="0.92", which="both")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)
    return figure


def line_styles(curves: Sequence[Curve]) -> list[tuple[str, object]]:
    """(colour, dash) of each line: the reference's is black, those without training dotted grey."""
    styles: list[tuple[str, object]] = []
    for curve in curves:
        index = sum(colour not in ("0.5", "black") for colour, _ in styles)
        if not curve.is_trained:
            styles.append(("0.5", ":"))
        elif curve.is_reference:
            styles.append(("black", "-"))
        else:
            styles.append(
                (PALETTE[index % len(PALETTE)], STYLES[index // len(PALETTE) % len(STYLES)])
            )
    return styles
