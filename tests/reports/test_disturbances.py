"""Curves over levels of disturbance, areas under them, and what the map tells, from made errors."""

import csv
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import COLUMN, LANDMARKS, Faces, Made, map_of, report_of, said, spread_errors

from odnbench.plan.disturbances import Disturbance
from odnbench.plan.protocols import Protocol
from odnbench.reports.disturbances import trapezoid
from odnbench.reports.document import Chart, Paragraph, Section, Style, Table, plain
from odnbench.reports.json_format import as_json
from odnbench.reports.report import Report
from odnbench.reports.sections.disturbances import disturbances
from odnbench.reports.sentences import found
from odnbench.reports.tabular import write_csv

LEVELS = (0.0, 0.1, 0.3)
BENCH = {"occluders": LEVELS}


def made(
    variant: str, means: Sequence[float], seed: int = 0, levels: Sequence[float] = LEVELS[1:]
) -> Made:
    """A trial with these mean errors at level 0 and at `levels`."""
    clean, *others = means
    return Made(
        variant,
        Faces(spread_errors(clean, seed=seed)),
        seed,
        disturbed={
            Disturbance("occluders", level): Faces(spread_errors(mean, seed=seed))
            for level, mean in zip(levels, others, strict=True)
        },
    )


def section_of(report: Report) -> Section:
    styles = {row.title: Style("#000000") for row in report.table}
    section = disturbances(report, styles)
    assert section is not None
    (part,) = (block for block in section.blocks if isinstance(block, Section))
    return part


def test_the_area_under_a_straight_line_is_its_middle() -> None:
    levels = np.array([0, 0.1, 0.15, 0.6])
    assert trapezoid(levels).sum() == pytest.approx(1)
    assert trapezoid(levels) @ (3 + 2 * levels) == pytest.approx(3 + 2 * 0.3)


def test_curve_and_area_by_hand(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        made("odn", (0.04, 0.06, 0.10)),
        made("brnet", (0.05, 0.09, 0.14)),
        disturbances=BENCH,
    )
    odn, brnet = report.disturbed[COLUMN]["occluders"].rows
    assert [at.level for at in odn.levels] == list(LEVELS)
    assert [at.nme.mean for at in odn.levels] == pytest.approx([4, 6, 10])
    assert [at.amount for at in odn.levels] == pytest.approx(LEVELS)
    assert odn.area is not None
    assert odn.area.mean == pytest.approx((0.1 * (4 + 6) / 2 + 0.2 * (6 + 10) / 2) / 0.3)
    assert odn.area.interval is not None
    assert odn.area_comparison is None  # the reference
    assert brnet.area_comparison is not None
    assert 100 * brnet.area_comparison.difference == pytest.approx(
        (0.1 * (5 + 9) / 2 + 0.2 * (9 + 14) / 2) / 0.3 - odn.area.mean
    )
    assert brnet.area_comparison.text == "worse"
    assert all(at.comparison is not None and at.comparison.text == "worse" for at in brnet.levels)


def test_a_map_that_is_right_has_an_auroc_of_1_and_one_that_says_nothing_of_a_half(
    tmp_path: Path,
) -> None:
    covered = np.random.default_rng(0).random((40, LANDMARKS)) < 0.3
    errors = spread_errors(0.05)

    def trial(variant: str, told: np.ndarray) -> Made:
        faces = Faces(errors, map_of(told, covered), covered)
        levels = {Disturbance("occluders", level): faces for level in LEVELS[1:]}
        return Made(variant, faces, disturbed=levels)

    report = report_of(
        tmp_path,
        trial("odn", covered.astype(float)),
        trial("dm", np.full(covered.shape, 0.5)),
        disturbances=BENCH,
    )
    odn, dm = report.disturbed[COLUMN]["occluders"].rows
    for row, expected in ((odn, 1.0), (dm, 0.5)):
        told = [at.map_tells for at in row.levels]
        assert all(one is not None and one.within is not None for one in told)
        assert [one.within.estimate for one in told if one and one.within] == [expected] * 3
    chart = next(block for block in section_of(report).blocks if isinstance(block, Chart))
    _, panel = chart.panels
    assert [tuple(curve.x) for curve in panel.curves] == [LEVELS[1:]] * 2  # none is pasted at 0
    assert [tuple(curve.y) for curve in panel.curves] == [(1.0, 1.0), (0.5, 0.5)]


def test_a_row_of_which_a_seed_lacks_a_level_has_no_number_there_and_says_so(
    tmp_path: Path,
) -> None:
    report = report_of(
        tmp_path,
        made("odn", (0.04, 0.06, 0.10)),
        made("odn", (0.04, 0.10), seed=1, levels=[0.3]),
        made("brnet", (0.05, 0.09, 0.14)),
        disturbances=BENCH,
    )
    odn, brnet = report.disturbed[COLUMN]["occluders"].rows
    assert [at.level for at in odn.levels] == [0, 0.3]
    assert (odn.area, odn.lacks, brnet.lacks) == (None, (0.1,), ())
    assert brnet.area is not None
    assert brnet.area_comparison is None  # the reference has no area
    part = section_of(report)
    told = [plain(block.phrase) for block in part.blocks if isinstance(block, Paragraph)]
    assert any(f"goes on): {odn.row.title}: 0.1." in text for text in told)


