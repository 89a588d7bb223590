"""The look of rows, and what charts and figures of a report are drawn from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import COLUMN, Faces, Made, figures_of, report_of, spread_errors
from matplotlib.figure import Figure

from odnbench.plan.entries import Published, PublishedRow
from odnbench.plan.protocols import Protocol
from odnbench.reports.charts import MOST_CURVES, ced_chart, plotted, training_chart
from odnbench.reports.document import Chart, Curve, Panel, Plot, Style, Table, plain
from odnbench.reports.drawing import draw_chart
from odnbench.reports.looks import PALETTE, styles_of
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of

PUPILS = dataclasses.replace(REGISTRY.get(Protocol, "300w-paper"), normaliser="inter-pupil")
VARIANTS = ("brnet", "cut", "gm", "dm", "lm", "gm-dm", "dm-lm", "gm-lm", "odn-without-l1")


def many(folder: Path) -> Report:
    """A reference, the mean shape, and more networks than there are colours."""
    faces = Faces(spread_errors(0.05))
    made = [Made("mean-shape", faces, shares=()), Made("odn", faces)]
    return report_of(folder, *made, *(Made(variant, faces) for variant in VARIANTS))


def test_each_row_has_a_look_of_its_own_in_every_figure(tmp_path: Path) -> None:
    report = many(tmp_path)
    document = document_of(report)
    looks = [document.styles[row.title] for row in report.rows]
    assert len(set(looks)) == len(looks) > len(PALETTE) + 2
    assert [style.dash for style in looks[:2]] == ["dotted", "solid"]
    assert looks[1].colour == "text"  # the reference
    assert [style.dash for style in looks[2:]] == ["solid"] * len(PALETTE) + ["dashed"] * 2
    curves = [
        curve
        for block in document.walk()
        if isinstance(block, Chart)
        for panel in block.panels
        for curve in panel.curves
    ]
    assert {curve.title for curve in curves} == {row.title for row in report.rows}
    assert all(curve.style == document.styles[curve.title] for curve in curves)


def test_a_look_does_not_change_with_rows_that_come_later(tmp_path: Path) -> None:
    report = many(tmp_path)
    first, every = styles_of(report.rows[:4]), styles_of(report.rows)
    assert first.items() <= every.items()


def test_a_curve_is_the_mean_over_seeds_in_a_band_from_the_smallest_to_the_largest(
    tmp_path: Path,
) -> None:
    seeds = [spread_errors(mean, seed=seed) for seed, mean in enumerate((0.04, 0.05, 0.06))]
    made = [Made("odn", Faces(errors), seed) for seed, errors in enumerate(seeds)]
    report = report_of(tmp_path, *made, Made("dm", Faces(seeds[0])))
    (panel,) = ced_chart(report, styles_of(report.rows)).panels
    several, alone = panel.curves
    at = int(np.searchsorted(several.x, 5.0))  # NME in percent
    by_hand = [100 * float((100 * errors <= several.x[at]).mean()) for errors in seeds]
    assert len(set(by_hand)) == 3
    assert several.y[at] == pytest.approx(np.mean(by_hand))
    assert (several.low[at], several.high[at]) == (min(by_hand), max(by_hand))
    assert (alone.low, alone.high) == ((), ())
    assert panel.marks == (8.0,)


def test_a_failure_among_many_faces_is_not_rounded_away_in_words(tmp_path: Path) -> None:
    errors = np.append(np.full(249, 0.05), 0.10)
    report = report_of(tmp_path, Made("odn", Faces(errors)))
    assert "99.6 % of the faces" in ced_chart(report, styles_of(report.rows)).text


def test_a_row_that_cannot_be_compared_has_no_ced_curve_and_the_caption_says_why(
    tmp_path: Path,
) -> None:
    own, far = Faces(spread_errors(0.05)), Faces(spread_errors(0.20))
    made = [
        Made("odn", own), Made("dm", own), Made("brnet", far, protocol=PUPILS),
        Made("gm", far, rendered=False), Made("lm", Faces(spread_errors(0.01, 10))),
    ]  # fmt: skip
    report = report_of(tmp_path, *made)
    titles = {row.variant: row.title for row in report.rows}
    chart = ced_chart(report, styles_of(report.rows))
    (panel,) = chart.panels
    assert [curve.title for curve in panel.curves] == [titles["odn"], titles["dm"]]
    assert panel.x_range == (0.0, 8.0)  # up to the limit of FR, as errors of 20 % are not drawn
    reasons = {
        "brnet": "over inter-pupil, not inter-ocular",
        "gm": "real faces, not rendered ones",
        "lm": f"10 faces, not the 40 of {titles['odn']}",
    }
    told = "; ".join(f"{titles[variant]} ({why})" for variant, why in reasons.items())
    assert plain(chart.caption).endswith(f" Not drawn: {told}.")
    trained = training_chart(report, styles_of(report.rows))
    assert trained is not None
    assert [curve.title for curve in trained.panels[0].curves] == list(titles.values())
    assert trained.panels[0].title.endswith("(real and rendered faces)")
    assert plain(trained.caption).endswith(f" Not comparable in tests: {told}.")


def test_training_curves_end_where_the_shortest_seed_does(tmp_path: Path) -> None:
    faces = Faces(spread_errors(0.05))
    made = [Made("odn", faces, seed, shares=[{}] * epochs) for seed, epochs in enumerate((5, 3))]
    report = report_of(tmp_path, *made)
    chart = training_chart(report, styles_of(report.rows))
    assert chart is not None
    (curve,) = chart.panels[0].curves
    assert (list(curve.x), list(curve.y)) == ([1, 2, 3], [5, 5, 5])


def drawn(*curves: Curve, **panel: bool) -> Figure:
    return draw_chart(Chart("made", (), "", (Panel("", "x", "y", curves, **panel),)))


def test_a_chart_is_drawn_as_it_says() -> None:
    line = Curve(
        "a|$b$", Style("text", "dashed"), [1, 2, 4], [1, 10, 100], [1, 9, 90], [2, 11, 110]
    )
    points = Curve("_c", Style(PALETTE[0]), [1, 2], [5, 6], [4, 5], [7, 8], is_points=True)
    figure = drawn(line, points, log_x=True, log_y=True)
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    path = axes.lines[0]
    assert path.get_color() == "black" and path.get_linestyle() == "--"
    np.testing.assert_array_equal(path.get_ydata(), [1, 10, 100])
    assert len(axes.collections) == 2  # the band, and the error bars
    (bars,) = axes.containers
    np.testing.assert_array_equal(bars[2][0].get_segments()[0], [[1, 4], [1, 7]])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [r"a|\$b\$", " _c"]


def test_bars_of_the_variants_stand_beside_the_published_ones(tmp_path: Path) -> None:
    made = [Made("odn", Faces(spread_errors(0.05))), Made("dm", Faces(spread_errors(0.06)))]
    report = report_of(tmp_path, *made)
    assert "ablation" not in figures_of(report)
    rows = (
        PublishedRow("A", 2019, {"challenging": 6.5}, variant="odn"),
        PublishedRow("B", 2019, {"challenging": 7.5}, variant="dm"),
    )
    table = Published("t", "T", "S", "NME", "300w", "300w-paper", ("challenging",), True, rows)
    (axes,) = figures_of(dataclasses.replace(report, published=(table,)))["ablation"].axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([5.0, 6.5, 6.0, 7.5])


def test_a_variant_that_cannot_be_compared_has_no_bar(tmp_path: Path) -> None:
    faces = Faces(spread_errors(0.05))
    made = [Made("odn", faces), Made("dm", faces), Made("brnet", faces, protocol=PUPILS)]
    rows = tuple(
        PublishedRow(one.variant, 2019, {"challenging": 6.5}, variant=one.variant) for one in made
    )
    table = Published("t", "T", "S", "NME", "300w", "300w-paper", ("challenging",), True, rows)
    report = dataclasses.replace(report_of(tmp_path, *made), published=(table,))
    (plot,) = [
        b for b in document_of(report).walk() if isinstance(b, Plot) and b.name == "ablation"
    ]
    assert "BRNet 5" not in plot.text and "BRNet+DM 5.00" in plot.text
    caption = plain(plot.caption)
    assert caption.endswith(" Not drawn: BRNet (over inter-pupil, not inter-ocular).")


def test_effects_are_drawn_with_their_intervals(tmp_path: Path) -> None:
    means = {"cut": 0.05, "gm": 0.06, "dm": 0.05, "gm-dm": 0.06}
    report = report_of(
        tmp_path, *(Made(name, Faces(spread_errors(mean))) for name, mean in means.items()),
        reference="cut",
    )  # fmt: skip
    effects = {e.modules: e.interval for e in report.factorial[COLUMN]}
    (axes,) = figures_of(report)["effects"].axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["DM", "GM", "DM × GM"]
    places = [bar[0].get_xdata()[0] for bar in axes.containers]
    assert places == pytest.approx([100 * effects[m].estimate for m in effects])


def test_errors_by_part_are_those_of_the_points(tmp_path: Path) -> None:
    """All points of a face are off by the same, so that every part has the error of the face."""
    occluded = np.zeros((40, 68), bool)
    occluded[:10, :17] = True  # of ten faces, the jaw
    errors = spread_errors(0.05)
    report = report_of(tmp_path, Made("odn", Faces(errors, occluded=occluded)))
    tables = {b.name: b for b in document_of(report).walk() if isinstance(b, Table)}
    by_part = {
        column.title: cell.value
        for column, cell in zip(
            tables["parts"].columns, tables["parts"].lines[0].cells, strict=True
        )
    }
    assert by_part["mouth"] == pytest.approx(5.0)
    assert by_part["occluded points"] == pytest.approx(100 * errors[:10].mean())
    visible = (68 * errors.sum() - 17 * errors[:10].sum()) / (68 * 40 - 17 * 10)
    assert by_part["visible points"] == pytest.approx(100 * visible)
    shares = tables["occluded-shares"]
    assert [column.title for column in shares.columns[1:]] == ["none", "10% to 30%"]
    assert shares.lines[0].cells[1].value == pytest.approx(100 * errors[10:].mean())


def test_names_of_blocks_are_unlike(tmp_path: Path) -> None:
    """They name files and anchors."""
    names = [
        block.name for block in document_of(many(tmp_path)).walk() if hasattr(block, "name")
    ]  # fmt: skip
    assert len(names) == len(set(names)) > 5


def test_of_more_rows_than_looks_the_best_and_the_reference_have_curves(tmp_path: Path) -> None:
    rates = [1e-3 * (1 + index) for index in range(MOST_CURVES + 5)]
    report = report_of(
        tmp_path,
        *(
            Made("cut", Faces(spread_errors(rate)), overrides=(f"learning_rate={rate}",))
            for rate in rates
        ),
        Made("odn", Faces(spread_errors(1.0))),
    )
    kept = plotted(report)
    assert len(kept) == MOST_CURVES
    assert kept[-1].is_reference
    assert [row.number("nme", COLUMN).mean for row in kept[:-1]] == pytest.approx(
        [100 * rate for rate in rates[: MOST_CURVES - 1]]
    )
    (chart,) = [b for b in document_of(report).walk() if isinstance(b, Chart) and b.name == "ced"]
    assert len(chart.panels[0].curves) == MOST_CURVES
    assert f"Of {MOST_CURVES + 6} rows, {MOST_CURVES} are drawn" in plain(chart.caption)


def test_of_more_rows_than_looks_those_with_curves_can_be_compared_and_look_unlike(
    tmp_path: Path,
) -> None:
    half = MOST_CURVES // 2
    rates = [1e-3 * (1 + index) for index in range(MOST_CURVES)]
    between = [0.5 + 1e-3 * index for index in range(half)]  # each moves the looks behind it on
    networks = (
        Made("cut", Faces(spread_errors(rate)), overrides=(f"learning_rate={rate}",))
        for rate in (*rates[:half], *between, *rates[half:])
    )
    lowest = Made("brnet", Faces(spread_errors(1e-4)), protocol=PUPILS)
    report = report_of(tmp_path, *networks, lowest)
    kept = plotted(report)
    found = [row.number("nme", COLUMN).mean for row in kept]
    assert found == pytest.approx([100 * rate for rate in rates])
    styles = document_of(report).styles
    assert len({styles[row.title] for row in kept}) == MOST_CURVES
    assert set(styles) == {row.title for row in report.table}
