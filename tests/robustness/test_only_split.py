"""A data set named without a split: taken where it has one, else the splits are listed."""

import json
from pathlib import Path

import pytest
from helpers import Run
from prediction_files import predicted, score_arguments, truth, write_csv


def test_the_only_split_of_a_data_set_is_taken_and_told(odnbench: Run, tmp_path: Path) -> None:
    true = truth("cofw68/test")
    write_csv(tmp_path / "a.csv", true.face_ids, predicted(true))
    done = odnbench(*score_arguments("cofw68", "a.csv"))
    assert done.returncode == 0, done.stderr
    assert "cofw68: scored on cofw68/test, its only split" in done.stdout
    named = odnbench(*score_arguments("cofw68/test", "a.csv"), "--json")
    done = odnbench(*score_arguments("cofw68", "a.csv"), "--json")
    assert json.loads(done.stdout) == json.loads(named.stdout)
    assert json.loads(done.stdout)[0]["split"] == "cofw68/test"


def test_a_data_set_that_is_not_there_says_where_it_was_looked_for(
    odnbench: Run, tmp_path: Path
) -> None:
    write_csv(tmp_path / "a.csv", ["a"], predicted(truth("cofw68/test"))[:1])
    (tmp_path / "faces").mkdir()
    done = odnbench("score", "a.csv", "--dataset", "cofw68", "--data-root", "faces")
    assert done.returncode == 2
    assert "cofw68 not found below faces: no test_annotations" in done.stderr
    assert "or give the annotations as a file: --truth" in done.stderr


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("cofw", "'cofw' names no split; choose one of cofw/train, cofw/test"),
        ("300w", "'300w' names no split; choose one of 300w/train, 300w/common"),
        ("wflw", "'wflw' names no split; choose one of wflw/pose"),
        ("cofw86", "unknown dataset 'cofw86'; did you mean 'cofw68'?"),
    ],
)
def test_several_splits_are_listed(odnbench: Run, tmp_path: Path, name: str, listed: str) -> None:
    write_csv(tmp_path / "a.csv", ["a"], predicted(truth("cofw68/test"))[:1])
    done = odnbench("score", "a.csv", "--dataset", name)
    assert done.returncode == 2
    assert listed in done.stderr
