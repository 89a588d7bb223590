"""The charts of a report: CED curves, training curves, and spectra of M."""

# S seeds, T thresholds of a CED curve, E epochs

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from odnbench.arrays import Floats
from odnbench.metrics.ced import ced
from odnbench.reports import texts
from odnbench.reports.document import Chart, Code, Curve, Panel, Style
from odnbench.reports.looks import PALETTE
from odnbench.reports.ranks import RankRow
from odnbench.reports.report import Report
from odnbench.reports.rows import Row

LARGEST_NME_PERCENT = 25.0
MOST_CURVES = 2 * len(PALETTE)  # each colour as a line and dashed
_THRESHOLDS = 251  # T
_SMALLEST_SINGULAR_VALUE = 1e-6  # of the largest; float32 has 24 bits
_BAND = "; the band reaches from the smallest to the largest of the seeds"


def plotted(report: Report) -> tuple[Row, ...]:
    """The rows that have curves: all, or where there are more of them than looks to tell them apart
    by, the reference and, of those that can be compared on the main column, the rows with the
    lowest NME there.
    """
    rows, column = report.table, report.main_column
    if len(rows) <= MOST_CURVES or column is None:
        return rows

    def place(row: Row) -> tuple[bool, float]:
        number = row.number("nme", column)
        return (not row.is_reference, math.inf if number is None else number.mean)

    alike = [row for row in rows if row.is_reference or report.is_alike(row, column)]
    kept = {row.title for row in sorted(alike, key=place)[:MOST_CURVES]}
    return tuple(row for row in rows if row.title in kept)


def _left_out(report: Report) -> str:
    count = len(plotted(report))
    if count == len(report.table):
        return ""
    return (
        f" Of {len(report.table)} rows, {count} are drawn: of those that can be compared, the ones "
        f"with the lowest NME on {report.main_column}"
        f"{', and the reference' if report.reference else ''}."
    )


def unlike_rows(report: Report, rows: Iterable[Row], columns: Collection[str]) -> str:
    """Those of `rows` that cannot be compared on some of `columns`, as "TITLE (reason); …"; ""
    where all can.
    """
    told: dict[str, list[str]] = {}
    for row in rows:
        for column in columns:
            if (why := report.unlike_of(row, column)) and not report.is_alike(row, column):
                told.setdefault(f"{row.title} ({why})", []).append(column)
    return "; ".join(
        text if len(on) == len(columns) else f"{text} on {texts.listed(on)}"
        for text, on in told.items()
    )


def ced_chart(report: Report, styles: Mapping[str, Style]) -> Chart:
    """CED curves, a panel for each column with the rows that can be compared on it: the mean over
    seeds, with a band.
    """
    failure = report.protocol.failure_percent
    # The mean shape would stretch the axis beyond what tells the networks apart.
    networks = [row for row in report.table if row.is_trained or not row.trials] or report.table
    far = [
        np.quantile(score.nme, 0.98)
        for row in networks
        for column in report.columns
        if report.is_alike(row, column)
        for score in row.scores_of(column)
    ]
    largest = float(max(failure, min(LARGEST_NME_PERCENT, 100 * max(far, default=0.0))))
    thresholds = np.linspace(0, largest, _THRESHOLDS)  # (T,)
    panels = tuple(
        Panel(
            f"{column} ({coverage})",
            "NME, %",
            "share of faces, %",
            tuple(
                _curve(row, styles, thresholds, _shares(row, column, thresholds))
                for row in plotted(report)
                if report.is_alike(row, column)
            ),
            x_range=(0.0, largest),
            y_range=(0.0, 100.0),
            marks=(failure,),
        )
        for column, coverage in report.columns.items()
    )
    several = ", as the mean over seeds" if report.seeds > 1 else ""
    unlike = unlike_rows(report, report.table, report.columns)
    caption = (
        f"Share of faces with an error of at most the NME on the axis{several}"
        f"{_BAND if several else ''}. The dotted line is the limit of FR and AUC, {failure:g} %."
        f"{_left_out(report)}{f' Not drawn: {unlike}.' if unlike else ''}",
    )
    best = {column: _lowest(report, column) for column in report.columns}
    text = "; ".join(
        f"on {column}, {share:.1f} % of the faces of {title} are at or below {failure:g} %, "
        "the most of all rows"
        for column, found in best.items()
        if found is not None
        for title, share in [found]
    )
    return Chart("ced", caption, f"Cumulative error distributions: {text}.", panels)


