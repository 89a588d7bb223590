"""Files of predictions that hypothesis makes: each is scored, or refused in one line with its name.

The files are tables and JSON in all dialects, of which names, numbers, structure and bytes are
changed.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from helpers import REGISTRY, Run, fuzz
from hypothesis import given
from hypothesis import strategies as st
from prediction_files import FACES, coco, predicted, score_arguments, triples, truth, write_csv

from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import Protocol
from odnbench.scoring.prediction_files import read_prediction_file
from odnbench.scoring.score import score_files

SPLIT = "cofw68/test"
PROTOCOL = REGISTRY.get(Protocol, "cofw68-paper")
NUMBERS = st.one_of(
    st.none(), st.text(max_size=4), st.booleans(), st.floats(), st.integers(-3, 10**400),
    st.just([]), st.just({}),
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["0001", "test/1", "TEST\\0002.JPG", "train/0003.png", "0001.jpg/1,2,3,4", ""]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


def scored(path: Path) -> bool:
    """Whether a file is scored as `odnbench score --allow-partial` does it; else the error is one
    line that names the file.
    """
    try:
        file = read_prediction_file(path, allow_partial=True)
        (one,) = score_files([file], truth(SPLIT), PROTOCOL, REGISTRY, allow_partial=True)
    except OdnbenchError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
        return False
    assert np.isfinite(one.score.nme_percent)
    # Nothing is lost in silence: each face is scored or named.
    assert len(one.score.nme) + len(one.paired.left_out) == FACES
    return True


@fuzz(max_examples=500)
@given(data=st.data())
def test_a_changed_table_is_scored_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    points = predicted(truth(SPLIT))
    separator = data.draw(st.sampled_from([",", ";", "\t", " ", ", ", "|"]))
    pattern = data.draw(st.sampled_from(["{a}{i}", "original_{i}_{a}", "lm_{a}_{i}", "{i}{a}"]))
    decimal = data.draw(st.sampled_from([".", ","]))
    path = write_csv(
        tmp_path / "a.csv",
        [f"{i + 1:04d}" for i in range(FACES)],
        points,
        header=lambda landmark, axis: pattern.format(i=landmark, a=axis),
        separator=separator,
        number=lambda value: f"{value:.3f}".replace(".", decimal),
        face=data.draw(st.sampled_from(["face", "image_name", "Path", "nothing"])),
    )
    lines = path.read_text().split("\n")
    for _ in range(data.draw(st.integers(0, 3))):
        row = data.draw(st.integers(0, len(lines) - 1))
        cells = lines[row].split(separator)
        column = data.draw(st.integers(0, len(cells) - 1))
        value = data.draw(NAMES if column == 0 else NUMBERS.map(str))
        change = data.draw(st.sampled_from(["cell", "drop", "twice", "cut", "insert"]))
        if change == "cell":
            cells[column] = value
        elif change == "drop":
            del cells[column]
        elif change == "insert":
            cells.insert(column, value)
        lines[row] = separator.join(cells)
        if change == "twice":
            lines.append(lines[row])
        elif change == "cut":
            lines[row] = lines[row][: data.draw(st.integers(0, len(lines[row])))]
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]))
    path.write_bytes("\n".join(lines).encode(encoding, errors="replace"))
    scored(path)


def records() -> list[dict[str, Any]]:
    """Records of predictions."""
    return [
        {"imgpath": f"{i + 1:04d}.jpg", "landmarks": p.tolist()}
        for i, p in enumerate(predicted(truth(SPLIT)))
    ]


def annotations() -> dict[str, Any]:
    """The same as annotations of COCO."""
    faces = [f"{i + 1:04d}.jpg" for i in range(FACES)]
    points = predicted(truth(SPLIT))
    return coco(faces, triples(points, 2), np.tile([1.0, 2, 50, 60], (FACES, 1)))


def results() -> list[dict[str, Any]]:
    """The same as results of COCO."""
    return [
        {"image_id": i + 1, "keypoints": p.ravel().tolist()}
        for i, p in enumerate(triples(predicted(truth(SPLIT)), 0.5))
    ]


@fuzz(max_examples=500)
@given(data=st.data())
def test_changed_json_is_scored_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    held: Any = data.draw(st.sampled_from([records, annotations, results]))()
    for _ in range(data.draw(st.integers(0, 3))):
        place = held
        while True:  # down to some list or object in it
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], list | dict) or data.draw(st.integers(0, 2)) == 0:
                if data.draw(st.booleans()):
                    place[key] = data.draw(st.one_of(NUMBERS, NAMES))
                else:
                    del place[key]
                break
            place = place[key]
    text = json.dumps(held)
    if data.draw(st.integers(0, 5)) == 0:
        text = text[: data.draw(st.integers(0, len(text)))]
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    scored(path)


@fuzz(max_examples=200)
@given(
    suffix=st.sampled_from([".csv", ".tsv", ".json", ".txt", ".parquet"]),
    content=st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
    ),
)
def test_any_bytes_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert not scored(path)


def test_the_command_line_refuses_in_one_line(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x1b\x00\r\xff")
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: a.csv: ")
    assert done.stderr.count("\n") == 1
