"""`odnbench score --allow-partial` leaves out by name what else is an error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Run
from prediction_files import predicted, score_arguments, truth, write_csv, write_records

from odnbench.arrays import Floats

SPLIT = "300w/lfpw-test"
LEFT = "lfpw/testset/image_0002"  # the face of which each file has nothing that can be scored


def records(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Path], Path]:
    """A writer of records that are changed."""

    def write(folder: Path) -> Path:
        true = truth(SPLIT)
        path = write_records(folder / "a.json", true.face_ids, predicted(true))
        held = json.loads(path.read_text())
        change(held)
        path.write_text(json.dumps(held))
        return path

    return write


def table(change: Callable[[list[str]], None]) -> Callable[[Path], Path]:
    """A writer of a table of which lines are changed; the first is the header."""

    def write(folder: Path) -> Path:
        true = truth(SPLIT)
        path = write_csv(folder / "a.csv", true.face_ids, predicted(true))
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("\n".join(lines))
        return path

    return write


def cell(line: str, index: int, value: str) -> str:
    """`line` with another cell."""
    cells = line.split(",")
    return ",".join([*cells[:index], value, *cells[index + 1 :]])


def put(key: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    """A change of the third record."""
    return lambda held: held[2].update({key: value})


def replace(index: int, value: str) -> Callable[[list[str]], None]:
    """A change of a cell of the third face."""
    return lambda lines: lines.__setitem__(3, cell(lines[3], index, value))


FAULTY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "null": (records(put("landmarks", None)), f"face {LEFT}: its landmarks are null"),
    "empty": (records(put("landmarks", [])), f"face {LEFT}: its landmarks are empty"),
    "no key": (records(lambda h: h[2].pop("landmarks")), f"face {LEFT}: its landmarks are null"),
    "one coordinate": (records(put("landmarks", [7])), f"face {LEFT}: it has 1 coordinates, most"),
    "few landmarks": (
        records(lambda held: held[2]["landmarks"].pop()),
        f"face {LEFT}: it has 134 coordinates, most faces have 136",
    ),
    "NaN": (
        records(lambda held: held[2]["landmarks"][7].__setitem__(0, float("nan"))),
        f"face {LEFT}: landmark 7 is not a finite number",
    ),
    "a null coordinate": (
        records(lambda held: held[2]["landmarks"][7].__setitem__(1, None)),
        f"face {LEFT}: landmark 7 is not a finite number",
    ),
    "an empty cell": (table(replace(15, "")), f"face {LEFT}: landmark 7 is not a finite number"),
    "inf": (table(replace(15, "inf")), f"face {LEFT}: landmark 7 is not a finite number"),
    "1e300": (table(replace(15, "1e300")), f"face {LEFT}: landmark 7 is at 1e+300"),
    "a short line": (
        table(lambda lines: lines.__setitem__(3, lines[3][:40])),
        f"face {LEFT}: landmark",
    ),
    "twice": (table(lambda lines: lines.append(lines[3])), f"face {LEFT} is there twice"),
    "twice, otherwise written": (
        table(lambda lines: lines.append(lines[3].replace("lfpw/", "./LFPW\\"))),
        f"face {LEFT}: its picture has 2 predictions",
    ),
    "missing": (table(lambda lines: lines.pop(3)), f"no prediction for {LEFT} of {SPLIT}"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_a_face_that_cannot_be_scored_is_named_and_left_out_on_request(
    odnbench: Run, tmp_path: Path, fault: str
) -> None:
    write, told = FAULTY[fault]
    arguments = score_arguments(SPLIT, write(tmp_path).name)
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "--allow-partial" in done.stderr
    assert done.stderr.count("\n") == 1
    done = odnbench(*arguments, "--allow-partial", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert list(record["left_out"]) == [LEFT]
    assert (record["faces"], record["coverage"]) == (7, "rendered, 7 faces")
    kept = [i for i, face in enumerate(truth(SPLIT).face_ids) if face != LEFT]
    assert record["nme_percent"] == pytest.approx(nme_percent(kept), abs=1e-6)


def nme_percent(kept: list[int]) -> float:
    """By hand, over the outer eye corners."""
    true, found = truth(SPLIT).points[kept], predicted(truth(SPLIT))[kept]
    length = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    return float(100 * (np.linalg.norm(found - true, axis=2).mean(axis=1) / length).mean())


def collapsed(points: Floats) -> Floats:
    """The annotations, one of them with all points of both eyes in one place."""
    changed = points.copy()
    changed[2, 36:48] = changed[2, 36]
    return changed


def test_a_face_that_cannot_be_normalised_is_named_and_left_out_on_request(
    odnbench: Run, tmp_path: Path
) -> None:
    true = truth(SPLIT)
    write_csv(tmp_path / "true.csv", true.face_ids, collapsed(true.points))
    write_csv(tmp_path / "a.csv", true.face_ids, predicted(true))
    arguments = ["score", "a.csv", "--dataset", SPLIT, "--truth", "true.csv"]
    told = f"face {LEFT}: its inter-ocular length is 0, which cannot normalise an error"
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert f"{told}; --allow-partial scores the other 7" in done.stderr
    done = odnbench(*arguments, "--allow-partial")
    assert done.returncode == 0, done.stderr
    assert "7 of 224" in done.stdout
    assert f"left out: {told}" in done.stdout


def test_a_box_without_width_is_named_and_left_out_on_request(
    odnbench: Run, tmp_path: Path
) -> None:
    true = truth("aflw/full")
    assert true.boxes is not None
    boxes = true.boxes.copy()
    boxes[2, 2] = boxes[2, 0]
    write_csv(tmp_path / "true.csv", true.face_ids, true.points, boxes=boxes)
    write_csv(tmp_path / "a.csv", true.face_ids, predicted(true))
    arguments = ["score", "a.csv", "--dataset", "aflw/full", "--truth", "true.csv"]
    done = odnbench(*arguments, "--allow-partial")
    assert done.returncode == 0, done.stderr
    assert f"left out: face {true.face_ids[2]}: its box-width length is 0" in done.stdout


def test_many_faces_are_told_in_one_line(odnbench: Run, tmp_path: Path) -> None:
    true = truth("300w/full")
    points = predicted(true)
    points[1:9] = np.nan
    write_csv(tmp_path / "a.csv", true.face_ids, points)
    done = odnbench(*score_arguments("300w/full", "a.csv"))
    assert done.returncode == 2
    assert "(and 3 more); mend the file" in done.stderr
    assert done.stderr.count("\n") == 1
    done = odnbench(*score_arguments("300w/full", "a.csv"), "--allow-partial", "--json")
    assert len(json.loads(done.stdout)[0]["left_out"]) == 8


def test_a_file_without_any_face_that_can_be_scored_is_refused(
    odnbench: Run, tmp_path: Path
) -> None:
    true = truth(SPLIT)
    write_csv(tmp_path / "a.csv", true.face_ids, np.full_like(true.points, np.nan))
    write_records(tmp_path / "a.json", true.face_ids, [[]] * len(true.face_ids))
    for name in ("a.csv", "a.json"):
        done = odnbench(*score_arguments(SPLIT, name), "--allow-partial")
        assert done.returncode == 2
        assert f"{name}: it holds no face of {SPLIT} that can be scored: face" in done.stderr


def test_the_others_of_a_comparison_are_scored_on_all_their_faces(
    odnbench: Run, tmp_path: Path
) -> None:
    true = truth(SPLIT)
    write_csv(tmp_path / "all.csv", true.face_ids, predicted(true))
    write_csv(tmp_path / "some.csv", true.face_ids[:6], predicted(true, 2.0)[:6])
    done = odnbench(
        *score_arguments(SPLIT, "all.csv", "some.csv"), "--allow-partial", "--reference", "all"
    )
    assert done.returncode == 0, done.stderr
    assert "rendered, 8 faces" in done.stdout
    assert "rendered, 6 faces" in done.stdout
    assert "worse (p" in done.stdout
