"""`odnbench score` and `odnbench rescore`, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import Run
from made_results import Faces, Made, report_of, spread_errors

RNG = np.random.default_rng(0)
TRUE = RNG.uniform(20, 200, (6, 68, 2))


def write_csv(path: Path, points: np.ndarray) -> Path:  # type: ignore[type-arg]
    columns = {f"{a}{i}": points[:, i, k] for i in range(68) for k, a in enumerate("xy")}
    pd.DataFrame({"face": [f"image_{i:03d}" for i in range(6)], **columns}).to_csv(
        path, index=False
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Ground truth of six faces of IBUG, and two methods' predictions."""
    return {
        "truth": write_csv(tmp_path / "truth.csv", TRUE),
        "near": write_csv(tmp_path / "near.csv", TRUE + RNG.normal(0, 1, TRUE.shape)),
        "far": write_csv(tmp_path / "far.csv", TRUE + RNG.normal(0, 9, TRUE.shape)),
    }


def test_two_files_are_scored_and_compared(odnbench: Run, files: dict[str, Path]) -> None:
    done = odnbench(
        "score", str(files["near"]), str(files["far"]), "--truth", str(files["truth"]),
        "--dataset", "300w/ibug", "--protocol", "300w-paper", "--protocol", "300w-pupil",
        "--reference", "near", "--breakdown",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "300w/ibug under 300w-paper: error mean distance, over inter-ocular" in done.stdout
    assert "300w/ibug under 300w-pupil" in done.stdout
    assert "box rule the tool's own" in done.stdout
    assert "6 of 135" in done.stdout
    assert "worse (p" in done.stdout
    assert "mouth" in done.stdout


def test_json_holds_every_number(odnbench: Run, files: dict[str, Path]) -> None:
    done = odnbench(
        "score", str(files["near"]), "--truth", str(files["truth"]), "--dataset", "300w/ibug",
        "--json",
    )  # fmt: skip
    (record,) = json.loads(done.stdout)
    predicted = pd.read_csv(files["near"]).drop(columns="face").to_numpy().reshape(6, 68, 2)
    lengths = np.linalg.norm(TRUE[:, 36] - TRUE[:, 45], axis=1)
    by_hand = (np.linalg.norm(predicted - TRUE, axis=2).mean(axis=1) / lengths).mean()
    assert record["nme_percent"] == pytest.approx(100 * by_hand)
    assert record["interval_percent"][0] < record["nme_percent"] < record["interval_percent"][1]
    assert record["coverage"] == "6 of 135"
    assert record["protocol"]["name"] == "300w-paper"
    assert {group["by"] for group in record["groups"]} == {"component", "yaw"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["near.csv", "--dataset", "300w/ibug"], "300w not found below any data root"),
        (["near.csv", "--dataset", "300w/ibugg"], "did you mean 'ibug'"),
        (["near.csv", "--dataset", "300w/lfpw-test", "--truth", "truth.csv"], "no face of 300w"),
        (["near.csv", "--dataset", "300w/ibug", "--truth", "truth.csv", "--protocol", "wflw"],
         "protocol 'wflw' has 98 points"),
        (["near.csv", "--dataset", "300w/ibug", "--truth", "truth.csv", "--reference", "nera"],
         "did you mean 'near'"),
        (["absent.csv", "--dataset", "300w/ibug"], "absent.csv: No such file"),
        (["near.pkl", "--dataset", "300w/ibug"], "unknown format of predictions '.pkl'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line_with_status_2(
    odnbench: Run, files: dict[str, Path], arguments: list[str], told: str
) -> None:
    done = odnbench("score", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_rescoring_wants_results_and_protocols(odnbench: Run) -> None:
    done = odnbench("rescore", "ablation", "--all-protocols")
    assert done.returncode == 2
    assert "run `odnbench run ablation` first" in done.stderr


def test_rescoring_names_the_rows_that_it_does_not_rank(odnbench: Run, tmp_path: Path) -> None:
    faces = Faces(spread_errors(0.05))
    report_of(tmp_path / "runs" / "made", Made("odn", faces), Made("dm", faces, rendered=False))
    done = odnbench("rescore", "made", "--protocol", "300w-pupil")
    assert done.returncode == 0, done.stderr
    assert "BRNet+DM is not ranked: real faces, not rendered ones" in done.stdout
    assert "a single row has no ranking" in done.stdout


def test_bench_metrics_writes_what_it_prints(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench("bench", "metrics", "--faces", "500", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench" / "metrics.json").read_text())
    assert {timing["name"] for timing in found["timings"]} == {
        "errors", "errors, loop", "interval", "interval, loop", "permutation", "permutation, loop",
    }  # fmt: skip
