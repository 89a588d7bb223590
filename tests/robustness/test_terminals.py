"""Consoles of other encodings, readers that leave, streams that are closed, and logs of jobs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Run

TINY = [
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6", "-s", "batch_size=8",
    "-s", "variant=odn",
]  # fmt: skip
RUN = ["run", "ablation", "--executor", "inline", "-s", "epochs=2", *TINY]
LIST = ["registry", "list"]


def shell(
    line: str, arguments: list[str], folder: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """Runs the shell's `line`, in which "$@" is the command `odnbench` with `arguments`."""
    command = ["bash", "-c", line, "-", sys.executable, "-m", "odnbench", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_console_of_any_encoding_shows_everything(
    tmp_path: Path, user_environment: dict[str, str], encoding: str
) -> None:
    (tmp_path / "modules.toml").write_text(
        '[mine]\ntitle = "Größe ≥ 2 × α – …"\nslot = "geometry"\ntarget = "a:B"\n', "utf-8"
    )
    environment = {**user_environment, "PYTHONIOENCODING": encoding}
    arguments = ["registry", "list", "modules", "--registry", str(tmp_path)]
    done = shell('"$@"', arguments, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    shown = {
        "ascii": "Große >= 2 x alpha - ...".replace("ß", r"\xdf"),
        "latin-1": "Größe >= 2 × alpha - ...",
        "cp1252": "Größe >= 2 × alpha – …",
        "utf-8": "Größe ≥ 2 × α – …",
    }
    assert shown[encoding] in done.stdout.decode(encoding)


@pytest.mark.parametrize("name", ["COLUMNS", "TERMINAL_WIDTH"])
def test_a_width_that_is_no_number_is_forgotten(
    tmp_path: Path, user_environment: dict[str, str], name: str
) -> None:
    done = shell('"$@"', ["--help"], tmp_path, {**user_environment, name: "wide"})
    assert done.returncode == 0, done.stderr
    assert b"odnbench [OPTIONS] COMMAND" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_an_error_may_name_a_file_that_is_not_utf_8(
    tmp_path: Path, user_environment: dict[str, str], encoding: str
) -> None:
    environment = {**user_environment, "PYTHONIOENCODING": encoding}
    done = shell(
        "\"$@\" run $'\\xff\\u00e9.toml'", [], tmp_path, environment | {"LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 2
    accent = "e" if encoding == "ascii" else "é"
    assert done.stderr.decode(encoding).startswith(f"error: pipeline file \\udcff{accent}")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "arguments", "status"),
    [
        ('"$@" >&-', LIST, 0),
        ('"$@" >&- 2>&- <&-', LIST, 0),
        ('"$@" 2>&-', ["run", "nothing"], 2),
        ('"$@" | head -1; exit ${PIPESTATUS[0]}', LIST, 0),
        ('"$@" | true; exit ${PIPESTATUS[0]}', ["--help"], 0),
        ('"$@" 2>&1 | true; exit ${PIPESTATUS[0]}', ["run", "nothing"], 2),
    ],
    ids=["closed", "all closed", "errors closed", "head", "help", "errors piped"],
)
def test_a_command_ends_as_if_its_reader_were_there(
    tmp_path: Path,
    user_environment: dict[str, str],
    line: str,
    arguments: list[str],
    status: int,
) -> None:
    done = shell(line, arguments, tmp_path, user_environment)
    assert done.returncode == status
    assert done.stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ['"$@" | head -1; exit ${PIPESTATUS[0]}', '"$@" >&- 2>&- <&-'], ids=["head", "closed"]
)
def test_a_sweep_outlives_its_reader(
    tmp_path: Path, user_environment: dict[str, str], line: str
) -> None:
    done = shell(line, RUN, tmp_path, user_environment)
    assert done.returncode == 0
    assert done.stderr == b""
    (trial,) = tmp_path.glob("runs/ablation/*/done")
    assert {f.name for f in trial.parent.iterdir()} >= {"result.json", "predictions.parquet"}


@pytest.mark.usefixtures("without_mlflow")
def test_the_log_of_a_job_has_a_line_for_each_tenth_of_a_trial(odnbench: Run) -> None:
    done = odnbench("run", "ablation", "--executor", "inline", "-s", "epochs=25", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    epochs = re.findall(r"\(ODN\): epoch (\d+) of 25, validation NME \S+ %, best", done.stdout)
    assert [int(epoch) for epoch in epochs] == [3, 5, 8, 10, 13, 15, 18, 20, 23]
    assert "(ODN): done, validation NME" in done.stdout


def test_the_commands_of_every_day_come_first(odnbench: Run) -> None:
    help_page = odnbench("--help").stdout
    commands = re.findall(r"^│ ([a-z]+) ", help_page.partition("Commands")[2], re.MULTILINE)
    assert commands[:5] == ["run", "tune", "report", "status", "ui"]


def test_streams_that_are_no_files_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from odnbench.cli.streams import prepare_streams

    page = io.StringIO()
    monkeypatch.setattr(sys, "stdout", page)
    prepare_streams()
    assert sys.stdout is page
    assert os.fstat(0) and os.fstat(1) and os.fstat(2)
