"""A small folder of results without a network: what reports are made of."""

# N faces, L landmarks, C cells of an occlusion map

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from odnbench.datasets.pictures import write_picture
from odnbench.plan.pipelines import Pipeline, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.titles import trial_titles
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PLAN, PlanRecord
from odnbench.results.predictions import Occlusion, Predictions
from odnbench.results.records import Epoch, Result
from odnbench.results.shapes import Shapes

_COLUMNS = ("300w/common", "300w/challenging")
_PARTS = ("300w/helen-test", "300w/ibug")
_FACES = 8  # of each part
_CELLS = 16
_LANDMARKS = 68
_FAILED = ("odn", 1)  # variant and seed of the trial that has no numbers


def write_results(storage: Path, registry: Registry) -> Path:
    """Writes the results of two variants, two seeds each, below `storage`: random predictions, also
    for faces with occluders pasted on them and for disturbed ones, and one trial that failed.
    Returns the file of their plan.
    """
    pipeline = Pipeline(
        "contract",
        "Results of a contract",
        reference="odn",
        columns=_COLUMNS,
        published=("table1",),
        axes={"variant": ["brnet", "odn"], "seed": [0, 1]},
        disturbances={"occluders": (0.0, 0.2, 0.4), "shift": (0.0, 0.1)},
    )
    trials = list(_trials(pipeline, registry))
    place = storage / pipeline.name
    rng = np.random.default_rng(0)
    for trial in trials:
        folder = TrialFolder(place / trial.id)
        folder.start(trial)
        if (trial.spec.variant, trial.spec.seed) == _FAILED:
            folder.set_status("failed", "a reason | of `its` own")
            continue
        has_modules = trial.spec.variant == "odn"
        for epoch in (1, 2):
            rank = 2.5 / epoch if has_modules else None
            shares = {"alpha": 0.1, "eta": 1e-5} if has_modules else {"alpha": 0.1}
            folder.append(
                Epoch(epoch, 1 / epoch, 1 / epoch, 1e-3, 8 / epoch, 0.5, rank, rank, shares)
            )
        write_picture(np.zeros((8, 8, 3), np.uint8), folder.examples)
        spectrum = (2.0, 1.0, 0.5) if has_modules else ()
        shapes = Shapes(_LANDMARKS, (2, 2), (5, 3)) if has_modules else Shapes(_LANDMARKS)
        result = Result(
            1000, 2, 4.0, 1.0, 100.0, "float32", "cpu", "", spectrum, spectrum[:2], shapes
        )
        predictions = (_predictions(rng, has_modules) for _ in ("clean", "pasted"))
        folder.finish(result, *predictions)
        for disturbance in pipeline.disturbed:
            folder.add_disturbed(disturbance, _predictions(rng, has_modules))
    PlanRecord(
        id="contract",
        pipeline=pipeline,
        trials=tuple(trial.id for trial in trials),
        titles=tuple(trial.title for trial in trials),
        notes=("a note",),
        saved_at="2019-06-16T00:00:00+00:00",
    ).save(place)
    return place / PLAN


def _trials(pipeline: Pipeline, registry: Registry) -> Iterator[Trial]:
    specs = resolve(pipeline, registry)
    for spec, title in zip(specs, trial_titles(specs, registry), strict=True):
        protocol = registry.get(Protocol, spec.data.protocol)
        tested = [Coverage(column, _FACES, 0, rendered=True) for column in _COLUMNS]
        yield Trial(
            id=f"{spec.variant}-{spec.seed}",
            pipeline=pipeline.name,
            title=title,
            spec=spec,
            protocol=protocol,
            box=registry.get(BoxRule, protocol.box),
            scheme=registry.get(Scheme, protocol.scheme),
            coverage=(Coverage(spec.data.train, 2 * _FACES, 0, rendered=True), *tested),
            faces="",
        )


def _predictions(rng: np.random.Generator, has_map: bool) -> Predictions:
    count = len(_PARTS) * _FACES
    true = np.random.default_rng(1).uniform(20, 80, (count, _LANDMARKS, 2))
    occluded = rng.random((count, _LANDMARKS)) < 0.3
    occlusion = Occlusion(
        rng.random((count, _LANDMARKS)),
        rng.random((count, _CELLS)),
        rng.random((count, _CELLS)),
        occluded & (rng.random(occluded.shape) < 0.5),
    )
    return Predictions(
        ids=tuple(f"face/{face}" for face in range(count)),
        parts=tuple(part for part in _PARTS for _ in range(_FACES)),
        predicted=true + rng.normal(0, 2, true.shape),
        true=true,
        occluded=occluded,
        boxes=np.tile([10.0, 10.0, 90.0, 90.0], (count, 1)),
        labels=("",) * count,
        occlusion=occlusion if has_map else None,
    )
