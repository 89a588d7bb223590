"""Flags of occlusion that a file copied from the annotation are no result."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import Run
from made_results import Faces, Made, report_of, spread_errors
from prediction_files import (
    coco,
    predicted,
    score_arguments,
    triples,
    truth,
    write_csv,
    write_records,
)

from odnbench.arrays import Flags

SPLIT = "cofw68/test"
COPIED = "its occlusion flags repeat the annotation at every landmark of 8 faces: copied"


def true_flags() -> Flags:
    """(N, 68) of the annotation."""
    flags = truth(SPLIT).occluded
    assert flags is not None
    return flags


def write(path: Path, flags: Flags) -> Path:
    """A file of predictions with `flags`, in the format of its suffix."""
    true = truth(SPLIT)
    if path.name == "coco.json":
        held = coco([f"{i + 1:04d}.jpg" for i in range(8)], triples(predicted(true), 2 - flags))
        path.write_text(json.dumps(held))
        return path
    if path.suffix == ".json":
        return write_records(path, true.face_ids, predicted(true), flags)
    return write_csv(path, true.face_ids, predicted(true), flags=flags)


@pytest.mark.parametrize("name", ["a.json", "a.csv", "coco.json"])
def test_copied_flags_have_no_precision_and_recall(
    odnbench: Run, tmp_path: Path, name: str
) -> None:
    file = write(tmp_path / name, true_flags())
    done = odnbench(*score_arguments(SPLIT, file))
    assert done.returncode == 0, done.stderr
    assert COPIED in done.stdout
    assert "100.00 / 100.00" not in done.stdout
    done = odnbench(*score_arguments(SPLIT, file), "--json")
    assert json.loads(done.stdout)[0]["occlusion"] is None


def test_copied_flags_are_known_where_visible_was_taken_for_occluded(
    odnbench: Run, tmp_path: Path
) -> None:
    done = odnbench(*score_arguments(SPLIT, write(tmp_path / "a.json", ~true_flags())))
    assert COPIED in done.stdout


def test_copied_flags_of_a_part_of_the_faces_are_known(odnbench: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", true_flags())
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    done = odnbench(*score_arguments(SPLIT, file), "--allow-partial")
    assert COPIED.replace("8 faces", "7 faces") in done.stdout


def test_flags_that_differ_at_one_landmark_are_scored(odnbench: Run, tmp_path: Path) -> None:
    flags = true_flags().copy()
    face, landmark = np.argwhere(~flags)[0]
    flags[face, landmark] = True
    done = odnbench(*score_arguments(SPLIT, write(tmp_path / "a.json", flags)))
    precision = 100 * true_flags().sum() / flags.sum()
    assert f"{precision:.2f} / 100.00" in done.stdout
    assert "copied" not in done.stdout


def test_spigas_file_of_300w_copies_its_flags(odnbench: Run, shared_data: Path) -> None:
    done = odnbench(
        "score", str(shared_data / "peers" / "spiga" / "results_300wpublic_test.json"),
        "--truth", str(shared_data / "300w-annotations" / "spiga_300wpublic_test.json"),
        "--dataset", "300w/full",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2.994" in done.stdout
    assert "100.00 / 100.00" not in done.stdout


def test_points_that_are_those_of_the_annotation_are_called_copied(
    odnbench: Run, tmp_path: Path
) -> None:
    true = truth(SPLIT)
    write_records(tmp_path / "a.json", true.face_ids, true.points)
    done = odnbench(*score_arguments(SPLIT, "a.json"))
    assert "its points are those of the annotation on every face: copied" in done.stdout


def test_a_report_says_that_a_foreign_file_is_copied(odnbench: Run, tmp_path: Path) -> None:
    report_of(tmp_path / "runs" / "made", Made("odn", Faces(spread_errors(0.05))))
    (found,) = (tmp_path / "runs").rglob("predictions.parquet")
    held = pd.read_parquet(found)
    pd.DataFrame({"face": held["face"], "predicted": held["true"]}).to_parquet(
        tmp_path / "theirs.parquet"
    )
    done = odnbench("report", "--out", "out", "--with", "theirs.parquet")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "made.md").read_text()
    assert "theirs: its points are those of the annotation on every face: copied" in text
