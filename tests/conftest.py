"""Fixtures that several tests take: registry, real data, finished trials, the console command."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import helpers
import pytest
import torch
from helpers import NO_MLFLOW, SHARED_DATA, Run, plan_in

from odnbench.plan.registry import Registry
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run

# Ray's workers are as nice as 15: beside the tests of another worker of xdist they would get little
# of the processor.
os.environ.setdefault("RAY_worker_niceness", "0")


def pytest_configure(config: pytest.Config) -> None:
    helpers.few_examples = config.option.markexpr == "not slow"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side and compare bits: both want one thread."""
    torch.set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real faces, annotations and other methods' predictions, which are not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data are not beside the checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Plan:
    """Three variants, trained on tiny rendered faces; tests leave the folder as it is."""
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,brnet,odn")
    assert run(plan, run_inline, []).complete
    return plan


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of MLflow without runs, to be copied: its tables take seconds to make."""
    from odnbench.tracking.client import connect

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def user_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user with a home of their own: Ray and the cache write there."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ODNBENCH", "MLFLOW", "XDG"))}
    return {**kept, "HOME": str(home), "COLUMNS": "200"}


@pytest.fixture
def without_mlflow(user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find no MLflow."""
    for name, value in NO_MLFLOW.items():
        monkeypatch.setitem(user_environment, name, value)


@pytest.fixture
def odnbench(
    tmp_path: Path,
    user_environment: dict[str, str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs the console command in an empty folder.

    A test that is marked as slow starts a process, as a user does. The others call the command
    within this one: their assertions are about exit status, texts and files, and a process that
    imports torch takes seconds.
    """

    def start(*arguments: str, folder: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "odnbench", *arguments]
        return subprocess.run(
            command, cwd=folder, env=user_environment, capture_output=True, text=True, check=False
        )

    def call(*arguments: str, folder: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        from odnbench.cli.terminal import console

        command = ["odnbench", *arguments]
        output, errors = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command)
            for name in os.environ.keys() - user_environment.keys():
                patch.delenv(name)
            for name, value in user_environment.items():
                patch.setenv(name, value)
            patch.setattr(console, "width", 200)  # it was made before COLUMNS was set
            patch.chdir(folder)
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                status = _status_of_command()
        return subprocess.CompletedProcess(command, status, output.getvalue(), errors.getvalue())

    return start if request.node.get_closest_marker("slow") else call


def _status_of_command() -> int:
    """The exit status of the command in sys.argv; what is no mistake of a user is raised."""
    from odnbench.cli.app import main

    threads = torch.get_num_threads()
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        torch.set_num_threads(threads)
    return 0
