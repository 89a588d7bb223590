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

from odnbench.tracking import client, databases

OLD_RESULTS = Path(__file__).parents[1] / "fixtures" / "results-5e91834"


def runs_in(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute(
            "SELECT value FROM tags JOIN runs USING (run_uuid) WHERE key = 'odnbench.trial' "
            "AND lifecycle_stage = 'active'"
        )
        return sorted(trial for (trial,) in rows)


def test_a_store_is_in_its_place_once_it_is_whole_whatever_a_killed_maker_has_left(
    odnbench: Run, tmp_path: Path, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lock = tmp_path / "mlflow.db", tmp_path / ".mlflow.db.lock"
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.setattr(client, "mlflow_ui_arguments", lambda _: ["true"])  # in place of the page
    for name in ("mlflow.db", ".mlflow.db.lock", ".mlflow.db.new"):
        (tmp_path / name).write_bytes(b"half of a store" if name.endswith("new") else b"")
    sizes = []

    class Watched(databases.SqlAlchemyStore):  # type: ignore[misc]
        def __init__(self, *arguments: object) -> None:
            with pytest.raises(TimeoutError):
                FileLock(lock).acquire(timeout=0)
            super().__init__(*arguments)
            sizes.append(store.stat().st_size)

    monkeypatch.setattr(databases, "SqlAlchemyStore", Watched)
    for _ in range(2):
        assert odnbench("ui", "--port", "65431").returncode == 0
        assert sizes == [0]  # made once, and elsewhere
        assert runs_in(store) == []
    assert not (tmp_path / ".mlflow.db.new").exists()


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