def test_csv_and_json_hold_the_curves_and_the_areas_under_them(tmp_path: Path) -> None:
    report = report_of(
        tmp_path / "made",
        made("odn", (0.04, 0.06, 0.10)),
        made("brnet", (0.05, 0.14), levels=[0.3]),
        disturbances=BENCH,
    )
    odn, brnet = report.disturbed[COLUMN]["occluders"].rows
    assert odn.area is not None

    with write_csv(report, tmp_path).open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["disturbance"] == "occluders"]
    keys = ("row", "metric", "disturbance_level")
    assert {tuple(line[key] for key in keys): float(line["mean"]) for line in lines} == {
        **{(odn.row.title, "nme", str(at.level)): at.nme.mean for at in odn.levels},
        (odn.row.title, "nme_area", ""): odn.area.mean,
        **{(brnet.row.title, "nme", str(at.level)): at.nme.mean for at in brnet.levels},
    }
    assert {line["verdict"] for line in lines if line["row"] == brnet.row.title} == {"worse"}
    assert {line["normaliser"] for line in lines} == {"inter-ocular"}

    first, second = json.loads(as_json(report))["disturbed"][COLUMN]["occluders"]
    assert [at["nme"]["mean"] for at in first["levels"]] == [at.nme.mean for at in odn.levels]
    assert first["area"]["mean"] == odn.area.mean
    assert (first["row"], first["lacks"], first["area_comparison"]) == (odn.row.title, [], None)
    assert (second["area"], second["lacks"]) == (None, [0.1])
    assert [at["comparison"]["verdict"] for at in second["levels"]] == ["worse"] * 2


def test_the_section_shows_what_the_values_say(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        made("odn", (0.04, 0.06, 0.10)),
        made("brnet", (0.05, 0.09, 0.14)),
        disturbances=BENCH,
    )
    part = section_of(report)
    chart = next(block for block in part.blocks if isinstance(block, Chart))
    (errors,) = chart.panels  # no row has a map
    assert [tuple(curve.x) for curve in errors.curves] == [LEVELS] * 2
    assert errors.curves[0].y == pytest.approx((4, 6, 10))
    for curve in errors.curves:
        assert all(
            low < y < high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True)
        )
    assert "from 4.00 % at 0 to 10.00 % at 0.3" in chart.text
    table = next(block for block in part.blocks if isinstance(block, Table))
    by_title = {one.cells[0].text: [cell.text for cell in one.cells[1:]] for one in table.lines}
    assert by_title["BRNet"][:2] == ["5.00", "14.00"]
    assert by_title["BRNet"][-1] == "worse"
    (levels,) = (block for block in part.blocks if isinstance(block, Section))
    nme, difference = (block for block in levels.blocks if isinstance(block, Table))
    assert [cell.text for cell in nme.lines[0].cells[1:]] == ["4.00", "6.00", "10.00"]
    assert [cell.text for cell in difference.lines[0].cells[1:]] == ["+1.00*", "+3.00*", "+4.00*"]


def level_tables(report: Report) -> dict[str, Table]:
    """What is asked → its table, level by level."""
    (levels,) = (block for block in section_of(report).blocks if isinstance(block, Section))
    tables = [block for block in levels.blocks if isinstance(block, Table)]
    return {table.name.split("-")[2]: table for table in tables}


def test_a_row_of_another_protocol_or_kind_of_faces_is_marked_level_by_level(
    tmp_path: Path,
) -> None:
    pupils = dataclasses.replace(REGISTRY.get(Protocol, "300w-paper"), normaliser="inter-pupil")
    report = report_of(
        tmp_path,
        made("odn", (0.04, 0.06, 0.10)),
        dataclasses.replace(made("brnet", (0.05, 0.09, 0.14)), protocol=pupils),
        dataclasses.replace(made("dm", (0.05, 0.09, 0.14)), rendered=False),
        disturbances=BENCH,
    )
    lines = level_tables(report)["nme"].lines
    assert {line.cells[0].text: {cell.unlike for cell in line.cells[1:]} for line in lines} == {
        "BRNet": {"over inter-pupil, not inter-ocular"},
        "BRNet+GM+LM+DM (ODN)": {""},
        "BRNet+DM": {"real faces, not rendered ones"},
    }


def test_what_was_achieved_at_each_level_is_of_a_row_that_has_the_level(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        made("odn", (0.04, 0.10), levels=[0.3]),
        made("brnet", (0.05, 0.09), levels=[0.1]),
        disturbances={"occluders": (*LEVELS, 0.5)},
    )
    told = plain(level_tables(report)["nme"].caption)
    assert told.endswith("achieved in the mean over faces: 0.000, 0.100, 0.300, –.")


def test_plans_without_disturbances_have_no_section(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", (0.04, 0.06, 0.10)))
    assert report.disturbed == {}
    assert disturbances(report, {}) is None


def test_the_first_sentences_name_the_row_that_bears_disturbances_best(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        made("odn", (0.05, 0.09, 0.14)),
        made("brnet", (0.04, 0.06, 0.10)),
        disturbances=BENCH,
    )
    (told,) = [text for text in said(found(report)) if "levels" in text]
    assert told.startswith(
        f"Pasted occluders, 0 to 0.3, {COLUMN}: over all levels, BRNet has the lowest mean NME, "
        "7.00 ("
    )
    assert re.search(r" %, against BRNet\+GM\+LM\+DM \(ODN\) -3\d\.\d % \(.*\): better\.$", told)
