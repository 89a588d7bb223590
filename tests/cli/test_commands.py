"""What a user types, and what comes back: exit status, texts, files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Run

TINY = [
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6", "-s", "batch_size=8",
    "-s", "epochs=2", "-s", "variant=mean-shape,odn",
]  # fmt: skip


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["registry", "list"]])
def test_help_loads_no_heavy_library(command: list[str], user_environment: dict[str, str]) -> None:
    script = (
        "import sys\nfrom odnbench.cli.app import app\n"
        f"try: app({command!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'cv2', 'numpy', 'pyarrow'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=user_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "ablatoin"], "did you mean 'ablation'?"),
        (["run", "ablation", "-s", "variant=ondn"], "did you mean 'odn'?"),
        (["run", "ablation", "-s", "train.epocs=3"], "did you mean 'train.epochs'?"),
        (["run", "ablation", "-s", "train.epochs=3.5"], "-s train.epochs: expected a whole number"),
        (["run", "ablation", "-s", "train.epochs"], "expected key=value"),
        (["run", "ablation", "-s", "input_size=100"], "multiple of 32, got 100; try 96 or 128"),
        (["run", "ablation", "-s", "geometry=dm"], "module 'dm' is for the slot distillation"),
        (["run", "ablation", "-s", "criterion=wing"], "add -s loss.unit=pixels"),
        (["run", "ablation", "-s", "pretrained=no.npz"], "no.npz is not there"),
        (["run", "ablation", "--data-root", "nowhere"], "data root nowhere is not a folder"),
        (["run", "ablation", "--require-data"], "300w not found"),
        (["run", "ablation", "--registry", "nowhere"], "registry folder nowhere is not there"),
        (["run", "ablation", "--settings", "lapdog"], "did you mean 'laptop'?"),
        (["run", "nowhere.toml"], "pipeline file nowhere.toml is not there"),
        (["report"], "run `odnbench run ablation` first"),
        (["status"], "run `odnbench run ablation` first"),
        (["registry", "show", "modules", "gn"], "did you mean 'gm'?"),
        (["data", "show", "300w/comon"], "did you mean 'common'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_a_line_with_status_2(
    odnbench: Run, arguments: list[str], told: str
) -> None:
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_every_faulty_file_of_a_data_set_is_named_at_once(odnbench: Run, tmp_path: Path) -> None:
    root = tmp_path / "300w"
    assert odnbench("data", "render", str(root), "--faces", "2", "--size", "64").returncode == 0
    picture = root / "afw" / "image_0000.png"
    picture.write_bytes(picture.read_bytes()[:1000])
    points = root / "ibug" / "image_0001.pts"
    lines = points.read_text().splitlines()
    points.write_text("\n".join(lines[:10] + lines[11:]))  # 67 points
    done = odnbench("run", "ablation", "--data-root", str(root), *TINY)
    assert done.returncode == 2
    assert "afw/image_0000.png: the picture is truncated" in done.stderr
    assert "ibug/image_0001.pts: expected 68 points, found 67" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_prints_the_plan_and_writes_nothing(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench("run", "ablation", "--dry-run", *TINY)
    assert done.returncode == 0
    assert "2 trials" in done.stdout
    assert "rendered, 24 faces" in done.stdout
    assert "2 to run, 0 finished (reused); measured here in" in done.stdout
    (odn,) = (line for line in done.stdout.splitlines() if "(ODN)" in line)
    assert re.search(r" \d{3},\d{3} +about \d+ MB +\d+ ms +\d+ s", odn)
    assert re.search(r"time +about \d+ s, \d+ side by side; .* core-hours", done.stdout)
    assert "disk       about" in done.stdout
    assert not list(tmp_path.iterdir())


def test_every_fault_of_a_plan_is_told_before_anything_runs(odnbench: Run, tmp_path: Path) -> None:
    overrides = [*TINY[:-1], "variant=mean-shape,dm,odn", "-s", "attach=layer9"]
    done = odnbench("run", "ablation", *overrides)
    assert done.returncode == 2
    for variant in ("dm", "odn"):
        assert f"variant {variant}: model.attach: this backbone has no 'layer9'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_run_tune_and_report_work_in_an_empty_folder_without_data(
    odnbench: Run, tmp_path: Path
) -> None:
    run = odnbench("run", "ablation", *TINY)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "300w is not on this machine" in run.stdout

    tune = ["tune", "--search", "optuna", "--trials", "2", *TINY[:-1], "variant=odn"]
    tuned = odnbench(*tune, "--confirm", "2", "--best", "1")
    assert tuned.returncode == 0, tuned.stdout + tuned.stderr
    assert len(list((tmp_path / "runs" / "tune").glob("*/trial.json"))) == 2 + 2 * 2
    assert tuned.stderr == ""

    status = odnbench("status")
    assert status.returncode == 0, status.stdout
    assert "ablation: no sweep is at work" in status.stdout
    assert "2 trials: 2 done" in status.stdout
    assert "tune: no sweep is at work" in status.stdout

    report = odnbench("report", "--format", "markdown")
    assert report.returncode == 0, report.stderr
    ablation = (tmp_path / "reports" / "out" / "ablation.md").read_text()
    assert "**Rendered faces** stand in for 300w/train, 300w/common" in ablation
    assert "| BRNet+GM+LM+DM (ODN) |" in ablation
    assert "6.67" in ablation  # Table 4
    assert (tmp_path / "reports" / "out" / "ablation-ced.png").stat().st_size > 10_000
    assert "(defaults)" in (tmp_path / "reports" / "out" / "tune.md").read_text()


@pytest.mark.usefixtures("without_mlflow")
def test_a_failing_trial_is_named_the_others_go_on_and_the_status_is_1(
    odnbench: Run, tmp_path: Path
) -> None:
    diverging = ["-s", "optimizer=sgd", "-s", "learning_rate=1e30", "-s", "schedule=constant"]
    overrides = [*TINY, *diverging]
    done = odnbench("run", "ablation", "--executor", "inline", *overrides)
    assert done.returncode == 1
    assert "epoch 1: the data term is" in done.stdout
    status = odnbench("status", "ablation")
    assert status.returncode == 1
    assert re.search(r"\(ODN\) +failed .* epoch 1: the data term is", status.stdout)
    assert "2 trials: 1 done, 1 failed" in status.stdout
    report = odnbench("report")
    assert report.returncode == 0
    text = (tmp_path / "reports" / "out" / "ablation.md").read_text()
    assert "Trials without numbers" in text
    assert "| Mean shape of the training set |" in text


@pytest.mark.slow
def test_the_inline_executor_needs_neither_ray_nor_mlflow(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    without = "import sys; sys.modules.update(ray=None, mlflow=None, optuna=None)\n"
    script = without + "from odnbench.cli.app import main; main()"
    arguments = ["run", "ablation", "--executor", "inline", *TINY]
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=user_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mlflow is not installed" in done.stdout
    assert len(list(tmp_path.glob("runs/ablation/*/done"))) == 2
    command.remove("inline")
    command.remove("--executor")
    done = subprocess.run(
        command, cwd=tmp_path, env=user_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "use --executor inline" in done.stderr


@pytest.mark.slow
def test_nothing_moves_where_colours_are_forced_upon_a_pipe(
    odnbench: Run, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(user_environment, "FORCE_COLOR", "1")  # as notebooks do
    done = odnbench("data", "render", "faces", "--faces", "1")
    assert done.returncode == 0, done.stderr
    assert "rendered faces" in done.stdout
    assert "\x1b[?25" not in done.stdout + done.stderr  # which hides the cursor
    assert "\r" not in done.stdout + done.stderr
