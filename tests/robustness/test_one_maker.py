"""The store of MLflow is made by one process, however many begin at the same time."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from helpers import Run

from odnbench.tracking import client

OLD_RESULTS = Path(__file__).parents[1] / "fixtures" / "results-5e91834"


def runs_in(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute(
            "SELECT value FROM tags JOIN runs USING (run_uuid) WHERE key = 'odnbench.trial' "
            "AND lifecycle_stage = 'active'"
        )
        return sorted(trial for (trial,) in rows)


@pytest.fixture
def ui(
    odnbench: Run, tmp_path: Path, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """`odnbench ui` with a store in tmp_path, up to the start of the page."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(client, "mlflow_ui_arguments", lambda _: ["true"])
    return lambda: odnbench("ui", "--port", "65431")


def test_what_a_killed_maker_has_left_is_no_hindrance(ui: Run, tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(b"")
    (tmp_path / ".mlflow.db.new").write_bytes(b"half of a store")
    (tmp_path / ".mlflow.db.lock").write_bytes(b"")
    assert ui().returncode == 0
    assert runs_in(store) == []
    assert not (tmp_path / ".mlflow.db.new").exists()


def test_nothing_is_in_the_place_of_a_store_before_the_store_is_whole(
    ui: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Watched(client.databases.SqlAlchemyStore):  # type: ignore[misc]
        def __init__(self, *arguments: object) -> None:
            seen.append((tmp_path / "mlflow.db").exists())
            with pytest.raises(TimeoutError):
                FileLock(tmp_path / ".mlflow.db.lock").acquire(timeout=0)
            super().__init__(*arguments)
            seen.append((tmp_path / "mlflow.db").exists())

    monkeypatch.setattr(client.databases, "SqlAlchemyStore", Watched)
    assert ui().returncode == 0
    assert seen == [False, False]
    assert runs_in(tmp_path / "mlflow.db") == []
    assert ui().returncode == 0
    assert len(seen) == 2  # it was not made again


@pytest.mark.slow
def test_four_syncs_that_start_together_in_a_fresh_folder_bring_everything_once(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    """Two of each of two storages."""
    commands = []
    for name in ("runs", "others"):
        shutil.copytree(OLD_RESULTS, tmp_path / name)
        commands += [[sys.executable, "-m", "odnbench", "sync", "--storage", name]] * 2
    together = [
        subprocess.Popen(
            command, cwd=tmp_path, env=user_environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for command in commands
    ]  # fmt: skip
    told = [process.communicate()[0] for process in together]
    assert [process.returncode for process in together] == [0] * 4, told
    assert not [text for text in told if "Traceback" in text or "alembic" in text]
    trials = sorted(path.parent.name for path in OLD_RESULTS.glob("*/*/done"))
    assert runs_in(tmp_path / "mlflow.db") == ["", *trials]
