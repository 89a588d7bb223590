"""Searches that are killed, interrupted or short of disk: the same command goes on to the points
that were asked for, each trained once.

Every case runs the command line as its users do, in a process of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import NO_MLFLOW, TINY, heed_signals

from odnbench.results.folder import TrialFolder
from odnbench.results.searches import SearchRecord

pytestmark = pytest.mark.slow

SMALL = [text for each in (*TINY, "train.epochs=12") for text in ("-s", each)]
POINTS = 6
# Half of the rates let a training diverge.
DIVERGING = """title = "Learning rates"
[parameters]
learning_rate = { choices = [1e-3, 1e30] }
"""


class Searches:
    """Runs `odnbench tune` in a folder, with faces that are prepared and without MLflow."""

    def __init__(self, folder: Path, environment: dict[str, str], cache: Path):
        self.folder = folder
        self.environment = {**environment, **NO_MLFLOW, "ODNBENCH_CACHE": str(cache)}

    @property
    def runs(self) -> Path:
        return self.folder / "runs" / "tune"

    @property
    def record(self) -> SearchRecord:
        return SearchRecord.load(self.runs)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "odnbench", "tune", *SMALL, *arguments]
        # Not a pipe: what outlives a killed driver would keep it open.
        with (self.folder / "log").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal to it must not reach the tests
                preexec_fn=heed_signals,
            )

    def end(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Exit status and output."""
        process.wait(timeout=300)
        output = (self.folder / "log").read_text()
        assert "Traceback" not in output
        return process.returncode, output

    def run(self, *arguments: str) -> tuple[int, str]:
        return self.end(self.start(*arguments))

    def wait_for(self, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not condition():
            assert process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def is_amid(self) -> bool:
        """Whether a trial is finished and another one is being trained."""
        started = [TrialFolder(path.parent) for path in self.runs.glob("*/trial.json")]
        done = sum(folder.marked for folder in started)
        return done > 0 and any(folder.epochs and not folder.marked for folder in started)

    def marks(self) -> dict[str, int]:
        """Id of a finished trial → when it was finished."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.runs.glob("*/done")}


@pytest.fixture
def searches(tmp_path: Path, user_environment: dict[str, str], cache: Path) -> Searches:
    return Searches(tmp_path, user_environment, cache)


def search(executor: str) -> list[str]:
    """The arguments of a search of which every point is trained to its end."""
    return [
        "--executor", executor, "--trials", str(POINTS), "--pruner", "none", "--confirm", "0",
    ]  # fmt: skip


def assert_whole(record: SearchRecord) -> None:
    """There are as many points as were asked for, each complete and with a trial of its own."""
    assert [point.number for point in record.points] == list(range(POINTS))
    assert {point.state for point in record.points} == {"complete"}
    trained = [identity for point in record.points for identity in point.trials]
    assert len(trained) == len(set(trained)) == POINTS


@pytest.mark.parametrize(
    ("executor", "number", "status"),
    [("inline", signal.SIGINT, 130), ("ray", signal.SIGTERM, 143)],
)
def test_a_signal_ends_a_search_and_the_same_command_goes_on(
    searches: Searches, executor: str, number: signal.Signals, status: int
) -> None:
    process = searches.start(*search(executor))
    searches.wait_for(process, searches.is_amid)
    process.send_signal(number)
    ended, output = searches.end(process)
    assert ended == status, output
    assert output.count("the same command goes on with what is missing") == 1
    assert " E " not in output and "***" not in output  # lines of Ray's C++
    states = {TrialFolder(path.parent).status for path in searches.runs.glob("*/trial.json")}
    assert states == {("done", ""), ("stopped", "interrupted")}
    before = searches.marks()
    ended, output = searches.run(*search(executor))
    assert ended == 0, output
    assert_whole(searches.record)
    assert before.items() <= searches.marks().items()  # these were not trained again


def test_a_search_whose_driver_is_killed(searches: Searches) -> None:
    """What Ray has started for it goes on for a while, and harms nothing."""
    process = searches.start(*search("ray"))
    searches.wait_for(process, searches.is_amid)
    process.kill()
    process.wait()
    before = searches.marks()
    ended, output = searches.run(*search("ray"))
    assert ended == 0, output
    assert_whole(searches.record)
    assert before.items() <= searches.marks().items()


def test_a_point_whose_loss_is_not_finite(searches: Searches) -> None:
    (searches.folder / "rates.toml").write_text(DIVERGING)
    ended, output = searches.run(
        *search("ray"), "--space", "rates.toml", "-s", "optimizer=sgd", "-s",
        "schedule=constant", "-s", "learning_rate=1e-3", "-s", "epochs=2",
    )  # fmt: skip
    assert ended == 1, output
    assert "epoch 1: the data term is" in output
    points = searches.record.points
    assert len(points) == POINTS
    assert {point.state for point in points} == {"complete", "failed"}
    for point in points:
        assert (point.state == "failed") == (point.point["train.learning_rate"] == 1e30)
        assert ("epoch 1: the data term is" in point.reason) == (point.state == "failed")


@pytest.fixture
def small_disk(searches: Searches) -> Iterator[Path]:
    """A file system for results that holds two trials and a part of a third one."""
    mount = searches.folder / "runs"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("executor", ["ray", "inline"])
def test_a_full_disk(searches: Searches, small_disk: Path, executor: str) -> None:
    ended, output = searches.run(*search(executor))
    assert ended == 1, output
    assert "the search has stopped: " in output and "No space left on device" in output
    assert "the same command goes on with what is missing" in output
    before = searches.marks()
    assert 0 < len(before) < POINTS
    assert "failed" not in {point.state for point in searches.record.points}  # it is not the points
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    ended, output = searches.run(*search(executor))
    assert ended == 0, output
    assert_whole(searches.record)
    assert before.items() <= searches.marks().items()
