"""What the benchmarks of the engine train and test: a trial, and picture files of its faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from odnbench.datasets.archives.archive import find_root, open_archive
from odnbench.datasets.faces import Face
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.sources import TrialFaces
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.sweep.plan import Places, make_plan

_DATASET = "300w"
_FACES_PER_PART = 100  # to render where the data set is absent


@dataclass(frozen=True)
class Subject:
    """A trial with its prepared faces, and the picture files of its training faces."""

    trial: Trial
    faces: TrialFaces
    files: tuple[Face, ...]
    registry: Registry


def make_subject(
    registry: Registry, data_root: Path | None, folder: Path, overrides: Sequence[str]
) -> Subject:
    """The full ODN on 300W with fresh weights, changed by `overrides`.

    Rendered pictures stand in where 300W is not below `data_root`. folder: where those pictures and
    the prepared faces are written.
    """
    entry = registry.get(Dataset, _DATASET)
    specs = ["variant=odn", "pretrained=none", *overrides]
    pipeline = load_pipeline("ablation")
    resolved = resolve(pipeline, registry, overrides=specs)
    if len(resolved) > 1:
        raise OdnbenchError(
            f"a benchmark times one trial, but these settings give {len(resolved)}; give each key "
            "one value"
        )
    root = find_root(entry, data_root)
    if root is None:
        size = resolved[0].data.input_size
        data_root = folder / "rendered"
        root = data_root / _DATASET
        render_layout(entry, root, _FACES_PER_PART, round(1.5 * size), seed=0)
    places = Places(folder / "runs", folder / "cache", data_root)
    plan = make_plan(pipeline, registry, places, overrides=specs, allow_partial=True)
    (trial,) = plan.trials
    archive = open_archive(entry, root)
    _, split = registry.split(trial.spec.data.train)
    files = [face for part in split.parts for face in archive.faces(part, [])]
    found = tuple(face for face in files if isinstance(face.image, Path))
    return Subject(trial, plan.faces[trial.faces], found, registry)
