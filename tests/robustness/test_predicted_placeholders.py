"""Numbers that stand for an unknown landmark: told by name, and counted as they are."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import Run
from prediction_files import predicted, score_arguments, truth, write_csv

from odnbench.arrays import Floats

SPLIT = "300w/lfpw-test"


def with_face(change: Callable[[Floats], None]) -> Floats:
    """Predictions of which the third face is changed."""
    points = predicted(truth(SPLIT))
    change(points[2])
    return points


CHANGES: dict[str, Callable[[Floats], None]] = {
    "all zeros": lambda face: face.fill(0),
    "all -1": lambda face: face.fill(-1),
    "all in one place": lambda face: face.fill(31.5),
    "hidden ones in one place": lambda face: face.__setitem__([3, 17, 40, 66], 20.0),
    "one at -1 -1": lambda face: face[7].fill(-1),
    "some at 0 0": lambda face: face[3:9].fill(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_face_with_placeholders_is_named_and_counts(
    odnbench: Run, tmp_path: Path, change: str
) -> None:
    points = with_face(CHANGES[change])
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points)
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 0, done.stderr
    assert "a: predictions of 1 face hold placeholders" in done.stdout
    assert "which count as they stand: lfpw/testset/image_0002" in done.stdout
    done = odnbench(*score_arguments(SPLIT, "a.csv"), "--json")
    true = truth(SPLIT).points
    length = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    by_hand = 100 * (np.linalg.norm(points - true, axis=2).mean(axis=1) / length).mean()
    assert json.loads(done.stdout)[0]["nme_percent"] == pytest.approx(by_hand)


def test_placeholders_of_a_file_that_counts_from_1_are_known(odnbench: Run, tmp_path: Path) -> None:
    true = truth("cofw68/test")
    points = predicted(true) + 1
    points[4] = 0
    lines = []
    for number, face in enumerate(points, start=1):
        lines += [str(number), *(" ".join(map(str, axis)) for axis in face.T), "0 " * 68]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    done = odnbench(*score_arguments("cofw68/test", "a.txt"))
    assert "predictions of 1 face hold placeholders" in done.stdout, done.stderr
    assert "test/0005" in done.stdout


def test_placeholders_in_a_file_of_annotations_are_told(odnbench: Run, tmp_path: Path) -> None:
    true = truth(SPLIT)
    points = true.points.copy()
    points[2, 7] = -1
    write_csv(tmp_path / "true.csv", true.face_ids, points)
    write_csv(tmp_path / "a.csv", true.face_ids, predicted(true))
    done = odnbench("score", "a.csv", "--dataset", SPLIT, "--truth", "true.csv")
    assert "a: annotations of 1 face hold placeholders" in done.stdout, done.stderr


def test_usual_predictions_have_no_placeholders(odnbench: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, predicted(truth(SPLIT)))
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 0
    assert "placeholders" not in done.stdout
