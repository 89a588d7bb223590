"""`run occlusion` and `run boxes`, and what `report`, `status` and `--dry-run` say of them."""

from pathlib import Path

import pytest
from helpers import TINY, Run

TINIER = [text for key in (*TINY, "variant=cut,dm", "seed=0") for text in ("-s", key)]


@pytest.mark.usefixtures("without_mlflow")
def test_run_occlusion_and_report(odnbench: Run, tmp_path: Path) -> None:
    arguments = ("occlusion", "--executor", "inline", *TINIER)
    done = odnbench("run", *arguments)
    assert done.returncode == 0, done.stderr
    assert "disturbed  occluders: 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6" in done.stdout
    assert odnbench("status").returncode == 0

    files = sorted(tmp_path.glob("runs/occlusion/*/disturbed-occluders-*"))
    assert len(files) == 2 * 6
    files[0].unlink()
    status = odnbench("status")
    assert status.returncode == 1
    assert "test faces not yet predicted with occluders 0.1" in status.stdout
    dry = odnbench("run", *arguments, "--dry-run")
    assert "0 to run, 2 finished (reused), 1 of which predict disturbed test faces" in dry.stdout
    again = odnbench("run", *arguments)
    assert again.returncode == 0, again.stderr
    assert "BRNet+DM: reused" in again.stdout or "cut backbone, no module: reused" in again.stdout

    done = odnbench("report", "occlusion")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "reports" / "out"
    page = (out / "occlusion.md").read_text()
    assert "## Disturbed test faces" in page
    assert "| model | NME at 0 | at 0.6 | mean over levels |" in page
    assert "](occlusion-disturbed-occluders.png)" in page
    assert (out / "occlusion-disturbed-occluders.png").is_file()


@pytest.mark.parametrize("key", ["shift", "scale"])
def test_run_boxes_has_the_margin_that_its_boxes_need(odnbench: Run, key: str) -> None:
    arguments = ("boxes", "--executor", "inline", *TINIER, "--dry-run")
    done = odnbench("run", *arguments)
    assert done.returncode == 0, done.stderr
    assert f"disturbed  {key}: 0, 0.05, " in done.stdout
    done = odnbench("run", *arguments, "-s", "data.margin=1.2")
    assert done.returncode == 2
    assert "disturbances.shift 0.15 needs pictures of 1.23 times the crop's side" in done.stderr
