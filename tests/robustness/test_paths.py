"""`~` in every place that a user names."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Run

import odnbench as package
from odnbench.datasets.detectors import box_map_of, map_file, open_detector
from odnbench.errors import OdnbenchError

TINY = [
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6", "-s", "batch_size=8",
    "-s", "epochs=2", "-s", "variant=odn",
]  # fmt: skip


@pytest.fixture
def home(user_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(user_environment, "HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def faces(odnbench: Run, home: Path) -> Path:
    """A small data set, written to a folder below `~`."""
    assert odnbench("data", "render", "~/x/300w", "--faces", "1", "--size", "64").returncode == 0
    return home / "x" / "300w"


def test_a_data_root_in_the_environment(
    odnbench: Run, faces: Path, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (faces / "afw").is_dir()
    monkeypatch.setitem(user_environment, "ODNBENCH_DATA", "~/x")
    done = odnbench("data", "doctor", "300w")
    assert str(faces) in done.stdout, done.stderr


@pytest.mark.parametrize("option", ["--data-root=~/x", "--data-root=~/x/300w"])
def test_a_data_root_in_an_option(odnbench: Run, faces: Path, option: str) -> None:
    assert str(faces) in odnbench("data", "doctor", "300w", option).stdout


def test_a_data_root_in_the_configuration(odnbench: Run, faces: Path, home: Path) -> None:
    folder = home / ".config" / "odnbench"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('data_root = "~/x"\n')
    assert str(faces) in odnbench("data", "doctor", "300w").stdout


def test_a_cache_in_the_environment(
    odnbench: Run,
    faces: Path,
    home: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", "~/kept")
    done = odnbench("data", "prepare", "300w/afw", "--data-root=~/x", "--input-size", "64")
    assert f"kept in {home / 'kept'}" in done.stdout, done.stderr
    assert list((home / "kept").iterdir())
    assert not (tmp_path / "~").exists()


def test_results_in_the_environment(
    odnbench: Run,
    home: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(user_environment, "ODNBENCH_STORAGE", "~/results")
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", "sqlite:///~/kept.db")
    done = odnbench("run", "ablation", "--executor", "inline", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"results    {home}/results/ablation" in done.stdout
    assert len(list(home.glob("results/ablation/*/predictions.parquet"))) == 1
    report = odnbench("report", "--out=~/reports")
    assert report.returncode == 0, report.stderr
    assert (home / "reports" / "ablation.md").is_file()
    assert (home / "kept.db").is_file()
    assert not (tmp_path / "~").exists()


def test_files_of_pipelines_registry_and_truth(odnbench: Run, home: Path) -> None:
    for option in ("--registry=~/mine", "--settings=~/mine.toml"):
        done = odnbench("run", "ablation", option, *TINY)
        assert done.returncode == 2
        assert f"{home}/mine" in done.stderr
    done = odnbench("run", "~/mine.toml")
    assert (done.returncode, str(home / "mine.toml") in done.stderr) == (2, True)
    done = odnbench("score", "~/mine.csv", "--dataset", "300w/common", "--truth=~/truth.csv")
    assert done.returncode == 2
    assert "~" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "doctor", "--data-root=~nobody-of-that-name/x"],
        ["run", "~nobody-of-that-name/x.toml"],
        ["run", "ablation", "-s", "pretrained=~nobody-of-that-name/x.npz"],
        ["status", "--storage=~nobody-of-that-name/x"],
    ],
)
def test_a_home_that_is_not_known_is_told_in_a_line(odnbench: Run, arguments: list[str]) -> None:
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert "~nobody-of-that-name/x" in done.stderr
    assert "write the whole path, or set HOME" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "call",
    [
        lambda place: package.load("best:ablation", storage=place),
        lambda place: package.numbers("ablation", storage=place),
        lambda place: package.trials("ablation", storage=place),
        lambda place: package.trials("ablation", registry=[place]),
        open_detector,
        box_map_of,
    ],
)
def test_places_in_python(call: Callable[[str], object]) -> None:
    with pytest.raises(OdnbenchError, match="the home folder that ~ stands for is not known"):
        call("~nobody-of-that-name/x")


def test_the_map_of_a_detector_below_home(home: Path) -> None:
    assert map_file("~/yunet.onnx").name == "yunet.onnx.boxes.json"
    assert map_file("~/yunet.onnx").is_absolute()
