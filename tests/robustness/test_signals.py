"""Signals that end a sweep, sent by batch systems, `docker stop`, a closed terminal, Ctrl-C."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers import heed_signals

from odnbench.results.folder import TrialFolder

pytestmark = pytest.mark.slow

SPEC = (
    "variant=odn", "input_size=32", "rendered_train=64", "rendered_test=8", "batch_size=8",
    "epochs=300",
)  # fmt: skip


class Sweep:
    """`odnbench run ablation` in a session of its own, as a job has."""

    def __init__(self, folder: Path, environment: dict[str, str], executor: str):
        self.folder, self.log = folder, folder / "log"
        command = [sys.executable, "-m", "odnbench", "run", "ablation", "--executor", executor]
        command += [text for setting in SPEC for text in ("-s", setting)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_signals,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def trained(self) -> bool:
        """Whether the trial has kept progress."""
        return bool(list(self.folder.glob("runs/ablation/*/progress.pt")))

    def ray_starts(self) -> bool:
        """Whether the processes of Ray are being started."""
        found = subprocess.run(
            ["pgrep", "-s", str(self.process.pid), "gcs_server"], capture_output=True, check=False
        )
        return bool(found.stdout)

    def end(self) -> int:
        return self.process.wait(timeout=200)


@pytest.fixture
def start(tmp_path: Path, user_environment: dict[str, str]) -> Callable[[str], Sweep]:
    return lambda executor: Sweep(tmp_path, user_environment, executor)


def assert_interrupted(sweep: Sweep) -> None:
    """The trial is marked and keeps its progress, MLflow's runs have ended, nothing is printed but
    whole sentences.
    """
    (file,) = sweep.folder.glob("runs/ablation/*/trial.json")
    folder = TrialFolder(file.parent)
    assert folder.status == ("stopped", "interrupted")
    assert folder.progress.is_file() and folder.epochs
    with closing(sqlite3.connect(sweep.folder / "mlflow.db")) as database:
        states = [state for (state,) in database.execute("select status from runs")]
    assert states and "RUNNING" not in states
    assert "the same command goes on with what is missing" in sweep.output
    assert_quiet(sweep)


def assert_quiet(sweep: Sweep) -> None:
    assert "Traceback" not in sweep.output
    assert " E " not in sweep.output and "***" not in sweep.output  # lines of Ray's C++


@pytest.mark.parametrize(
    ("executor", "number", "status"),
    [
        ("ray", signal.SIGTERM, 143),
        ("inline", signal.SIGTERM, 143),
        ("inline", signal.SIGUSR1, 138),
    ],
)
def test_a_request_to_end_does_what_ctrl_c_does(
    start: Callable[[str], Sweep], executor: str, number: signal.Signals, status: int
) -> None:
    sweep = start(executor)
    sweep.wait_for(sweep.trained)
    sweep.process.send_signal(number)
    assert sweep.end() == status, sweep.output
    assert_interrupted(sweep)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_to_every_process_of_a_job(
    start: Callable[[str], Sweep], number: signal.Signals, status: int
) -> None:
    sweep = start("ray")
    sweep.wait_for(sweep.trained)
    os.killpg(sweep.process.pid, number)
    assert sweep.end() == status, sweep.output
    assert_interrupted(sweep)


def test_a_terminal_that_is_closed(start: Callable[[str], Sweep]) -> None:
    sweep = start("inline")
    sweep.wait_for(sweep.trained)
    sweep.process.send_signal(signal.SIGHUP)
    assert sweep.end() == 129, sweep.output
    assert_interrupted(sweep)


def test_sigterm_while_ray_starts(start: Callable[[str], Sweep]) -> None:
    sweep = start("ray")
    sweep.wait_for(sweep.ray_starts)
    sweep.process.send_signal(signal.SIGTERM)
    assert sweep.end() == 143, sweep.output
    assert_quiet(sweep)


def test_a_second_signal_ends_at_once(start: Callable[[str], Sweep]) -> None:
    sweep = start("inline")
    sweep.wait_for(sweep.trained)
    sweep.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    began = time.monotonic()
    sweep.process.send_signal(signal.SIGTERM)
    assert sweep.end() == 143, sweep.output
    assert time.monotonic() - began < 5
    assert_quiet(sweep)
