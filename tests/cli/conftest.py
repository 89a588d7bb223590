"""Results that the tests of the command line read: those of an earlier version, and many trials."""

import json
import shutil
from pathlib import Path

import pytest

OLD_RESULTS = Path(__file__).parents[1] / "fixtures" / "results-5e91834"


@pytest.fixture
def old_results(tmp_path: Path) -> Path:
    """A copy of the results that commit 5e91834 wrote, without checkpoints: `<storage>`."""
    storage = tmp_path / "runs"
    shutil.copytree(OLD_RESULTS, storage)
    return storage


@pytest.fixture
def many_trials(tmp_path: Path) -> Path:
    """A `<storage>` with 150 finished trials that differ in their seed alone."""
    storage = tmp_path / "many"
    copy_trials(OLD_RESULTS / "ablation", storage / "ablation", count=150)
    return storage


def copy_trials(pipeline: Path, target: Path, count: int) -> None:
    """Fills the folder `target` of a pipeline with `count` copies of the last trial of the folder
    `pipeline`, each with a seed and an id of its own and without a checkpoint, and with their plan.
    """
    plan = json.loads((pipeline / "plan.json").read_text())
    source = pipeline / plan["trials"][-1]
    title = plan["titles"][-1].partition(", seed ")[0]
    written = json.loads((source / "trial.json").read_text())
    identities = [f"{seed:016x}" for seed in range(count)]
    titles = [f"{title}, seed {seed}" for seed in range(count)]
    for seed, identity in enumerate(identities):
        shutil.copytree(
            source, target / identity, ignore=shutil.ignore_patterns("checkpoint.safetensors")
        )
        trial = written["trial"] | {"id": identity, "title": titles[seed]}
        trial["spec"] = written["trial"]["spec"] | {"seed": seed}
        (target / identity / "trial.json").write_text(json.dumps(written | {"trial": trial}))
    plan |= {"id": "0" * 16, "trials": identities, "titles": titles}
    (target / "plan.json").write_text(json.dumps(plan))
