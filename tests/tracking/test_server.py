"""A sweep outlives the server of MLflow, and the database behind it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from helpers import plan_in
from mlflow_store import (
    all_runs,
    assert_mirrors,
    assert_nothing_to_add,
    folder_of,
    mirrored,
    wait_for,
)

from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch
from odnbench.tracking.sync import sync

pytestmark = pytest.mark.slow


class Server:
    """MLflow's server on this machine's loopback, over a store that may be a database."""

    def __init__(self, folder: Path, store: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder, self.store = folder, store
        self.start()

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store,
            "--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1",
            "--host", "127.0.0.1", "--port", str(self.port),
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Postgres:
    """A PostgreSQL of our own in a temporary folder, on a Unix socket; root may not run one."""

    def __init__(self, folder: Path):
        pytest.importorskip("psycopg2")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("PostgreSQL is not installed (/usr/lib/postgresql/*/bin)")
        self.binaries, self.data = found[-1].parent, folder / "data"
        self.user = []
        if os.geteuid() == 0:
            if not shutil.which("runuser"):
                pytest.skip("root may not run PostgreSQL, and there is no runuser")
            shutil.chown(folder, "nobody")
            self.user = ["runuser", "-u", "nobody", "--"]
        self.folder = folder
        self._do("initdb", "--username=odnbench", "--auth=trust", "--no-sync", "--encoding=UTF8")
        self.uri = f"postgresql+psycopg2://odnbench@/postgres?host={folder}"
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
        self._do("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def kill(self) -> None:
        self._do("pg_ctl", "stop", "-m", "immediate")

    def _do(self, name: str, *arguments: str) -> None:
        command = [*self.user, str(self.binaries / name), "-D", str(self.data), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that another user can reach, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="odnbench-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Killer(Observer):
    """Kills what MLflow stands on once it holds the first epoch of a trial, and not the rest."""

    def __init__(self, uri: str, kill: Callable[[], None]):
        self.uri, self.kill = uri, kill

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        if trial.spec.variant == "brnet" and epoch.epoch == 1:
            wait_for(lambda: any("loss" in one.data.metrics for one in all_runs(self.uri)))
            self.kill()


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_sweep_survives_the_death_of_its_server_and_sync_completes_the_runs(
    store: str,
    scratch: Path,
    tmp_path: Path,
    cache: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With PostgreSQL, it is the database that dies, and the server that says so."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan = plan_in(tmp_path / "runs", cache, "variant=mean-shape,brnet,odn")
    database = Postgres(scratch) if store == "postgresql" else None
    server = Server(tmp_path, database.uri if database else uri)
    mortal = database or server
    try:
        complete, told = mirrored(plan, server.uri, Killer(server.uri, mortal.kill))
        assert complete
        assert 1 <= len(told) <= 2
        assert all("does not answer" in text for text in told)
        assert "`odnbench sync ablation --storage" in told[-1]
        mortal.start()
        assert len(all_runs(server.uri)) < 4
        assert sync(folder_of(plan), plan.registry, server.uri).brought > 0
        assert_mirrors(server.uri, plan.file, plan.registry)
        assert_nothing_to_add(server.uri, plan)
    finally:
        server.kill()
        if database:
            database.kill()
