"""CSV and JSON hold every number as it is, with its protocol, and can be read back."""

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_results import COLUMN, Faces, Made, report_of, spread_errors
from nasty_names import NAMES

from odnbench.metrics.intervals import mean_interval
from odnbench.reports.json_format import as_json, plain, write_json
from odnbench.reports.report import Report
from odnbench.reports.tabular import write_csv

BASE, BETTER = 0.060, 0.050


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return report_of(
        tmp_path / "made",
        *(Made("brnet", Faces(spread_errors(BASE, seed=seed)), seed) for seed in (0, 1)),
        *(Made("odn", Faces(spread_errors(BETTER, seed=seed)), seed) for seed in (0, 1)),
        failed=["gm"],
    )


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def only(lines: list[dict[str, str]], **values: str) -> dict[str, str]:
    (found,) = [line for line in lines if values.items() <= line.items()]
    return found


def test_a_line_holds_the_number_with_all_its_digits(report: Report, tmp_path: Path) -> None:
    path = write_csv(report, tmp_path)
    line = only(lines_of(path), variant="brnet", metric="nme")
    errors = np.stack([spread_errors(BASE, seed=seed) for seed in (0, 1)])
    by_seed = [100 * one.mean() for one in errors]
    assert [float(value) for value in line["values"].split(";")] == pytest.approx(by_seed, 1e-12)
    assert float(line["mean"]) == report.rows[0].number("nme", COLUMN).mean  # type: ignore[union-attr]
    assert float(line["sd"]) == pytest.approx(np.std(by_seed, ddof=1), abs=1e-9)
    interval = mean_interval(errors)
    limits = (float(line["low"]), float(line["high"]))
    assert limits == pytest.approx((100 * interval.low, 100 * interval.high))
    assert (line["seeds"], line["seed_count"], line["is_reference"]) == ("0;1", "2", "false")


def test_a_comparison_is_in_percentage_points(report: Report, tmp_path: Path) -> None:
    line = only(lines_of(write_csv(report, tmp_path)), variant="brnet", metric="nme")
    compared = report.comparisons[COLUMN][line["row"]]
    assert float(line["difference"]) == pytest.approx(100 * (BASE - BETTER))
    assert (float(line["p"]), float(line["p_holm"])) == (compared.p, compared.p_holm)
    assert (line["verdict"], line["reference"]) == ("worse", compared.reference)


def test_each_line_says_its_protocol(report: Report, tmp_path: Path) -> None:
    lines = lines_of(write_csv(report, tmp_path))
    trials = lines_of(tmp_path / "made-trials.csv")
    for line in [*lines, *(line for line in trials if line["state"] == "done")]:
        assert line["dataset"] == "300w" and line["split"] == "challenging"
        assert line["normaliser"] == "inter-ocular" and line["box_rule"] == "landmarks"
        assert line["visibility"] == "all" and line["averaging"] == "face"
        assert line["checkpoint_rule"] == "validation" and line["flip_test"] == "false"
        assert line["test_faces"] == "40" and line["test_is_rendered"] == "true"
        assert len(line["face_list"]) == 16
    faces = dataclasses.replace(report.rows[0].trials[0].scores[COLUMN], face_ids=("other",))
    trial = report.rows[0].trials[0]
    tested = dataclasses.replace(trial.clean, scores={COLUMN: faces})
    row = dataclasses.replace(
        report.rows[0],
        trials=(dataclasses.replace(trial, clean=tested), *report.rows[0].trials[1:]),
    )
    other = dataclasses.replace(report, rows=(row, *report.rows[1:]))
    hashes = {line["face_list"] for line in lines_of(write_csv(other, tmp_path / "other"))}
    assert len(hashes) == 2


def test_trials_have_lines_of_their_own_and_a_failed_one_its_reason(
    report: Report, tmp_path: Path
) -> None:
    write_csv(report, tmp_path)
    lines = lines_of(tmp_path / "made-trials.csv")
    by_seed = [line for line in lines if (line["variant"], line["metric"]) == ("odn", "nme")]
    assert [line["seed"] for line in by_seed] == ["0", "1"]
    assert float(by_seed[1]["value"]) == report.rows[1].numbers["nme"][COLUMN].values[1]
    (failed,) = [line for line in lines if line["state"] == "failed"]
    assert failed["reason"] == "out of memory" and failed["value"] == ""


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_text_is_read_back_as_it_was_and_is_no_formula(
    report: Report, tmp_path: Path, name: str
) -> None:
    rows = tuple(dataclasses.replace(row, title=f"{name}{row.variant}") for row in report.rows)
    named = dataclasses.replace(report, rows=rows)
    texts = {line["row"] for line in lines_of(write_csv(named, tmp_path))}
    assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in texts)
    assert {text.removeprefix("'") for text in texts} >= {
        row.title for row in rows if not row.title.startswith("'")
    }
    assert {text[1:] if text.startswith("'") else text for text in texts} == {
        row.title for row in rows
    }
    found = json.loads(write_json(named, tmp_path).read_text(encoding="utf-8"))
    assert [row["title"] for row in found["rows"]] == [row.title for row in rows]


def test_json_holds_the_values_of_the_report(report: Report) -> None:
    found = json.loads(as_json(report), parse_constant=lambda name: pytest.fail(name))
    assert found["schema_version"] == 1
    brnet, odn = found["rows"]
    number = brnet["numbers"][COLUMN]["values"]["nme"]
    own = report.rows[0].numbers["nme"][COLUMN]
    assert number["by_seed"] == list(own.values) and number["mean"] == own.mean
    assert own.interval is not None and number["interval"]["high"] == own.interval.high
    assert brnet["numbers"][COLUMN]["protocol"]["normaliser"] == "inter-ocular"
    assert found["reference"] == odn["title"] and odn["is_reference"]
    compared = found["comparisons"][COLUMN][brnet["title"]]
    assert compared["difference"] == pytest.approx(100 * (BASE - BETTER))
    assert found["missing"][0]["standing"] == {"state": "failed", "reason": "out of memory"}
    assert found["notes"] == ["a note"] and found["is_rendered"]


def test_equal_reports_give_equal_files(report: Report, tmp_path: Path) -> None:
    for write in (write_csv, write_json):
        first, second = (write(report, tmp_path / name).read_bytes() for name in ("one", "two"))
        assert first == second
    text = as_json(report)
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_none(value: float) -> None:
    found: Any = plain({"a": (value, 1.0), "b": [value]})
    assert found == {"a": [None, 1.0], "b": [None]}
