"""An address at which MLflow can never work is told before a sweep, with the cure for its cause; a
server that is merely away is not waited for.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from damaged_files import AGAIN
from helpers import Run
from mlflow.tracking import MlflowClient

from odnbench.cli import run as run_module
from odnbench.cli.tracking import served
from odnbench.tracking import client

Serve = Callable[[int, str], str]
OLD_RESULTS = Path(__file__).parents[1] / "fixtures" / "results-5e91834"


def test_the_page_ends_with_the_command_and_shows_nobody_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "backend-store-uri" not in " ".join(client.mlflow_ui_arguments(5000))
    page = """import os, pathlib, signal, sys, time
def end(*_):
    pathlib.Path("ended").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path("began").write_text(os.environ["MLFLOW_BACKEND_STORE_URI"])
time.sleep(60)
"""
    monkeypatch.setattr(client, "mlflow_ui_arguments", lambda _: [sys.executable, "-c", page])

    def interrupt() -> None:
        while not Path("began").is_file() or not Path("began").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # Tests that run in the background were started to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            served(5000, "postgresql://me:secret@lab/runs")
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("began").read_text() == "postgresql://me:secret@lab/runs"
    assert Path("ended").is_file()


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "own.db"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RESULTS, tmp_path / "runs"))


@pytest.fixture
def at(
    odnbench: Run,
    results: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Has `run`, `tune`, `sync` and `ui` log to an address, and gives the one line that all of them
    say of it.
    """

    def begins(*_: object, **__: object) -> None:
        raise AssertionError("the sweep or the page begins all the same")

    monkeypatch.setattr("odnbench.sweep.plan.make_plan", begins)
    monkeypatch.setattr(client, "mlflow_ui_arguments", begins)

    def said(uri: str, *commands: str) -> str:
        monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
        lines = set()
        for command in commands or ("run", "tune", "sync", "ui"):
            arguments = {"run": AGAIN}.get(command, (command,))
            started = time.monotonic()
            done = odnbench(*arguments)
            assert done.returncode == 2, (command, done.stdout, done.stderr)
            assert time.monotonic() - started < 10
            (line,) = done.stderr.splitlines()
            lines.add(line)
        (line,) = lines
        assert line.startswith("error: MLflow at ")
        return line

    return said


@pytest.mark.parametrize(
    ("uri", "cause", "cure"),
    [
        ("ftp://host/runs", "'ftp' is no kind of store that MLflow knows", "http://HOST:PORT"),
        ("mlflow.example.org:5000", "is no kind of store", "http://HOST:PORT"),
        ("mlruns", "keeps no runs in plain files any more", "sqlite:///mlflow.db"),
        ("file:///tmp/mlruns", "keeps no runs in plain files", "MLFLOW_ALLOW_FILE_STORE=true"),
        ("mysql+pymysql://u:secret@h/d", "pymysql, is not installed", "`pip install pymysql`"),
        ("mysql://u:secret@h/d", "MySQLdb, is not installed", "`pip install mysqlclient`"),
        ("postgresql+none://h/d", "not an address of a database", "postgresql://USER"),
        ("sqlite://", "the runs would be gone", "sqlite:///mlflow.db"),
        ("sqlite:////dev/null/mlflow.db", "Not a directory", "give another place"),
        ("sqlite:////proc/mlflow.db", "cannot be used as a store", "give another place"),
        ("http://", "it names no host", "http://HOST:PORT"),
        ("http://localhost:99999", "not an address", "http://HOST:PORT"),
    ],
)
def test_an_address_that_cannot_work_is_told_before_the_sweep(
    at: Callable[..., str], uri: str, cause: str, cure: str
) -> None:
    said = at(uri)
    assert cause in said and cure in said
    assert "secret" not in said


