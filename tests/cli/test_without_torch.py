"""Commands that need no network work where torch, torchvision, ray and optuna are not installed."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers import Run

pytestmark = pytest.mark.slow

SITECUSTOMIZE = '''
import sys

class Absent:
    """A finder that knows these packages not to be there."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "ray", "optuna"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
'''


@pytest.fixture
def bare(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, user_environment: dict[str, str]
) -> Run:
    """Runs the console command in an empty folder, in an interpreter without the four packages."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    inherited = user_environment.get("PYTHONPATH")
    path = os.pathsep.join([str(site), *([inherited] if inherited else [])])

    def run(*arguments: str, module: str = "odnbench") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path, env={**user_environment, "PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("package", ["torch", "torchvision", "ray", "optuna"])
def test_the_packages_are_indeed_absent(bare: Run, package: str) -> None:
    done = bare(module=package)
    assert done.returncode != 0
    assert f"No module named '{package}'" in done.stderr


def test_status_works(bare: Run, old_results: Path) -> None:
    done = bare("status")
    assert done.returncode == 0, done.stderr
    assert "6 trials: 6 done" in done.stdout


def test_report_works(bare: Run, old_results: Path, tmp_path: Path) -> None:
    done = bare("report")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "reports" / "out"
    assert "| BRNet+GM+LM+DM (ODN) |" in (folder / "ablation.md").read_text()
    assert (folder / "ablation-ced.png").is_file()


def test_score_works(bare: Run, old_results: Path, tmp_path: Path) -> None:
    predictions = next(old_results.glob("ablation/*/predictions.parquet"))
    table = pd.read_parquet(predictions)
    table = table[table["part"].isin(["300w/helen-test", "300w/lfpw-test"])]
    for name in ("true", "predicted"):
        points = pd.DataFrame(table[name].to_list())
        points.columns = [f"{axis}{i}" for i in range(68) for axis in "xy"]
        names = [f"100_{index}" for index in range(len(points))]  # of HELEN's test part
        points.insert(0, "face", names)
        points.to_csv(tmp_path / f"{name}.csv", index=False)
    done = bare("score", "predicted.csv", "--truth", "true.csv", "--dataset", "300w/common")
    assert done.returncode == 0, done.stderr
    assert "300w/common under 300w-paper" in done.stdout


def test_rescore_works(bare: Run, old_results: Path) -> None:
    done = bare("rescore", "ablation", "--all-protocols")
    assert done.returncode == 0, done.stderr
    assert "300w-pupil" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["list"], "resnet18"), (["show", "modules", "gm"], '"slot": "geometry"')],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_registry_works(bare: Run, arguments: list[str], shown: str) -> None:
    done = bare("registry", *arguments)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_data_doctor_works(bare: Run, tmp_path: Path) -> None:
    layout = ("--layout", "cofw", "--faces", "2", "--size", "64")
    rendered = bare("data", "render", "data/cofw", *layout)
    assert rendered.returncode == 0, rendered.stderr
    done = bare("data", "doctor", "--data-root", "data")
    assert done.returncode == 0, done.stderr
    assert "no fault found" in done.stdout


@pytest.mark.slow
def test_sync_works(bare: Run, old_results: Path, tmp_path: Path) -> None:
    done = bare("sync")
    assert done.returncode == 0, done.stderr
    assert "ablation: trials delivered: 6" in done.stdout
    assert (tmp_path / "mlflow.db").is_file()
