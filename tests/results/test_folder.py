"""The folder of a trial: its file names, the order of copying, and where the trial stands."""

import os
from itertools import permutations
from pathlib import Path

import pytest
from helpers import FACES, trial_of

from odnbench.errors import OdnbenchError
from odnbench.results.folder import INTERRUPTED, STATUS, TrialFolder, transfer_order
from odnbench.results.predictions import Predictions
from odnbench.results.records import Epoch, Result, State

TOUCHED = 1_000_000.0  # when the state of a trial was written, in seconds since the epoch
LATER = TOUCHED + 60
REASON = "epoch 1: the data term is nan"


def epoch(number: int) -> Epoch:
    penalties = dict.fromkeys(("alpha", "beta", "gamma", "lambda", "eta"), 0.1)
    return Epoch(number, 1.0, 0.5, 1e-3, 7.0, 2.0, penalties=penalties)


def predictions() -> Predictions:
    test = FACES.test
    return Predictions(
        test.ids, test.parts, test.points, test.points, test.occluded, test.boxes, test.labels
    )


def result() -> Result:
    return Result(10, 1, 7.0, 2.0, 100.0, "float32", "cpu", "2.11")


def folder_with(path: Path, state: State | None, reason: str) -> TrialFolder:
    """The folder of a trial in this state; None: no state was ever written."""
    folder = TrialFolder(path)
    path.mkdir()
    if state is not None:
        folder.set_status(state, reason)
        os.utime(path / STATUS, (TOUCHED, TOUCHED))
    return folder


@pytest.mark.parametrize(
    ("state", "reason", "idle", "at_work"),
    [
        (None, "", "waiting", "waiting"),
        ("running", "", "interrupted", "running"),
        ("failed", REASON, "failed", "failed"),
        ("stopped", "epoch 3 is worse than most", "stopped", "stopped"),
        ("stopped", INTERRUPTED, "interrupted", "waiting"),
        ("done", "", "interrupted", "running"),  # killed before it wrote the marker
    ],
)
@pytest.mark.parametrize("is_at_work", [False, True])
@pytest.mark.parametrize("began", [0.0, TOUCHED, LATER])
def test_a_trial_stands_where_its_state_and_the_sweep_put_it(
    tmp_path: Path,
    state: State | None,
    reason: str,
    idle: str,
    at_work: str,
    began: float,
    is_at_work: bool,
) -> None:
    folder = folder_with(tmp_path / "trial", state, reason)
    standing = folder.standing(at_work=is_at_work, began=began)
    if began > TOUCHED:  # what an earlier sweep left behind waits for this one
        assert (standing.state, standing.reason) == ("waiting", "")
        return
    assert standing.state == (at_work if is_at_work else idle)
    told = {"failed": reason, "stopped": reason, "interrupted": "the same command goes on with it"}
    assert standing.reason == told.get(standing.state, "")


@pytest.mark.parametrize("at_work", [True, False])
@pytest.mark.parametrize("began", [0.0, TOUCHED, LATER])
@pytest.mark.parametrize("state", [None, "running", "failed", "stopped", "done"])
def test_a_trial_with_its_marker_is_done_whatever_else_is_said(
    tmp_path: Path, state: State | None, began: float, at_work: bool
) -> None:
    folder = folder_with(tmp_path / "trial", state, REASON)
    if state is None:
        folder.announce(trial_of())
    folder.mark()
    assert str(folder.standing(at_work=at_work, began=began)) == "done"


@pytest.mark.parametrize("at_work", [True, False])
def test_a_trial_without_a_folder_waits(tmp_path: Path, at_work: bool) -> None:
    assert str(TrialFolder(tmp_path / "nowhere").standing(at_work=at_work)) == "waiting"


def test_a_failure_is_told_with_its_reason(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "trial", "failed", REASON)
    assert str(folder.standing(at_work=False)) == f"failed: {REASON}"


def test_progress_is_copied_after_its_epochs_and_the_marker_last() -> None:
    names = ["checkpoint.safetensors", "metrics.jsonl", "trial.json", "progress.pt", "done"]
    for shuffled in permutations(names):
        assert sorted(shuffled, key=transfer_order) == names


def test_names_of_files_are_those_of_earlier_results(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    folder.start(trial_of())
    folder.append(epoch(1))
    folder.finish(result(), predictions())
    assert {path.name for path in folder.path.iterdir()} == {
        "trial.json",
        "status.json",
        "metrics.jsonl",
        "predictions.parquet",
        "result.json",
        "done",
    }
    names = (folder.checkpoint.name, folder.progress.name, folder.examples.name)
    assert names == ("checkpoint.safetensors", "progress.pt", "examples.jpg")
    assert (folder.trial, folder.result, folder.epochs) == (trial_of(), result(), [epoch(1)])


def test_a_trial_that_goes_on_keeps_the_epochs_before_its_progress(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    folder.start(trial_of())
    for number in (1, 2, 3):
        folder.append(epoch(number))
    folder.progress.write_bytes(b"progress after epoch 2")
    folder.start(trial_of(), epochs=2)
    assert folder.epochs == [epoch(1), epoch(2)]
    assert folder.progress.exists()
    folder.start(trial_of())
    assert folder.epochs == [] and not folder.progress.exists()


def test_a_finished_trial_is_not_announced_again(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    folder.start(trial_of())
    folder.finish(result(), predictions())
    folder.announce(trial_of("brnet"))
    assert folder.trial == trial_of()
    assert folder.status == ("done", "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    with pytest.raises(OdnbenchError, match=r"trial\.json: cannot be read"):
        _ = folder.trial
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(OdnbenchError, match=r"status\.json: cannot be read"):
        _ = folder.status
