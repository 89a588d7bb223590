"""What a report says of costs: means over seeds, the front of error and cost, the figure."""

from pathlib import Path

import pytest
from made_results import COLUMN, Faces, Made, figures_of, page_of, report_of, spread_errors
from matplotlib.figure import Figure

from odnbench.reports.costs import Machine, pareto_front
from odnbench.reports.report import Report
from odnbench.results.records import Cost


def made(variant: str, error: float, millions: int, seed: int = 0, device: str = "cpu") -> Made:
    cost = Cost(1_000_000 * millions, 2.0 + seed, 1.0 + seed, 10_000_000 * (1 + seed), 1)
    return Made(variant, Faces(spread_errors(error)), seed, cost=cost, device=device)


def cells(text: str, title: str) -> list[str]:
    """The cells of the row `title` in the table of costs."""
    table = text[text.index("<b>What the networks cost</b>") :]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {title} |")][:1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def figure_of(report: Report) -> Figure:
    return figures_of(report)["cost"]


def test_a_point_is_on_the_front_unless_another_is_as_small_in_both() -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 4.5), (3.0, 4.0), (4.0, 3.0), (4.0, 3.0), (0.5, 6.0)]
    assert pareto_front(points) == [True, True, False, False, True, True, True]
    assert pareto_front([]) == []


def test_a_row_has_the_means_over_its_seeds(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 0.05, 20), made("odn", 0.06, 20, seed=1))
    (cost,) = report.costs
    assert (cost.multiply_adds, cost.ms_single, cost.ms_batched) == (20_000_000, 2.5, 1.5)
    assert cost.peak_bytes == 15_000_000
    assert cost.machines == (Machine("cpu", 1, "float32"),)
    expected = ["10", "20.0 M", "2.50", "1.50", "15.0 MB", "cpu, 1 thread, float32"]
    assert cells(page_of(report), "BRNet+GM+LM+DM (ODN)")[1:] == expected


def test_times_of_unlike_machines_are_not_averaged(tmp_path: Path) -> None:
    seeds = (made("odn", 0.05, 20), made("odn", 0.06, 20, seed=1, device="GPU of a kind"))
    report = report_of(tmp_path, *seeds, made("dm", 0.05, 10))
    (odn, _) = report.costs
    assert (odn.ms_single, odn.ms_batched, odn.peak_bytes) == (None, None, None)
    row = cells(page_of(report), "BRNet+GM+LM+DM (ODN)")
    assert row[2:] == ["20.0 M", "–", "–", "–",
                       "cpu, 1 thread, float32; GPU of a kind, 1 thread, float32"]  # fmt: skip
    assert len(figure_of(report).axes) == 1  # no axis of times


def test_the_front_is_told_and_drawn(tmp_path: Path) -> None:
    trials = (made("odn", 0.050, 30), made("dm", 0.055, 20), made("cut", 0.054, 10))
    report = report_of(tmp_path, *trials)
    assert [row.variant for row in report.front] == ["odn", "cut"]
    told = f"NME on `{COLUMN}`, where no other network is as low in both: "
    assert f"{told}BRNet+GM+LM+DM (ODN); cut backbone, no module." in page_of(report)
    by_work, by_time = figure_of(report).axes
    line = by_work.get_lines()[0]
    assert line.get_label() == "Pareto front (filled)"
    assert line.get_xdata() == pytest.approx([10, 30])
    assert line.get_ydata() == pytest.approx([5.4, 5.0])
    assert by_work.get_xscale() == by_time.get_xscale() == "log"
    filled = {
        bar.get_label() for bar in by_work.containers if bar[0].get_markerfacecolor() != "white"
    }
    assert filled == {"BRNet+GM+LM+DM (ODN)", "cut backbone, no module"}


def test_results_without_a_cost_are_said_to_have_none(tmp_path: Path) -> None:
    old = Made("dm", Faces(spread_errors(0.05)))
    assert "What the networks cost" not in page_of(report_of(tmp_path / "old", old))
    assert "cost" not in figures_of(report_of(tmp_path / "again", old))
    report = report_of(tmp_path / "mixed", old, made("odn", 0.06, 20))
    assert [row.variant for row in report.without_cost] == ["dm"]
    assert "Not measured: BRNet+DM; results of an earlier version" in page_of(report)
    assert report.front == ()


def test_networks_of_one_cost_have_no_front(tmp_path: Path) -> None:
    """As those that differ in their criterion: only the noise of times would be drawn."""
    report = report_of(tmp_path, made("odn", 0.05, 20), made("dm", 0.06, 20))
    assert len(report.costs) == 2 and report.front == ()
    assert "cost" not in figures_of(report)


def test_a_row_of_which_a_seed_has_no_cost_has_none(tmp_path: Path) -> None:
    old = Made("odn", Faces(spread_errors(0.05)))
    report = report_of(tmp_path, old, made("odn", 0.06, 20, seed=1), made("dm", 0.06, 20))
    assert [cost.row.variant for cost in report.costs] == ["dm"]
