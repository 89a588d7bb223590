"""Sweeps that are killed, interrupted or short of disk: the same command goes on to the same bits.

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

import psutil
import pytest
from helpers import NO_MLFLOW, heed_signals

from odnbench.results.folder import TrialFolder

pytestmark = pytest.mark.slow

VARIANTS = ("brnet", "dm", "odn")
EPOCHS = 40
SPEC = (
    f"variant={','.join(VARIANTS)}", "input_size=32", "rendered_train=64", "rendered_test=8",
    "batch_size=8", f"epochs={EPOCHS}",
)  # fmt: skip


class Sweeps:
    """Runs `odnbench run ablation` in a folder, with a home and a cache of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, **NO_MLFLOW} | {
            "HOME": str(folder),
            "ODNBENCH_CACHE": str(folder / "cache"),
            "COLUMNS": "200",
        }

    def start(self, storage: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "odnbench", "run", "ablation", "--storage", storage]
        for text in SPEC:
            command += ["-s", text]
        # Not a pipe: what outlives a killed driver would keep it open.
        with (self.folder / f"{storage}.txt").open("w") as output:
            return subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal to it must not reach the tests
                preexec_fn=heed_signals,
            )

    def end(self, storage: str, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Exit status and output."""
        process.wait(timeout=300)
        return process.returncode, (self.folder / f"{storage}.txt").read_text()

    def run(self, storage: str, *arguments: str) -> tuple[int, str]:
        return self.end(storage, self.start(storage, *arguments))

    def trials(self, storage: str) -> list[TrialFolder]:
        """By variant."""
        paths = (self.folder / storage / "ablation").glob("*/trial.json")
        folders = [TrialFolder(path.parent) for path in paths]
        return sorted(folders, key=lambda folder: folder.trial.spec.variant)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Sweeps:
    return Sweeps(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(scope="module")
def whole(sweeps: Sweeps) -> list[TrialFolder]:
    """An undisturbed sweep, without Ray."""
    status, output = sweeps.run("whole", "--executor", "inline")
    assert status == 0, output
    return sweeps.trials("whole")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)


def under_way(sweeps: Sweeps, storage: str) -> Callable[[], bool]:
    """Whether a trial has kept progress, and the sweep is not about to end."""

    def condition() -> bool:
        files = list((sweeps.folder / storage / "ablation").glob("*/progress.pt"))
        return any(len(TrialFolder(file.parent).epochs) in range(3, EPOCHS // 2) for file in files)

    return condition


def assert_same_bits(found: list[TrialFolder], whole: list[TrialFolder]) -> None:
    assert [f.path.name for f in found] == [w.path.name for w in whole]
    for ours, theirs in zip(found, whole, strict=True):
        assert ours.status == ("done", "")
        for name in ("predictions.parquet", "checkpoint.safetensors"):
            assert (ours.path / name).read_bytes() == (theirs.path / name).read_bytes(), name
        assert [e.loss for e in ours.epochs] == [e.loss for e in theirs.epochs]
        assert not ours.progress.exists()


def first_epochs(folders: list[TrialFolder]) -> dict[str, float]:
    """Seconds of the first epoch: another number if the trial was begun anew."""
    return {f.path.name: f.epochs[0].seconds for f in folders if f.epochs}


@pytest.mark.parametrize("executor", ["ray", "inline"])
def test_a_driver_that_is_killed(sweeps: Sweeps, whole: list[TrialFolder], executor: str) -> None:
    storage = f"driver-{executor}"
    process = sweeps.start(storage, "--executor", executor)
    wait_for(under_way(sweeps, storage), process)
    process.kill()
    process.wait()
    before = first_epochs([f for f in sweeps.trials(storage) if f.progress.exists()])
    assert before
    status, output = sweeps.run(storage, "--executor", executor)
    assert status == 0, output
    assert_same_bits(sweeps.trials(storage), whole)
    after = first_epochs(sweeps.trials(storage))
    assert all(after[name] == seconds for name, seconds in before.items())  # it was gone on with


def test_a_worker_that_is_killed(sweeps: Sweeps, whole: list[TrialFolder]) -> None:
    process = sweeps.start("worker")
    wait_for(under_way(sweeps, "worker"), process)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "ImplicitFunc" in " ".join(child.cmdline())
    ]
    assert workers
    for worker in workers:
        worker.kill()
    status, output = sweeps.end("worker", process)
    assert status == 0, output
    assert_same_bits(sweeps.trials("worker"), whole)


@pytest.mark.parametrize(
    ("executor", "number"), [("ray", signal.SIGUSR1), ("inline", signal.SIGINT)]
)
def test_a_request_to_end(
    sweeps: Sweeps, whole: list[TrialFolder], executor: str, number: signal.Signals
) -> None:
    """From the keyboard, and from a batch system."""
    storage = f"{number.name}-{executor}"
    process = sweeps.start(storage, "--executor", executor)
    wait_for(under_way(sweeps, storage), process)
    process.send_signal(number)
    status, output = sweeps.end(storage, process)
    assert status == 128 + number, output
    assert "the same command goes on with what is missing" in output
    assert "Traceback" not in output
    assert {f.status[0] for f in sweeps.trials(storage)} <= {"done", "stopped"}
    status, output = sweeps.run(storage, "--executor", executor)
    assert status == 0, output
    assert_same_bits(sweeps.trials(storage), whole)


@pytest.fixture
def small_disk(sweeps: Sweeps) -> Iterator[Path]:
    """A file system of 6 MB for results."""
    mount = sweeps.folder / "disk"
    mount.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("executor", ["ray", "inline"])
def test_a_full_disk(
    sweeps: Sweeps, whole: list[TrialFolder], small_disk: Path, executor: str
) -> None:
    status, output = sweeps.run("disk", "--executor", executor)
    assert status == 1, output
    assert "No space left on device" in output
    assert "Traceback" not in output
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    status, output = sweeps.run("disk", "--executor", executor)
    assert status == 0, output
    assert_same_bits(sweeps.trials("disk"), whole)


def test_two_sweeps_in_one_folder(sweeps: Sweeps, whole: list[TrialFolder]) -> None:
    first = sweeps.start("both", "--executor", "inline")
    wait_for(under_way(sweeps, "both"), first)
    second = sweeps.start("both", "--executor", "inline")
    status, output = sweeps.end("both", second)
    assert status == 2
    assert "another sweep is at work" in output and "--storage" in output
    assert first.wait(timeout=300) == 0
    assert_same_bits(sweeps.trials("both"), whole)
    status, output = sweeps.run("both", "--executor", "inline")  # one command, given twice
    assert status == 0, output
    assert first_epochs(sweeps.trials("both")) and output.count("reused") == len(VARIANTS)


FAULTY = '''
import os, signal
import torch
from odnbench.networks.odn import OcclusionAdaptiveNetwork

class Faulty(OcclusionAdaptiveNetwork):
    """Does `harm` in its fifth training step."""
    steps = 0

    def forward(self, images):
        if self.training:
            self.steps += 1
            if self.steps == 5:
                self.harm()
        return super().forward(images)

class Nan(Faulty):
    def harm(self):
        self.regression.weight.data.fill_(float("nan"))

class Raises(Faulty):
    def harm(self):
        raise ValueError("the module of somebody")

class Greedy(Faulty):
    def harm(self):
        torch.empty(1 << 50)

class Dies(Faulty):
    """What the kernel does to a process when the memory of the machine is used up."""
    def harm(self):
        os.kill(os.getpid(), signal.SIGKILL)
'''

REASONS = {
    "nan": "epoch 1: the data term is nan",
    "raises": "ValueError: the module of somebody",
    "greedy": "can't allocate memory",
    "dies": "its worker was lost 3 times",
}


def test_trials_that_fail_for_every_reason(sweeps: Sweeps) -> None:
    plugins = sweeps.folder / "plugins"
    plugins.mkdir()
    (sweeps.folder / "faulty.py").write_text(FAULTY)
    entries = (
        f'[{name}]\ntitle = "{name}"\nnetwork = "faulty:{name.title()}"\nchanges = {{}}\n'
        for name in REASONS
    )
    (plugins / "variants.toml").write_text("".join(entries))
    sweeps.environment["PYTHONPATH"] = str(sweeps.folder)
    arguments = ["--registry", "plugins", "-s", f"variant=brnet,{','.join(REASONS)}"]
    status, output = sweeps.run("faulty", *arguments, "-s", "epochs=2")
    assert status == 1, output
    assert "Traceback" not in output
    folders = {folder.trial.spec.variant: folder for folder in sweeps.trials("faulty")}
    assert folders.pop("brnet").status == ("done", "")
    for name, folder in folders.items():
        state, reason = folder.status
        assert state == "failed"
        assert REASONS[name] in reason, name
        assert REASONS[name] in output  # told to the user
    command = [sys.executable, "-m", "odnbench", "report", "--registry", "plugins"]
    told = subprocess.check_output(
        [*command, "--storage", "faulty"], cwd=sweeps.folder, env=sweeps.environment, text=True
    )
    assert "without numbers: 4" in told
    text = (sweeps.folder / "reports" / "out" / "ablation.md").read_text()
    assert all(reason in text for reason in REASONS.values())
