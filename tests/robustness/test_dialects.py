"""Prediction files in the forms that tools write: read where plain, or told in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Run
from prediction_files import (
    FACES,
    coco,
    predicted,
    score_arguments,
    sides,
    triples,
    truth,
    write_csv,
    write_records,
)

from odnbench.arrays import Floats

SPLIT = "300w/lfpw-test"
STEMS = [f"image_{i:04d}" for i in range(FACES)]
FLAGS = np.random.default_rng(1).random((FACES, 68)) < 0.3


def points() -> Floats:
    """(FACES, 68, 2) predictions for SPLIT."""
    return predicted(truth(SPLIT))


def comma(value: float) -> str:
    """A number with a decimal comma."""
    return f"{value:.9f}".replace(".", ",")


def headed(pattern: str) -> Callable[[int, str], str]:
    """Names of columns by a pattern."""
    return lambda landmark, axis: pattern.format(i=landmark, n=landmark + 1, axis=axis)


def dump(value: Any) -> Callable[[Path], Path]:
    """A writer of JSON, which makes the value first where it is a function."""

    def write(path: Path) -> Path:
        path.write_text(json.dumps(value() if callable(value) else value), encoding="utf-8")
        return path

    return write


def table(**how: Any) -> Callable[[Path], Path]:
    """A writer of a table."""
    return lambda path: write_csv(path, STEMS, points(), **how)


def results() -> list[dict[str, Any]]:
    """COCO results that name their pictures, with a confidence for each landmark."""
    held = triples(points(), np.random.default_rng(0).random(FLAGS.shape))
    return [
        {"image_id": f"{stem}.png", "category_id": 1, "keypoints": k.ravel().tolist(), "score": 0.9}
        for stem, k in zip(STEMS, held, strict=True)
    ]


def flat(landmarks: Any) -> list[dict[str, Any]]:
    """Records with numbers one after the other."""
    return [
        {"imgpath": stem, "landmarks": p.ravel().tolist()}
        for stem, p in zip(STEMS, landmarks, strict=True)
    ]


def marked(path: Path, encoding: str) -> Path:
    """Records in another encoding."""
    text = write_records(path, STEMS, points()).read_text()
    path.write_text(text, encoding=encoding)
    return path


def windows(path: Path) -> Path:
    """The file with the line ends of Windows."""
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def excel(path: Path) -> Path:
    """The file with a first line that names the separator."""
    path.write_text(f"sep=;\n{path.read_text()}")
    return path


def quoted(path: Path) -> Path:
    """The file with quotes around every cell."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in lines))
    return path


SAME: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "plain": ("a.csv", table()),
    "blanks": ("a.csv", table(separator=", ")),
    "semicolons": ("a.csv", table(separator=";")),
    "semicolons, decimal commas": ("a.csv", table(separator=";", number=comma)),
    "semicolons, blanks, decimal commas": ("a.csv", table(separator=" ; ", number=comma)),
    "tabs": ("a.csv", table(separator="\t")),
    "tsv": ("a.tsv", table(separator="\t", number=comma)),
    "blanks alone": ("a.csv", table(separator="  ")),
    "original_0_x": ("a.csv", table(header=headed("original_{i}_{axis}"), face="image_name")),
    "x_0": ("a.csv", table(header=headed("{axis}_{i}"), face="filename")),
    "landmark_0_x": ("a.csv", table(header=headed("landmark_{i}_{axis}"), face="image_path")),
    "lm_x_1": ("a.csv", table(header=headed("lm_{axis}_{n}"), face="image")),
    "X1": ("a.csv", table(header=lambda i, axis: f"{axis.upper()}{i + 1}", face="Face")),
    "kp0.x": ("a.csv", table(header=headed("kp{i}.{axis}"))),
    "byte-order mark": ("a.csv", table(encoding="utf-8-sig")),
    "UTF-16": ("a.csv", table(encoding="utf-16", separator="\t", number=comma)),
    "upper-case suffix": ("a.CSV", table()),
    "records": ("a.json", lambda path: write_records(path, STEMS, points())),
    "records of triples": ("a.json", lambda path: write_records(path, STEMS, triples(points(), 2))),
    "flat records": ("a.json", dump(lambda: flat(points()))),
    "flat records of triples": ("a.json", dump(lambda: flat(triples(points(), 1 + FLAGS)))),
    "COCO": ("a.json", dump(lambda: coco([f"d/{s}.png" for s in STEMS], triples(points(), 2)))),
    "COCO results": ("a.json", dump(results)),
    "JSON with a mark": ("a.json", lambda path: marked(path, "utf-8-sig")),
    "JSON in UTF-16": ("a.json", lambda path: marked(path, "utf-16")),
    "Windows' lines": ("a.csv", lambda path: windows(table()(path))),
    "Excel's first line": ("a.csv", lambda path: excel(table(separator=";", number=comma)(path))),
    "quotes": ("a.csv", lambda path: quoted(table()(path))),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected() -> float:
    """The NME of `points` over the outer eye corners, in percent."""
    true = truth(SPLIT).points
    length = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    return float(100 * (np.linalg.norm(points() - true, axis=2).mean(axis=1) / length).mean())


