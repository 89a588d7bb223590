"""The figures of a search, from records that are made by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from odnbench.plan.spaces import Parameter, Space
from odnbench.reports.search import Decision, Searched
from odnbench.reports.search_figures import search_figures
from odnbench.results.searches import Importance, SearchedPoint, SearchRecord, SearchSettings

SPACE = Space(
    "made",
    "",
    {
        "loss.eta": Parameter(low=1e-6, high=1e-2, scale="log", zero=True),
        "model.low_rank": Parameter(choices=("none", "lm")),
        "loss.beta": Parameter(low=1e-6, high=1e-2, scale="log", when={"model.low_rank": ("lm",)}),
        "augment.scale": Parameter(low=0.0, high=0.3),
    },
)
POINTS = [
    SearchedPoint(0, "complete", {"loss.eta": 0.0, "model.low_rank": "none", "augment.scale": 0.1},
                  (9.0,), {"1": 20.0, "2": 9.0}, ("a",)),
    SearchedPoint(1, "pruned", {"loss.eta": 1e-3, "model.low_rank": "none", "augment.scale": 0.2},
                  (), {"1": 30.0}, ("b",)),
    SearchedPoint(2, "complete", {"loss.eta": 1e-4, "model.low_rank": "lm", "loss.beta": 1e-5,
                                  "augment.scale": 0.3}, (7.0,), {"1": 15.0, "2": 7.0}, ("c",)),
    SearchedPoint(3, "failed", {"loss.eta": 1e-2, "model.low_rank": "none", "augment.scale": 0.0},
                  trials=("d",), reason="nan"),
    SearchedPoint(4, "running", {"loss.eta": 1e-2, "model.low_rank": "none", "augment.scale": 0.3}),
]  # fmt: skip


def figures(
    points: Sequence[SearchedPoint] = POINTS, *, space: Space = SPACE, **changes: Any
) -> dict[str, Figure]:
    settings = changes.pop("settings", SearchSettings())
    record = SearchRecord("made", settings, space, 9, 2, "", tuple(points), **changes)
    search = Searched(record, {}, Decision((), 0, 0))
    symbols = {"loss.eta": "η", "loss.beta": "β"}
    return {
        name: draw() for name, draw in search_figures(search, "rendered faces", symbols).items()
    }


def drawn(figure: Figure) -> list[tuple[float, float]]:
    """The places of all marks in the first panel."""
    lines = figure.axes[0].get_lines()
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def test_there_is_a_figure_for_what_there_is_to_show() -> None:
    assert set(figures()) == {f"search-{n}" for n in ("history", "slices", "parallel")}
    assert figures(POINTS[3:]) == {}  # nothing is complete
    two = SearchSettings("nsga2", "none", objectives=("nme", "params"))
    both = [
        SearchedPoint(i, "complete", {"augment.scale": i / 10}, (9.0 - i, 1.0 + i)) for i in (0, 1)
    ]
    one = Space("one", "", {"augment.scale": SPACE.parameters["augment.scale"]})
    assert set(figures(both, space=one, settings=two)) == {
        f"search-{n}" for n in ("history", "slices", "front")
    }


def test_the_history_adds_up_the_epochs_and_keeps_the_best_value() -> None:
    figure = figures()["search-history"]
    lines = {line.get_label(): line.get_data() for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["pruned, when stopped"], [[3], [30.0]])
    np.testing.assert_allclose(lines["complete"], [[2, 5], [9.0, 7.0]])
    np.testing.assert_allclose(lines["best so far"], [[2, 3, 5], [9.0, 9.0, 7.0]])
    assert lines["the same points, none pruned"][0][0] == 6  # epochs: two for each of three points


def test_zero_stands_below_a_logarithmic_range() -> None:
    figure = figures()["search-slices"]
    eta = figure.axes[0]
    assert eta.get_xlabel() == "η"
    places = sorted({x for x, _ in drawn(figure)})
    assert places == pytest.approx([-6.5, -4, -3])
    ticks = dict(zip(eta.get_xticks(), [t.get_text() for t in eta.get_xticklabels()], strict=True))
    assert ticks[-6.5] == "0"
    assert eta.get_xlim()[0] < -6.5 < -2 < eta.get_xlim()[1]


def test_a_line_ends_where_the_point_has_no_value() -> None:
    figure = figures()["search-parallel"]
    pruned, complete = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    assert [len(line) for line in pruned.get_segments()] == [2]
    # The best one is drawn last: through all four axes.
    assert [len(line) for line in complete.get_segments()] == [2, 4]
    eta, low_rank, beta, scale = complete.get_segments()[1][:, 1]
    assert eta == pytest.approx((math.log10(1e-4) + 6.5) / 4.5)
    assert low_rank == pytest.approx(1.3 / 1.6)
    assert beta == pytest.approx(1 / 4)
    assert scale == 1


def test_a_contour_needs_points_and_two_ranges() -> None:
    rng = np.random.default_rng(0)
    points = [
        SearchedPoint(
            i, "complete",
            {"loss.eta": float(10 ** rng.uniform(-6, -2)), "model.low_rank": "none",
             "augment.scale": float(rng.uniform(0, 0.3))},
            (float(rng.uniform(5, 9)),), {"2": 5.0}, (str(i),),
        )
        for i in range(8)
    ]  # fmt: skip
    importances = tuple(Importance(key, (0.5,)) for key in ("augment.scale", "loss.eta"))
    contour = figures(points, importances=importances)["search-contour"]
    assert contour.axes[0].get_xlabel() == "scale"
    assert contour.axes[0].get_ylabel() == "η"
    assert "search-contour" not in figures(points[:7], importances=importances)
    assert "search-contour" not in figures(points, importances=importances[:1])


def test_a_value_far_above_does_not_squeeze_the_others() -> None:
    points = [
        SearchedPoint(i, "complete", {"augment.scale": i / 100}, (8 + i / 50,), {}, (str(i),))
        for i in range(29)
    ]
    far = SearchedPoint(29, "complete", {"augment.scale": 0.3}, (500.0,), {}, ("far",))
    one = Space("one", "", {"augment.scale": SPACE.parameters["augment.scale"]})
    panel = figures([*points, far], space=one)["search-history"].axes[0]
    assert panel.get_ylim()[1] < 10


def test_values_that_are_left_out_above_are_counted() -> None:
    point = POINTS[0]
    near = [replace(point, number=i, values=(5.0 + 0.1 * i,)) for i in range(20)]
    far = replace(point, number=20, values=(500.0,))
    history, slices = (figures([*near, far])[f"search-{name}"] for name in ("history", "slices"))
    assert history.axes[0].get_ylim()[1] < 500
    assert history.axes[0].get_title().endswith("; 1 above, not shown")
    assert slices.get_suptitle().endswith("; 1 above, not shown")
    assert "not shown" not in figures(near)["search-slices"].get_suptitle()
