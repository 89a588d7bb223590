"""The figures of a report, drawn with matplotlib's object interface (no global state, no
display).
"""

# T thresholds of a CED curve

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from odnbench.metrics.ced import ced
from odnbench.plan.specs import Coverage
from odnbench.results.records import Epoch
from odnbench.scoring.scores import Score

# Okabe and Ito's palette, distinguishable with colour-vision deficiency.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31", "#7F7F7F")
STYLES = ("-", (0, (5, 2)))
LARGEST_NME_PERCENT = 25.0


def ced_figure(
    curves: Sequence[tuple[str, str, Mapping[str, Score]]],
    columns: Mapping[str, Coverage],
    failure_percent: float,
) -> Figure:
    """CED curves, one panel per column. curves: (title, variant, column → score)."""
    figure = Figure(figsize=(4.6 * len(columns) + 2.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    # The mean shape would stretch the axis beyond what tells the networks apart.
    networks = [scores for _, variant, scores in curves if variant != "mean-shape"] or [
        scores for _, _, scores in curves
    ]
    far = [np.quantile(s[column].nme, 0.98) for s in networks for column in columns if column in s]
    largest = max(failure_percent, min(LARGEST_NME_PERCENT, 100 * max(far)))
    thresholds = np.linspace(0, largest, 500)  # (T,)
    for panel, (column, coverage) in zip(panels, columns.items(), strict=True):
        for title, (colour, style), scores in zip(
            (title for title, _, _ in curves),
            line_styles([variant for _, variant, _ in curves]),
            (scores for _, _, scores in curves),
            strict=True,
        ):
            if column in scores:
                share = ced(scores[column].nme, thresholds / 100) * 100
                panel.plot(
                    thresholds, share, color=colour, linestyle=style, linewidth=1.6, label=title
                )
        panel.axvline(failure_percent, color="0.6", linewidth=0.8, linestyle=":")
        panel.set(xlabel="NME, %", xlim=(0, largest), ylim=(0, 100))
        panel.set_title(f"{column} ({coverage})", fontsize=10)
        panel.grid(color="0.92")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of faces, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def training_figure(curves: Sequence[tuple[str, str, Sequence[Epoch]]], label: str) -> Figure:
    """Validation NME over the epochs. curves: (title, variant, epochs)."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    panel = figure.subplots()
    for (title, _, epochs), (colour, style) in zip(
        curves, line_styles([variant for _, variant, _ in curves]), strict=True
    ):
        x = [epoch.epoch for epoch in epochs]
        y = [epoch.validation_nme_percent for epoch in epochs]
        panel.plot(x, y, color=colour, linestyle=style, marker=".", linewidth=1.3, label=title)
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


def line_styles(variants: Sequence[str]) -> list[tuple[str, object]]:
    """A colour and a dash for each line; the mean shape is dotted grey, the full ODN black."""
    styles: list[tuple[str, object]] = []
    for variant in variants:
        index = sum(colour not in ("0.5", "black") for colour, _ in styles)
        if variant == "mean-shape":
            styles.append(("0.5", ":"))
        elif variant == "odn" and variants.count("odn") == 1:
            styles.append(("black", "-"))
        else:
            styles.append(
                (PALETTE[index % len(PALETTE)], STYLES[index // len(PALETTE) % len(STYLES)])
            )
    return styles
