"""Fixtures that several tests take: the registry, real data where they are, the console command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers import SHARED_DATA, Run

from odnbench.plan.registry import Registry


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
def user_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user with a home of their own: Ray and the cache write there."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ODNBENCH", "MLFLOW", "XDG"))}
    return {**kept, "HOME": str(home), "COLUMNS": "200"}


@pytest.fixture
def odnbench(tmp_path: Path, user_environment: dict[str, str]) -> Run:
    """Runs the console command in an empty folder."""

    def run(*arguments: str, folder: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "odnbench", *arguments]
        return subprocess.run(
            command, cwd=folder, env=user_environment, capture_output=True, text=True, check=False
        )

    return run
