"""Few faces do not show how errors vary: no interval and no test, and the reason is told."""

import json
import re
from pathlib import Path

import pytest
from helpers import Run
from made_results import Faces, Made, page_of, report_of, spread_errors
from prediction_files import predicted, score_arguments, truth, write_csv

SPLIT = "300w/lfpw-test"


def write(folder: Path, faces: int) -> list[str]:
    """Two files of predictions for some faces; their names."""
    true = truth(SPLIT)
    for name, error_px in (("a.csv", 0.5), ("b.csv", 1.5)):
        points = predicted(true, error_px, seed=len(name))
        write_csv(folder / name, true.face_ids[:faces], points[:faces])
    return ["a.csv", "b.csv"]


@pytest.mark.parametrize("faces", [1, 2, 4, 5])
def test_few_faces_have_no_interval_and_no_test(odnbench: Run, tmp_path: Path, faces: int) -> None:
    arguments = [*score_arguments(SPLIT, *write(tmp_path, faces)), "--allow-partial"]
    done = odnbench(*arguments, "--reference", "a")
    assert done.returncode == 0, done.stderr
    assert "no interval and no test: fewer than 6 faces" in done.stdout
    assert f"{SPLIT}: no test against a: too few faces are in all files" in done.stdout
    assert not re.search(r"\d – \d", done.stdout)
    assert "(p " not in done.stdout
    assert "inf" not in done.stdout
    found = json.loads(odnbench(*arguments, "--reference", "a", "--json").stdout)
    assert [record["interval_percent"] for record in found] == [None, None]
    assert [record["comparison"] for record in found] == [None, None]


def test_six_faces_have_both(odnbench: Run, tmp_path: Path) -> None:
    arguments = [*score_arguments(SPLIT, *write(tmp_path, 6)), "--allow-partial"]
    found = json.loads(odnbench(*arguments, "--reference", "a", "--json").stdout)
    for record in found:
        low, high = record["interval_percent"]
        assert 0 <= low < record["nme_percent"] < high
    assert found[1]["comparison"]["p"] < 0.1


def test_errors_on_a_single_face_have_no_interval(odnbench: Run, tmp_path: Path) -> None:
    """All but one of the faces have no error, so that most resamples show no variance."""
    points = truth(SPLIT).points.copy()
    points[3] += 2
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points)
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert "no interval: errors differ on too few faces" in done.stdout, done.stderr
    assert "inf" not in done.stdout


def test_a_single_gross_error_has_no_interval(odnbench: Run, tmp_path: Path) -> None:
    """A resample without that face shows a hundredth of the variance."""
    points = predicted(truth(SPLIT))
    points[2] += 150
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points)
    done = odnbench(*score_arguments(SPLIT, "a.csv"), "--json")
    (record,) = json.loads(done.stdout)
    assert record["interval_percent"] is None, done.stderr
    assert "no interval: errors differ on too few faces to show how they vary" in record["notes"]


def test_an_unknown_reference_is_told_also_with_few_faces(odnbench: Run, tmp_path: Path) -> None:
    arguments = [*score_arguments(SPLIT, *write(tmp_path, 2)), "--allow-partial"]
    done = odnbench(*arguments, "--reference", "c")
    assert done.returncode == 2
    assert "unknown file 'c'" in done.stderr


@pytest.mark.parametrize("faces", [2, 5, 6])
def test_a_report_says_why_it_has_no_interval(tmp_path: Path, faces: int) -> None:
    made = [Made(v, Faces(spread_errors(m, faces, 1))) for v, m in (("odn", 0.05), ("dm", 0.06))]
    report = report_of(tmp_path, *made, reference="odn")
    text = page_of(report)
    told = "Fewer than 6 faces do not show how errors vary, so that there is no interval"
    few = faces < 6
    assert (told in text) == few
    assert ("Difference: of the mean NME" in text) == (not few)
    assert bool(re.search(r"\| \*\*5\.00 \(", text)) == (not few)


def test_a_report_on_the_command_line_says_it_too(odnbench: Run, tmp_path: Path) -> None:
    made = [
        Made("odn", Faces(spread_errors(0.05, 4))),
        Made("dm", Faces(spread_errors(0.06, 4, seed=1))),
    ]
    report_of(tmp_path / "runs" / "made", *made, reference="odn")
    done = odnbench("report", "--out", "out")
    assert done.returncode == 0, done.stderr
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*.md"))
    assert "Fewer than 6 faces do not show how errors vary" in text
    assert "inf" not in re.sub(r"[a-z]inf|inf[a-z]", "", text)
