"""Rows that cannot be compared stand apart: each number says why, and no test is made of them."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import REGISTRY
from made_results import COLUMN, Faces, Made, page_of, report_of, said, spread_errors

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Published, PublishedRow
from odnbench.plan.protocols import Protocol
from odnbench.reports.document import Cell, Document, Line, Section, Table
from odnbench.reports.read import read_report
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of
from odnbench.reports.sentences import found, not_shown
from odnbench.results.plans import PLAN, PlanRecord
from odnbench.scoring.prediction_files import PredictionFile, read_prediction_file

LOW, HIGH = Faces(spread_errors(0.04)), Faces(spread_errors(0.05))
OWN = REGISTRY.get(Protocol, "300w-paper")
PUPILS = dataclasses.replace(OWN, normaliser="inter-pupil")
FACE = dataclasses.replace(OWN, box="annotated")


def line_of(report: Report, title: str) -> tuple[Table, Line]:
    """The line of a row in the table of the column."""
    (table,) = [
        block
        for block in document_of(report).walk()
        if isinstance(block, Table) and block.name.startswith("results-")
    ]
    (line,) = [line for line in table.lines if line.cells[0].text == title]
    return table, line


def unlike(cells: tuple[Cell, ...]) -> set[str]:
    return {cell.unlike for cell in cells if cell.unlike}


def titles(document: Document) -> list[str]:
    return [block.title for block in document.walk() if isinstance(block, Section)]


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"protocol": PUPILS}, "over inter-pupil, not inter-ocular"),
        ({"protocol": FACE}, "box rule annotated, not landmarks"),
        ({"rendered": False}, "real faces, not rendered ones"),
    ],
)
def test_a_row_of_another_protocol_or_kind_of_faces_is_marked_and_not_tested(
    tmp_path: Path, others: dict[str, Protocol | bool], told: str
) -> None:
    made = [Made("odn", HIGH), Made("dm", HIGH), Made("brnet", LOW, **others)]
    report = report_of(tmp_path, *made)
    table, line = line_of(report, "BRNet")
    numbers = line.cells[1:4]
    assert unlike(numbers) == {told} and all(cell.unlike for cell in numbers)
    assert line.cells[-1].text == "not compared"
    assert list(report.comparisons[COLUMN]) == ["BRNet+DM"]
    # Its error is the lowest: it neither leads nor is it the best of the column.
    assert report.lead is not None and report.lead.row.variant == "odn"
    assert table.lines.index(line) not in table.ranks(1)
    page = page_of(report)
    assert re.search(rf"\n[†‡§¶] {told}\n", page)
    assert any(told in sentence for sentence in said(not_shown(report)))
    head = page[: page.index("**Found**")]
    assert ("**Unlike protocols**: BRNet: " in head) == ("protocol" in others)
    mixed = "**Rendered and real faces are mixed**: rendered ones are in BRNet+GM+LM+DM (ODN); "
    assert (mixed in head) == ("rendered" in others)
    assert said(found(report))[0].endswith("; rows that differ are marked.")
    by_protocol = [line for line in page.splitlines() if line.startswith("- Protocol")]
    assert len(by_protocol) == (2 if "protocol" in others else 1)


def test_another_limit_of_fr_and_auc_is_marked_and_the_errors_are_tested(tmp_path: Path) -> None:
    at_ten = dataclasses.replace(OWN, thresholds_percent=(10.0,))
    report = report_of(tmp_path, Made("odn", HIGH), Made("brnet", LOW, protocol=at_ten))
    _, line = line_of(report, "BRNet")
    assert unlike(line.cells[1:4]) == {"FR and AUC at 10 %, not 8 %"}
    assert list(report.comparisons[COLUMN]) == ["BRNet"]


def test_a_published_figure_says_what_ours_differs_in(tmp_path: Path) -> None:
    rows = (PublishedRow("A", 2019, {"challenging": 6.5}, variant="odn"),)
    table = Published("t", "T", "S", "NME", "300w", "300w-paper", ("challenging",), True, rows)
    flipped = Made("odn", HIGH, overrides=("flip_test=true",))
    for name, rendered, told in (
        ("drawn", True, "of real faces, not of rendered ones; ours with a flip test"),
        ("part", False, "of 135 faces, ours of 40; ours with a flip test"),
    ):
        report = report_of(tmp_path / name, flipped, rendered=rendered)
        report = dataclasses.replace(report, published=(table,))
        _, line = line_of(report, "BRNet+GM+LM+DM (ODN), flip test")
        (cell,) = [cell for cell in line.cells if cell.value == 6.5]
        assert cell.unlike == told


def test_seeds_under_unlike_conditions_are_rows_of_their_own(tmp_path: Path) -> None:
    """A mean over them would be of nothing."""
    made = [Made("odn", HIGH, 0), Made("odn", LOW, 1, rendered=False)]
    made += [Made("odn", LOW, 2, protocol=PUPILS)]
    report = report_of(tmp_path, *made)
    name = "BRNet+GM+LM+DM (ODN)"
    assert [row.title for row in report.rows] == [
        f"{name}, rendered faces, over inter-ocular",
        f"{name}, real faces, over inter-ocular",
        f"{name}, rendered faces, over inter-pupil",
    ]
    assert [row.is_reference for row in report.rows] == [True, False, False]
    assert report.comparisons == {}


def test_cells_under_unlike_protocols_have_no_effects(tmp_path: Path) -> None:
    made = [Made(v, HIGH) for v in ("cut", "gm", "dm")] + [Made("gm-dm", HIGH, protocol=PUPILS)]
    report = report_of(tmp_path, *made, reference="gm-dm")
    assert report.design is not None and not report.design.differ_in
    assert report.factorial == {}
    assert "Effects of the modules" not in titles(document_of(report))


def test_a_seed_whose_predictions_are_gone_is_said_in_its_row(tmp_path: Path) -> None:
    made = [Made(v, HIGH, seed) for v in ("odn", "dm") for seed in range(3)]
    report_of(tmp_path, *made)
    (tmp_path / "4" / "predictions.parquet").unlink()
    report = read_report(tmp_path / PLAN, REGISTRY)
    (missing,) = report.missing
    assert (missing.row, missing.standing.state) == ("BRNet+DM", "damaged")
    _, line = line_of(report, "BRNet+DM")
    assert line.cells[0].unlike.startswith("2 of 3 seeds have numbers; of the others: damaged")
    assert "predictions.parquet" in line.cells[0].unlike
    _, whole = line_of(report, "BRNet+GM+LM+DM (ODN)")
    assert not whole.cells[0].unlike
    assert said(found(report))[0].startswith("2 networks, 2 to 3 seeds each")
    page = page_of(report)
    assert "**1 trial without numbers**" in page[: page.index("**Found**")]
    assert "## Trials without numbers" in page


def test_a_row_whose_other_seeds_have_not_begun_says_so(tmp_path: Path) -> None:
    seeds = {"odn": 3, "dm": 1, "gm": 2}
    made = [Made(v, HIGH, seed) for v, count in seeds.items() for seed in range(count)]
    report_of(tmp_path, *made)
    (tmp_path / "5" / "predictions.parquet").unlink()  # of BRNet+GM
    not_begun = read_report(tmp_path / PLAN, REGISTRY)
    _, line = line_of(not_begun, "BRNet+DM")
    assert not line.cells[0].unlike  # no trial of the plan waits
    record = PlanRecord.load(tmp_path / PLAN)
    trials, titles = (*record.trials, "w1", "w2"), (*record.titles, "BRNet+DM", "BRNet+DM")
    dataclasses.replace(record, trials=trials, titles=titles).save(tmp_path)
    report = read_report(tmp_path / PLAN, REGISTRY)
    told = {row.title: line_of(report, row.title)[1].cells[0].unlike for row in report.rows}
    assert told["BRNet+GM+LM+DM (ODN)"] == ""
    assert told["BRNet+DM"] == "1 of 3 seeds have numbers; some trials have not begun"
    assert told["BRNet+GM"].startswith("1 of 3 seeds have numbers; of the others: damaged")
    assert told["BRNet+GM"].endswith("; some trials have not begun")


def test_a_variant_without_any_number_is_said_at_the_top(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", HIGH), failed=["brnet"])
    page = page_of(report)
    assert "**1 trial without numbers**" in page[: page.index("**Found**")]
    assert "failed: out of memory" in page[page.index("## Trials without numbers") :]


@pytest.fixture
def theirs(tmp_path: Path) -> Callable[[int], PredictionFile]:
    """A file of another tool with the predictions of so many faces."""
    report = report_of(tmp_path / "theirs", Made("odn", LOW))
    predictions = report.trials[0].folder.predictions

    def written(count: int) -> PredictionFile:
        path = tmp_path / "tool.csv"
        head = "face," + ",".join(f"x{i},y{i}" for i in range(predictions.true.shape[1]))
        rows = [
            f"{face}," + ",".join(map(str, points.ravel()))
            for face, points in zip(predictions.ids, predictions.predicted, strict=True)
        ]
        path.write_text("\n".join([head, *rows[:count]]) + "\n")
        return read_prediction_file(path)

    return written


def test_a_file_that_lacks_faces_is_marked_and_not_tested(
    tmp_path: Path, theirs: Callable[[int], PredictionFile]
) -> None:
    report_of(tmp_path, Made("odn", HIGH), Made("dm", HIGH))
    whole = read_report(tmp_path / PLAN, REGISTRY, [theirs(40)])
    assert "tool" in whole.comparisons[COLUMN]
    report = read_report(tmp_path / PLAN, REGISTRY, [theirs(37)])
    _, line = line_of(report, "tool")
    (told,) = unlike(line.cells[1:])
    assert told.startswith(f"no prediction for face/37, face/38, face/39 of {COLUMN}")
    assert "37 faces, not the 40 of BRNet+GM+LM+DM (ODN)" in told
    assert line.cells[-1].text == "not compared"
    assert "tool" not in report.comparisons[COLUMN]
    page = page_of(report)
    head = page[: page.index("**Found**")]
    assert f"**Faces are lacking** in tool, `{COLUMN}`: no prediction for face/37" in head


def test_files_with_the_title_of_a_row_or_of_each_other_are_rows_of_their_own(
    tmp_path: Path, theirs: Callable[[int], PredictionFile]
) -> None:
    report_of(tmp_path, Made("odn", HIGH), Made("dm", HIGH))
    file = dataclasses.replace(theirs(40), title="BRNet+GM+LM+DM (ODN)")
    report = read_report(tmp_path / PLAN, REGISTRY, [file, file])
    names = ["BRNet+GM+LM+DM (ODN) (file)", "BRNet+GM+LM+DM (ODN) (file) (file)"]
    assert [row.title for row in report.foreign] == names
    compared = report.comparisons[COLUMN]
    assert list(compared) == ["BRNet+DM", *names]
    # Both networks have equal errors, those of the file are lower by a fifth.
    percents = [compared[title].percent for title in ("BRNet+DM", *names)]
    assert percents == pytest.approx([0, -20, -20])


def test_a_file_without_a_single_face_is_refused(
    tmp_path: Path, theirs: Callable[[int], PredictionFile]
) -> None:
    report_of(tmp_path, Made("odn", HIGH))
    lost = dataclasses.replace(theirs(2), face_ids=("a", "b"))
    with pytest.raises(OdnbenchError, match="holds no face of 300w/challenging"):
        read_report(tmp_path / PLAN, REGISTRY, [lost])


def test_a_plan_without_any_number_has_no_columns(tmp_path: Path) -> None:
    report = report_of(tmp_path, failed=["odn", "dm"])
    assert (report.rows, report.columns, report.lead) == ((), {}, None)
    assert len(report.missing) == 2