def test_the_same_points_have_the_same_error_in_every_form(
    odnbench: Run, tmp_path: Path, expected: float
) -> None:
    files = []
    for form, (name, write) in SAME.items():
        suffix = name.removeprefix("a")
        files.append(write(tmp_path / f"{form.replace('.', ' ')}{suffix}"))
    done = odnbench(*score_arguments(SPLIT, *files), "--json")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert {record["file"]: record["nme_percent"] for record in records} == {
        path.stem: pytest.approx(expected, abs=1e-6) for path in files
    }
    assert {record["faces"] for record in records} == {FACES}


@pytest.mark.parametrize(
    "how", [{}, {"separator": ";", "number": comma}, {"encoding": "utf-8-sig"}]
)
def test_annotations_are_read_in_the_same_forms(
    odnbench: Run, tmp_path: Path, expected: float, how: dict[str, Any]
) -> None:
    true = write_csv(tmp_path / "true.csv", STEMS, truth(SPLIT).points, **how)
    file = write_csv(tmp_path / "a.csv", STEMS, points())
    done = odnbench("score", str(file), "--dataset", SPLIT, "--truth", str(true), "--json")
    (record,) = json.loads(done.stdout)
    assert record["nme_percent"] == pytest.approx(expected, abs=1e-6), done.stderr


@pytest.mark.parametrize("split", ["wflw/test", "aflw/full", "cofw/test", "cofw68/test"])
def test_coco_holds_annotations_and_results_of_every_scheme(
    odnbench: Run, tmp_path: Path, split: str
) -> None:
    """Results name pictures by numbers, whose names are in the annotations."""
    true = truth(split)
    assert true.boxes is not None
    stems = [f"{face.partition('.')[0]}.png" for face in true.face_ids]
    annotations = coco(stems, triples(true.points, 2), true.boxes)
    dump(annotations)(tmp_path / "true.json")
    held = triples(predicted(true), 0.7)
    found = [
        {"image_id": 100 + i, "keypoints": k.ravel().tolist(), "bbox": sides(box), "score": 1.0}
        for i, (k, box) in enumerate(zip(held, true.boxes, strict=True))
    ]
    dump(found)(tmp_path / "results.json")
    arguments = ["score", "results.json", "--dataset", split, "--json"]
    done = odnbench(*arguments, "--truth", "true.json", "--allow-partial")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["faces"] == len(stems)
    assert 0 < record["nme_percent"] < 5
    told = " ".join(record["notes"])
    assert "read as results of COCO, pixels counted from 0" in told
    assert "ground truth: read as annotations of COCO" in told


