"""What several tests are made of: tiny plans, faces without a renderer, settings of hypothesis."""

import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings

from odnbench.datasets.faces import FaceSet
from odnbench.datasets.sources import TrialFaces
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.sweep.plan import Places, Plan, make_plan

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
# Of commands whose tests are about something else: logging to MLflow takes longer than they do.
NO_MLFLOW = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
TINY = (
    # As exported files compute: on a processor with bf16 the default is another one.
    "train.precision=float32",
    "data.input_size=32",
    "data.rendered_train=24",
    "data.rendered_test=6",
    "train.batch_size=8",
    "train.epochs=2",
)


# Set by conftest.py: `pytest -m "not slow"` tries an eighth of the examples of `fuzz`.
few_examples = False


def fuzz(max_examples: int) -> Any:
    """Settings of a test that tries `max_examples` examples, the same ones each time."""
    return settings(
        max_examples=max(10, max_examples // 8) if few_examples else max_examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def plan_in(storage: Path, cache: Path, *overrides: str, pipeline: str = "ablation") -> Plan:
    places = Places(storage=storage, cache=cache)
    # The mean shape is not trained: it contradicts a number of epochs.
    tiny = [text for text in TINY if "variant=mean-shape" not in overrides or "epochs" not in text]
    return make_plan(
        load_pipeline(pipeline), Registry.load(), places, overrides=[*tiny, *overrides]
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
        groups=tuple(f"{name}/{i}" for i in range(count)),
        masks=np.empty((count, 0, 0), np.uint8),
        scales=np.ones(count),
        offsets=np.zeros((count, 2)),
        thumbnails=np.zeros((count, 24, 24), np.uint8),
        parts=("300w/ibug",) * count,
        labels=("",) * count,
        pictures="random",
        rendered=True,
    )


def heed_signals() -> None:
    """Lets a new process end at signals as one of a terminal does: tests may run in the background
    or under nohup, from which it would have learnt to ignore some.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


REGISTRY = Registry.load()
TINY_TRIAL = (
    "backbone=resnet18-slim",
    "pretrained=none",
    "input_size=32",
    "batch_size=8",
)
FACES = TrialFaces(
    train=random_faces(24, name="train"),
    test=random_faces(6, seed=1, name="test"),
    coverage=(Coverage("300w/train", 24, 3148, True),),
    notes=(),
)


def trial_of(variant: str = "odn", overrides: Sequence[str] = ()) -> Trial:
    tiny = TINY_TRIAL if variant == "mean-shape" else (*TINY_TRIAL, "epochs=3")
    (spec,) = resolve(
        load_pipeline("ablation"),
        REGISTRY,
        overrides=[*tiny, f"variant={variant}", *overrides],
    )
    return Trial(
        id="id",
        pipeline="test",
        title=variant,
        spec=spec,
        protocol=REGISTRY.get(Protocol, spec.data.protocol),
        box=REGISTRY.get(BoxRule, "landmarks"),
        scheme=REGISTRY.get(Scheme, "68"),
        coverage=FACES.coverage,
        faces=FACES.fingerprint,
    )