def test_a_file_that_is_no_store_is_told(at: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    assert "file is not a database" in at(f"sqlite:///{tmp_path}/text.db", "run", "sync", "ui")
    assert "it is a folder" in at(f"sqlite:///{tmp_path}", "run", "sync", "ui")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE music (title TEXT)")
    assert "not those of MLflow" in at(f"sqlite:///{tmp_path}/other.db", "run", "sync", "ui")


def set_revision(store: Path, *revisions: str) -> None:
    with closing(sqlite3.connect(store)) as database:
        database.execute("DELETE FROM alembic_version")
        database.executemany(
            "INSERT INTO alembic_version VALUES (?)", [(revision,) for revision in revisions]
        )
        database.commit()


def test_a_store_of_another_version_is_told_with_the_way_to_it(
    at: Callable[..., str], store: Path
) -> None:
    uri = f"sqlite:///{store}"
    mlflow = MlflowClient(uri)
    mlflow.create_run(mlflow.create_experiment("theirs"))
    set_revision(store, "451aebb31d03")  # of MLflow 1.0
    said = at(uri, "run", "sync", "ui")
    assert "its schema (451aebb31d03) is older than MLflow" in said
    assert f"`mlflow db upgrade {uri}`" in said
    set_revision(store, "ffffffffffff")
    said = at(uri, "run", "sync", "ui")
    assert "a newer one has made it; `pip install --upgrade mlflow`" in said


@pytest.mark.parametrize("revisions", [(), ("451aebb31d03",), ("451aebb31d03", "90e64c465722")])
def test_a_store_that_was_left_half_made_is_told(
    at: Callable[..., str], store: Path, revisions: tuple[str, ...]
) -> None:
    set_revision(store, *revisions)
    said = at(f"sqlite:///{store}", "run", "sync", "ui")
    assert "it holds no run; remove it, and the same command makes it anew" in said


def test_a_deleted_experiment_is_told_with_how_to_restore_it(
    at: Callable[..., str], store: Path
) -> None:
    uri = f"sqlite:///{store}"
    mlflow = MlflowClient(uri)
    identity = mlflow.create_experiment("odnbench/ablation")
    mlflow.delete_experiment(identity)
    said = at(uri, "run", "sync")
    assert "the experiment odnbench/ablation was deleted" in said
    assert f"`mlflow experiments restore --experiment-id {identity}`" in said


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers everything with one status and text; gives its address."""
    servers = []

    def start(status: int, text: str) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        server.answer = status, text  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


DELETED = {"name": "odnbench/ablation", "experiment_id": "7", "lifecycle_stage": "deleted"}


@pytest.mark.parametrize(
    ("status", "text", "cause", "cure"),
    [
        (401, "", "the login is refused (status 401)", "MLFLOW_TRACKING_USERNAME"),
        (403, "not yours", "access is refused (status 403: not yours)", "MLFLOW_TRACKING_TOKEN"),
        (404, "<html>", "is no MLflow server (status 404)", "check host, port and path"),
        (200, "<html>log in", "is no MLflow server (status 200)", "check host, port and path"),
        (200, json.dumps({"experiment": DELETED}), "was deleted", "restore --experiment-id 7"),
    ],
)
def test_a_server_that_refuses_is_told_with_its_cure(
    at: Callable[..., str], serve: Serve, status: int, text: str, cause: str, cure: str
) -> None:
    said = at(serve(status, text), "run", "sync")
    assert cause in said and cure in said


def test_a_server_in_trouble_stops_no_sweep_and_sync_says_when(
    odnbench: Run,
    serve: Serve,
    results: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(user_environment, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    begun = []

    def begins(*_: object, **__: object) -> None:
        begun.append(True)
        raise SystemExit(0)

    monkeypatch.setattr(run_module, "print_plan", begins)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for uri in (serve(500, ""), f"http://127.0.0.1:{closed.getsockname()[1]}"):
            monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
            assert odnbench(*AGAIN).returncode == 0
            done = odnbench("sync")
            assert done.returncode == 2
            assert "does not answer" in done.stderr
            assert "the same command goes on with what is missing" in done.stderr
    assert begun == [True, True]


def test_a_port_in_use_is_told_with_a_free_one(
    odnbench: Run, store: Path, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        done = odnbench("ui", "--port", str(port))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    other = int(line.removeprefix(f"error: --port {port} is in use; try --port ").split(",")[0])
    assert other != port
    with socket.socket() as free:
        free.bind(("127.0.0.1", other))


def test_the_page_of_a_server_is_its_own(
    odnbench: Run, serve: Serve, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = serve(404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST"}))
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
    done = odnbench("ui")
    assert (done.returncode, uri in done.stdout) == (0, True)