def test_the_third_numbers_of_coco_are_flags(odnbench: Run, tmp_path: Path) -> None:
    faces = [f"{i:04d}.jpg" for i in range(1, 9)]
    true = truth("cofw68/test")
    flags = np.random.default_rng(0).random(true.points.shape[:2]) < 0.3
    dump(coco(faces, triples(predicted(true), 2 - flags)))(tmp_path / "a.json")
    done = odnbench(*score_arguments("cofw68/test", tmp_path / "a.json"), "--json")
    (record,) = json.loads(done.stdout)
    assert true.occluded is not None
    precision = 100 * true.occluded[flags].mean()
    assert record["occlusion"]["precision_percent"] == pytest.approx(precision), done.stderr


def test_a_landmark_that_coco_does_not_annotate_is_no_truth(odnbench: Run, tmp_path: Path) -> None:
    thirds = np.full(FLAGS.shape, 2)
    thirds[3, 7] = 0
    dump(coco([f"{s}.png" for s in STEMS], triples(truth(SPLIT).points, thirds)))(
        tmp_path / "true.json"
    )
    write_csv(tmp_path / "a.csv", STEMS, points())
    arguments = ["score", "a.csv", "--dataset", SPLIT, "--truth", "true.json"]
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert "true.json: face image_0003.png: a landmark is not annotated (v = 0)" in done.stderr
    done = odnbench(*arguments, "--allow-partial")
    assert done.returncode == 0, done.stderr
    assert "7 of 224" in done.stdout
    assert "left out: face image_0003.png of the annotation: a landmark is not" in done.stdout


