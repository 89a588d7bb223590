"""`odnbench data` and `odnbench bench`, as a user types them."""

import json
from pathlib import Path

import cv2
import pytest
from helpers import Run


@pytest.fixture
def cofw(odnbench: Run, tmp_path: Path) -> Path:
    """A rendered COFW below tmp_path/data."""
    root = tmp_path / "data" / "cofw"
    done = odnbench(
        "data", "render", str(root), "--layout", "cofw", "--faces", "5", "--size", "64"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "10 rendered faces" in done.stdout
    return root


def test_a_healthy_data_set_has_status_0_and_a_faulty_one_1(odnbench: Run, cofw: Path) -> None:
    done = odnbench("data", "doctor", "--data-root", str(cofw.parent))
    assert done.returncode == 0, done.stderr
    assert "no fault found" in done.stdout
    (cofw / "COFW_test_color.mat").unlink()
    done = odnbench("data", "doctor", "cofw", "--data-root", str(cofw))
    assert done.returncode == 1
    assert "FAULT missing faces: test: 0 of 5 faces, not there" in done.stdout


def test_the_doctor_speaks_json(odnbench: Run, cofw: Path) -> None:
    done = odnbench("data", "doctor", "--json", "--data-root", str(cofw))
    (diagnosis,) = json.loads(done.stdout)
    assert diagnosis["dataset"] == "cofw"
    assert diagnosis["counts"][0] == {"part": "train", "faces": 5, "official": 5}


def test_preparing_says_what_there_is_and_the_second_time_is_a_look_up(
    odnbench: Run, cofw: Path, user_environment: dict[str, str]
) -> None:
    command = ("data", "prepare", "cofw", "--data-root", str(cofw), "--input-size", "32")
    cache = Path(user_environment["HOME"]) / ".cache" / "odnbench"
    texts = []
    for _ in range(2):
        done = odnbench(*command)
        assert done.returncode == 0, done.stderr
        assert "cofw/train rendered, 5 faces, cofw/test rendered, 5 faces; 40 px" in done.stdout
        texts.append({path: path.stat().st_mtime_ns for path in cache.glob("*/images.npy")})
    assert texts[0] == texts[1] != {}


def test_a_contact_sheet_is_a_picture(odnbench: Run, cofw: Path, tmp_path: Path) -> None:
    done = odnbench(
        "data", "show", "cofw/test", "--faces", "5", "--out", "sheet.png",
        "--data-root", str(cofw),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape == (192, 5 * 192, 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["doctor"], "no data set: not found below any data root"),
        (["doctor", "cowf"], "did you mean 'cofw'"),
        (["prepare", "300w"], "300w not found below any data root"),
        (["prepare", "300w/tran"], "did you mean 'train'"),
        (["prepare", "300w", "--protocol", "wflv"], "did you mean 'wflw'"),
        (["render", "x", "--layout", "300v"], "did you mean '300w'"),
        (["show", "wflw/pose+blur"], "only whole splits can be joined"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_a_line_with_status_2(
    odnbench: Run, arguments: list[str], told: str
) -> None:
    done = odnbench("data", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.slow
def test_missing_training_faces_stop_a_run_until_the_user_allows_it(
    odnbench: Run, tmp_path: Path
) -> None:
    root = tmp_path / "data" / "300w"
    odnbench("data", "render", str(root), "--faces", "12", "--size", "64")
    (root / "afw" / "image_0003.png").unlink()
    command = ("run", "ablation", "--dry-run", "--data-root", str(root), "-s", "input_size=32")
    command += ("-s", "pretrained=none")  # the network that the plan is checked with
    done = odnbench(*command)
    assert done.returncode == 2
    assert "300w/train: 11 of the 12 faces of afw" in done.stderr
    assert "--allow-partial" in done.stderr
    done = odnbench(*command, "--allow-partial")
    assert done.returncode == 0, done.stderr
    assert "300w/train: 11 of the 12 faces of afw" in done.stdout


@pytest.mark.slow
def test_bench_prepare_writes_what_it_prints(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench(
        "bench", "prepare", "wflw", "--size", "32", "--repeats", "1", "--memory-faces", "20"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench" / "prepare.json").read_text())
    assert found["facts"]["faces"] == 400
    seconds = {timing["name"]: timing["seconds"][0] for timing in found["timings"]}
    assert set(seconds) == {"bare loop", "bare loop, kept in memory", "prepare", "prepare again"}
    ratio = seconds["prepare"] / seconds["bare loop"]
    assert f"preparing takes {ratio:.2f} of the bare loop's time" in done.stdout
