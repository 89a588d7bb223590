"""What several tests need: the registry, real data where they are, tiny plans, and faces without a
renderer.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from odnbench.datasets.faces import FaceSet
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.sweep.plan import Places, Plan, make_plan

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
TINY = (
    "data.input_size=32",
    "data.rendered_train=24",
    "data.rendered_test=6",
    "train.batch_size=8",
    "train.epochs=2",
)


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


def plan_in(storage: Path, cache: Path, *overrides: str, pipeline: str = "ablation") -> Plan:
    places = Places(storage=storage, cache=cache)
    return make_plan(
        load_pipeline(pipeline), Registry.load(), places, overrides=[*TINY, *overrides]
    )


def random_faces(
    count: int, landmarks: int = 68, size: int = 40, seed: int = 0, name: str = "random"
) -> FaceSet:
    """Pictures of noise with landmarks near a fixed shape: enough to train on."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(7).uniform(0.3, 0.7, (landmarks, 2)) * size
    crop_to_image = np.tile([[2.0, 0.0, 10.0], [0.0, 2.0, 20.0]], (count, 1, 1))
    points_crop = shape + rng.normal(0, 0.02 * size, (count, 1, 2))
    points = 2.0 * points_crop + [10.0, 20.0]
    return FaceSet(
        name=name,
        images=rng.integers(0, 256, (count, size, size, 3), np.uint8),
        points=points,
        crop_to_image=crop_to_image,
        occluded=rng.random((count, landmarks)) < 0.2,
        boxes=np.tile([10.0, 20.0, 90.0, 100.0], (count, 1)),
        ids=tuple(f"{name}/{i}" for i in range(count)),
        masks=np.empty((count, 0, 0), np.uint8),
        parts=("300w/ibug",) * count,
        labels=("",) * count,
        pictures="random",
        rendered=True,
    )


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