def _shares(row: Row, column: str, thresholds: Floats) -> Floats:
    """(S, T) CED of each seed in percent."""
    return np.array([100 * ced(s.nme, thresholds / 100) for s in row.scores_of(column)])


def _lowest(report: Report, column: str) -> tuple[str, float] | None:
    """The row with the smallest failure rate on `column`, and its share of faces that do not fail;
    None where no row has one.
    """
    rates = [
        (number.mean, row.title)
        for row in report.table
        if (number := row.number("failures", column)) is not None and report.is_alike(row, column)
    ]
    return (min(rates)[1], 100 - min(rates)[0]) if rates else None


def training_chart(report: Report, styles: Mapping[str, Style]) -> Chart | None:
    """Validation NME by epoch: the mean over seeds, with a band; None where nothing was trained."""
    curves = []
    rows = [row for row in plotted(report) if row.is_trained]
    for row in rows:
        runs = [[e.validation_nme_percent for e in t.epochs] for t in row.trials if t.epochs]
        shared = min(map(len, runs))  # E, of epochs that every seed has
        epochs = np.array([epoch.epoch for epoch in row.trials[0].epochs[:shared]], float)
        curves.append(_curve(row, styles, epochs, np.array([run[:shared] for run in runs])))
    if not curves:
        return None
    trained_on_rendered = {row.trials[0].trial.coverage[0].rendered for row in rows}
    label = " and ".join("rendered" if one else "real" for one in sorted(trained_on_rendered))
    unlike = unlike_rows(report, rows, [report.main_column] if report.main_column else [])
    several = f", as the mean over seeds{_BAND}" if report.seeds > 1 else ""
    ends = ", ".join(f"{curve.title} {curve.y[-1]:.2f} %" for curve in curves)
    panel = Panel(
        f"Validation error while training ({label} faces)",
        "epoch",
        "validation NME, %",
        tuple(curves),
        log_y=True,
    )
    caption = (
        f"Error on the validation part of the training faces after each epoch{several}."
        f"{_left_out(report)}"
        f"{f' Each row by its own protocol. Not comparable in tests: {unlike}.' if unlike else ''}",
    )
    return Chart("training", caption, f"Validation NME after the last epoch: {ends}.", (panel,))


def spectrum_chart(rank: RankRow, label: str) -> Chart:
    """Singular values of M and of M W_fcᵀ, each over its largest. label: which faces."""
    curves = []
    for (name, spectrum), colour in zip(
        {"M": rank.spectrum, "M W_fcᵀ": rank.product_spectrum}.items(), PALETTE, strict=False
    ):
        sigma = np.array(spectrum)
        seen = sigma / sigma[0] if sigma[0] > 0 else sigma
        # Values of no more than rounding errors would stretch the axis.
        kept = seen > _SMALLEST_SINGULAR_VALUE
        curves.append(
            Curve(name, Style(colour), (np.flatnonzero(kept) + 1.0).tolist(), seen[kept].tolist())
        )
    panel = Panel(
        f"Spectra of {rank.row.title} ({label})",
        "singular value",
        "size over the largest",
        tuple(curves),
        log_y=True,
    )
    caption = ("Singular values of ", Code("M"), " and ", Code("M W_fcᵀ"), ", first seed.")
    text = (
        f"Effective rank of M {rank.effective[1]:.1f} of {len(rank.spectrum)}, of M W_fcᵀ "
        f"{rank.product_effective or 0:.1f}."
    )
    return Chart("spectrum", caption, text, (panel,))


def _curve(row: Row, styles: Mapping[str, Style], x: Floats, by_seed: Floats) -> Curve:
    """The mean over seeds of values (S, len(x)), and, for several, their smallest and largest."""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    if len(by_seed) > 1:
        low, high = by_seed.min(axis=0).tolist(), by_seed.max(axis=0).tolist()
    mean = by_seed.mean(axis=0).tolist()
    return Curve(row.title, styles[row.title], x.tolist(), mean, low, high)