def test_cofw68s_text_may_begin_with_a_mark(odnbench: Run, tmp_path: Path) -> None:
    true = truth("cofw68/test")
    lines = []
    for number, face in enumerate(predicted(true) + 1, start=1):
        lines += [str(number), *("\t".join(map(str, axis)) for axis in face.T), "0 " * 68]
    (tmp_path / "a.txt").write_text("\r\n".join(lines), encoding="utf-8-sig")
    done = odnbench(*score_arguments("cofw68/test", "a.txt"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["nme_percent"] < 5


def test_columns_of_visibility_are_flags(odnbench: Run, tmp_path: Path) -> None:
    true = truth("cofw68/test")
    path = write_csv(tmp_path / "a.csv", true.face_ids, predicted(true), flags=~FLAGS)
    path.write_text(path.read_text().replace(",o", ",v"))
    done = odnbench(*score_arguments("cofw68/test", path), "--json")
    (record,) = json.loads(done.stdout)
    assert record["occlusion"]["called_percent"] == pytest.approx(100 * FLAGS.mean()), done.stderr
    assert "v: 1 is visible, 0 is occluded" in record["notes"]


NONE = {
    "no header": ("a.csv", "a.png,1,2", "found no column that names faces in the columns a.png"),
    "other columns": ("a.csv", "face,left,right\na,1,2", "found no coordinates in the columns"),
    "two sets": ("a.csv", "face,x0,y0,pred_x0,pred_y0\na,1,2,3,4", "found 2 sets of coordinates"),
    "a gap": ("a.csv", "face,x0,y0,x2,y2\na,1,2,3,4", "no column of x has the number 1"),
    "a column twice": ("a.csv", "face,x0,y0,x0\na,1,2,3", "column 'x0' is there twice"),
    "one coordinate twice": ("a.csv", "face,x0,y0,x_0\na,1,2,3", "'x0' and 'x_0' are one coord"),
    "text": ("a.csv", "face,x0,y0\na,1,left", "line 2, column 'y0': expected a number, got 'left'"),
    "an underscore": ("a.csv", "face,x0,y0\na,1,1_5", "line 2, column 'y0': expected a number"),
    "a long line": ("a.csv", "face,x0,y0\na,1,2,3,4", "line 2: expected 3 cells as in the header"),
    "point and comma": ("a.csv", "face;x0;y0\na;1,5;2.5", "some numbers have a decimal comma"),
    "no name": ("a.csv", "face,x0,y0\n,1,2", "line 2 names no face"),
    "empty": ("a.csv", "", "expected columns face, x0, y0"),
    "UTF-16 without a mark": ("a.csv", "f\0a\0c\0e\0", "UTF-16 without a byte-order mark"),
    "an object": ("a.json", '{"a.png": [[1, 2]]}', "found an object with a.png"),
    "numbers": ("a.json", "[[1, 2], [3, 4]]", "record 1: expected a list of {\"imgpath\""),
    "a number": ("a.json", "12", "expected a list of {\"imgpath\": …, \"landmarks\""),
    "boxes alone": (
        "a.json", '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}',
        "annotations: entry 1 has no keypoints",
    ),
    "an unknown picture": (
        "a.json", '{"images": [], "annotations": [{"image_id": 1, "keypoints": [1, 2, 2]}]}',
        "annotations: entry 1: no image has the id 1",
    ),
    "points as objects": (
        "a.json", '[{"imgpath": "a", "landmarks": [{"x": 1, "y": 2}]}]',
        "face a: expected x and y of each landmark",
    ),
    "rows of x and of y": (
        "a.json", '[{"imgpath": "a", "landmarks": [[1, 2, 3, 4], [1, 2, 3, 4]]}]',
        "face a: expected x and y of each landmark",
    ),
    "depths": (
        "a.json", '[{"imgpath": "a", "landmarks": [[1, 2, 33.5]]}]',
        "the third (33.5) is neither a visibility (0, 1, 2) nor a confidence (0 to 1)",
    ),
    "cut off": ("a.json", '[{"imgpath": "a"', "cannot be read as JSON"),
    "a list of WFLW": ("a.txt", "1 2 3 4 a.png\n", "expected four lines per face, got 1 lines"),
}  # fmt: skip


@pytest.mark.parametrize("form", NONE)
def test_what_is_not_plain_is_told_in_a_line_with_file_and_cause(
    odnbench: Run, tmp_path: Path, form: str
) -> None:
    name, text, told = NONE[form]
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = odnbench(*score_arguments(SPLIT, name))
    assert done.returncode == 2
    assert f"error: {name}: " in done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_bytes_that_are_no_text_are_told(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("face,x0,y0\nMüller,1,2".encode("latin-1"))
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 2
    assert "a.csv: line 2: byte 0xfc is not UTF-8; save the file as UTF-8" in done.stderr


def test_results_of_coco_without_the_names_of_pictures_ask_for_them(
    odnbench: Run, tmp_path: Path
) -> None:
    held = triples(points(), 0.5)
    dump([{"image_id": 7 + i, "keypoints": k.ravel().tolist()} for i, k in enumerate(held)])(
        tmp_path / "a.json"
    )
    done = odnbench(*score_arguments(SPLIT, "a.json"))
    assert done.returncode == 2
    assert "it numbers pictures as COCO does, like 7; give the annotations" in done.stderr


def test_columns_that_are_not_used_are_told(odnbench: Run, tmp_path: Path) -> None:
    """HRNet's tables hold a scale and a centre beside the landmarks."""
    path = write_csv(tmp_path / "a.csv", STEMS, points(), header=headed("original_{i}_{axis}"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},scale", *(f"{line},1.5" for line in lines[1:])]))
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 0, done.stderr
    assert "a: columns that are not used: scale" in done.stdout
    assert "coordinates in columns like 'original_0_x', pixels counted from 0" in done.stdout


def test_a_link_to_itself_is_told(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("a.csv")
    write_csv(tmp_path / "b.csv", STEMS, points())
    done = odnbench(*score_arguments(SPLIT, "b.csv", "a.csv"))
    assert done.returncode == 2
    assert done.stderr == "error: a.csv: Too many levels of symbolic links\n"


def test_a_pipe_is_not_waited_for(odnbench: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 2
    assert "a.csv: it is no file of predictions but a folder, a pipe or a device" in done.stderr
