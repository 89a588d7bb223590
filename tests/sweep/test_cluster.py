"""A real Ray cluster of three nodes on this machine, of which one is lost in mid-sweep.

The two nodes without the driver see none of the driver's folder: an empty file system hides it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from helpers import NO_MLFLOW

from odnbench.results.folder import TrialFolder

pytestmark = pytest.mark.slow

VARIANTS, EPOCHS = ("brnet", "dm", "odn"), 200
SPEC = (
    f"variant={','.join(VARIANTS)}", "input_size=32", "rendered_train=32", "rendered_test=8",
    "batch_size=8", f"epochs={EPOCHS}",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Cluster:
    """Nodes of one core each; `home` holds what real clusters share by hand, the token."""

    home: Path
    driver: Path
    port: int = field(default_factory=free_port)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        # An earlier test of this process may have left how its own Ray was set up.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**kept, **NO_MLFLOW} | {
            "HOME": str(self.home),
            "ODNBENCH_CACHE": str(self.driver / "cache"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "COLUMNS": "200",
        }

    def add_node(self) -> None:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        ray += ["--object-store-memory=200000000"]
        if self.nodes:  # hidden from it: the driver's folder
            ray += [f"--address=127.0.0.1:{self.port}"]
            hide = f"mount -t tmpfs tmpfs {self.driver} && exec {' '.join(ray)}"
            command = ["unshare", "--mount", "sh", "-c", hide]
        else:
            command = [*ray, "--head", f"--port={self.port}", "--include-dashboard=false"]
            command += [f"--temp-dir={self.home / 'ray'}"]
        log = self.home / f"node{len(self.nodes)}.txt"
        with log.open("wb") as output:
            self.nodes.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    cwd=self.home,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        # A node that joins after the sweep began finds its trial at work on another one.
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert self.nodes[-1].poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"the node did not join:\n{log.read_text()}"
            time.sleep(0.1)

    def workers(self, node: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The processes that train on a node."""
        found = []
        for process in psutil.Process(node.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "ImplicitFunc" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """As if its power failed."""
        processes = psutil.Process(node.pid).children(recursive=True)
        for process in [*processes, psutil.Process(node.pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()

    def run(self, storage: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "odnbench", "run", "ablation", "--storage", storage]
        for text in SPEC:
            command += ["-s", text]
        with (self.driver / f"{storage}.txt").open("wb") as output:
            return subprocess.Popen(
                [*command, *arguments],
                cwd=self.driver,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self, storage: str) -> str:
        return (self.driver / f"{storage}.txt").read_text()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("the driver's folder can be hidden from the nodes by root alone")
    (tmp_path / "driver").mkdir()
    with tempfile.TemporaryDirectory() as home:  # a short path: Ray's sockets lie below
        cluster = Cluster(Path(home), tmp_path / "driver")
        try:
            for _ in range(3):
                cluster.add_node()
            yield cluster
        finally:
            for node in cluster.nodes:
                if node.poll() is None:
                    node.send_signal(signal.SIGTERM)
            for node in cluster.nodes:
                with suppress(subprocess.TimeoutExpired):
                    node.wait(timeout=20)
                if node.poll() is None:
                    cluster.kill(node)


def test_a_lost_node_loses_nothing(cluster: Cluster) -> None:
    whole = cluster.run("whole", "--executor", "inline")
    assert whole.wait(timeout=300) == 0, cluster.output("whole")
    driver = cluster.run("runs", "--address", f"127.0.0.1:{cluster.port}")
    results = cluster.driver / "runs" / "ablation"
    deadline = time.monotonic() + 120
    # Each node trains, and what they have come to has reached the driver.
    while not (
        all(cluster.workers(node) for node in cluster.nodes)
        and len(list(results.glob("*/progress.pt"))) >= 3
    ):
        assert driver.poll() is None, cluster.output("runs")
        assert time.monotonic() < deadline, "the trials did not spread"
        time.sleep(0.1)
    seconds = {
        path.parent.name: TrialFolder(path.parent).epochs[0].seconds
        for path in results.glob("*/progress.pt")
    }
    cluster.kill(cluster.nodes[2])
    assert driver.wait(timeout=300) == 0, cluster.output("runs")

    folders = [TrialFolder(path.parent) for path in results.glob("*/trial.json")]
    assert len(folders) == len(VARIANTS)
    for folder in folders:
        theirs = TrialFolder(cluster.driver / "whole" / "ablation" / folder.path.name)
        assert folder.status == ("done", "")
        for name in ("predictions.parquet", "checkpoint.safetensors"):
            assert (folder.path / name).read_bytes() == (theirs.path / name).read_bytes(), name
        assert [e.loss for e in folder.epochs] == [e.loss for e in theirs.epochs]
        if folder.path.name in seconds:  # it was gone on with, not begun anew
            assert folder.epochs[0].seconds == seconds[folder.path.name]
