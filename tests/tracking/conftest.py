"""MLflow stores, a finished plan, and a Python without the large libraries."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import plan_in

from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.tracking import network, plan_report
from odnbench.tracking.machine import LoadMonitor


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite stores keep their files beside the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'own.db')}"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,odn")
    assert run(plan, run_inline, []).complete
    return plan


@pytest.fixture
def without_files_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def save_network(trial: Trial, folder: TrialFolder, registry: Registry, path: Path, _: Any):
        path.mkdir()
        (path / "MLmodel").write_text("flavors: {}")

    def write_reports(report: Any, folder: Path, _: Registry) -> None:
        (folder / "report.md").write_text(report.pipeline.name)

    monkeypatch.setattr(network, "save_network", save_network)
    monkeypatch.setattr(plan_report, "write_reports", write_reports)
    monkeypatch.setattr(LoadMonitor, "where_possible", lambda *_: None)


@pytest.fixture
def without_large_libraries(
    tmp_path: Path, user_environment: dict[str, str], cache: Path
) -> dict[str, str]:
    """The environment of a Python in which torch, torchvision, ray and optuna cannot be
    imported.
    """
    folder = tmp_path / "finder"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "ray", "optuna"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
"""
    )
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {
        **user_environment,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ODNBENCH_CACHE": str(cache),
    }
