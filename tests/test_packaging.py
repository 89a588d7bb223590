"""The wheel does all that the checkout does."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import odnbench

ROOT = Path(odnbench.__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_carries_registry_pipelines_and_templates(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert "odnbench/py.typed" in names
    for folder in ("registry", "pipelines", "reports/templates"):
        for path in (ROOT / folder).rglob("*.*"):
            shipped = f"odnbench/_shipped/{path.relative_to(ROOT).as_posix()}"
            assert shipped in names
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    script = (
        "import odnbench; print(odnbench.__file__)\n"
        "from odnbench.plan.pipelines import load_pipeline, resolve\n"
        "from odnbench.plan.registry import Registry\n"
        "print(len(resolve(load_pipeline('ablation'), Registry.load())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    location, trials = done.stdout.split()
    assert Path(location).is_relative_to(tmp_path)
    assert int(trials) == 11
