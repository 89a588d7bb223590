"""Results that are made by hand, so that the numbers of their report can be calculated."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from helpers import REGISTRY, TINY_TRIAL, trial_of
from matplotlib.figure import Figure

from odnbench.arrays import Flags, Floats
from odnbench.datasets.pictures import write_picture
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.entries import Variant
from odnbench.plan.pipelines import Pipeline, load_pipeline, resolve
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.searches import Search
from odnbench.plan.trials import Coverage, Trial
from odnbench.reports.document import Chart, Phrase, Plot, plain
from odnbench.reports.drawing import draw_chart
from odnbench.reports.markdown import as_markdown
from odnbench.reports.read import read_report
from odnbench.reports.report import Report
from odnbench.reports.sections import document_of
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PLAN, PlanRecord
from odnbench.results.predictions import Occlusion, Predictions
from odnbench.results.records import Cost, Epoch, Result, State
from odnbench.results.searches import SearchRecord
from odnbench.results.shapes import Shapes

COLUMN = "300w/challenging"
LANDMARKS = 68
CELLS = 16
_INTEROCULAR_PX = 100.0


@dataclass(frozen=True)
class Faces:
    """What a network predicts for some faces of COLUMN."""

    errors: Sequence[float]  # (N,) as fractions of the inter-ocular distance
    occlusion: Occlusion | None = None
    occluded: Flags | None = None  # (N, L); None: nothing is


@dataclass(frozen=True)
class Made:
    """A finished trial."""

    variant: str
    faces: Faces
    seed: int = 0
    overrides: tuple[str, ...] = ()
    shares: Sequence[Mapping[str, float]] = ({},)  # of the gradient, for each epoch
    spectrum: tuple[float, ...] = ()
    product_spectrum: tuple[float, ...] = ()
    shapes: Shapes | None = None
    penalties: Mapping[str, float] = field(default_factory=dict)  # of every epoch
    pasted: Faces | None = None
    validation_nme_percent: float = 5.0
    cost: Cost | None = None
    device: str = "cpu"
    rendered: bool | None = None  # whether its faces are; None: as the others
    protocol: Protocol | None = None
    disturbed: Mapping[Disturbance, Faces] = field(default_factory=dict)


def registry_with(*variants: Variant) -> Registry:
    """The shipped entries, with `variants` beside or in place of the shipped ones."""
    known = {**REGISTRY.entries["variants"], **{variant.name: variant for variant in variants}}
    return dataclasses.replace(REGISTRY, entries={**REGISTRY.entries, "variants": known})


def spread_errors(mean: float, faces: int = 40, seed: int = 0) -> Floats:
    """(N,) errors of just that mean; they vary by a fifth of it."""
    errors = np.random.default_rng(seed).uniform(0.8, 1.2, faces)
    return mean * errors / errors.mean()


def map_of(
    landmarks: Floats, covered: Flags | None = None, cells: Floats | None = None
) -> Occlusion:
    """An occlusion map of CELLS cells with 1 − P of (N, L) at the landmarks."""
    shape = (len(landmarks), CELLS)
    return Occlusion(landmarks, np.zeros(shape) if cells is None else cells, None, covered)


def report_of(
    folder: Path,
    *trials: Made,
    registry: Registry = REGISTRY,
    reference: str | Mapping[str, Any] = "odn",
    failed: Sequence[str] = (),
    rendered: bool = True,
    disturbances: Mapping[str, tuple[float, ...]] | None = None,
) -> Report:
    """The report of `trials`, and of a trial without numbers for each variant of `failed`."""
    named = write_trials(folder, dict(zip(map(str, range(len(trials))), trials, strict=True)),
                         registry, rendered)  # fmt: skip
    for variant in failed:
        trial = _trial(variant, 0, (), registry, rendered)
        named[variant] = dataclasses.replace(trial, id=variant)
        trial_folder = TrialFolder(folder / variant)
        trial_folder.start(named[variant])
        trial_folder.set_status("failed", "out of memory")
    PlanRecord(
        id="made",
        pipeline=Pipeline(
            "made",
            "Made results",
            reference=reference,
            columns=(COLUMN,),
            disturbances=disturbances or {},
        ),
        trials=tuple(named),
        titles=tuple(trial.title for trial in named.values()),
        notes=("a note",),
        saved_at="2019-06-16T00:00:00+00:00",
    ).save(folder)
    return read_report(folder / PLAN, registry)


def page_of(report: Report) -> str:
    """The report as Markdown."""
    return as_markdown(document_of(report))


def figures_of(report: Report) -> dict[str, Figure]:
    """Name → figure, of all that the report draws."""
    return {
        block.name: draw_chart(block) if isinstance(block, Chart) else block.draw()
        for block in document_of(report).walk()
        if isinstance(block, Chart | Plot)
    }


def said(phrases: Iterable[Phrase]) -> list[str]:
    """The texts of sentences."""
    return [plain(phrase) for phrase in phrases]


def search_report(
    folder: Path,
    record: SearchRecord,
    trials: Mapping[str, Made],
    stopped: Mapping[str, tuple[State, str]] | None = None,
    registry: Registry = REGISTRY,
) -> Report:
    """The report of the search in `record`, whose finished `trials` are named by content id.

    stopped: content id → state and reason, of trials that were begun and not finished.
    """
    made = write_trials(folder, trials, registry)
    for name, (state, reason) in (stopped or {}).items():
        made[name] = _trial("odn", 0, (), registry, True)
        TrialFolder(folder / name).start(made[name])
        TrialFolder(folder / name).set_status(state, reason)
    record.save(folder)
    PlanRecord(
        id="made",
        pipeline=Pipeline(
            record.name, "A search", reference="odn", columns=(COLUMN,), search=Search()
        ),
        trials=tuple(made),
        titles=tuple(f"trial {name}" for name in made),
        notes=(),
        saved_at="2019-06-16T00:00:00+00:00",
    ).save(folder)
    return read_report(folder / PLAN, registry)


def write_trials(
    folder: Path, trials: Mapping[str, Made], registry: Registry = REGISTRY, rendered: bool = True
) -> dict[str, Trial]:
    """Writes the folder of each finished trial, by its name; returns the trials by name."""
    written = {}
    for name, made in trials.items():
        is_rendered = rendered if made.rendered is None else made.rendered
        trial = _trial(made.variant, made.seed, made.overrides, registry, is_rendered)
        protocol = made.protocol or trial.protocol
        written[name] = dataclasses.replace(trial, id=name, protocol=protocol)
        _write(TrialFolder(folder / name), written[name], made)
    return written


def _trial(
    variant: str, seed: int, overrides: Sequence[str], registry: Registry, rendered: bool
) -> Trial:
    (spec,) = resolve(
        load_pipeline("ablation"),
        registry,
        overrides=[*TINY_TRIAL, f"variant={variant}", f"seed={seed}", *overrides],
    )
    coverage = tuple(Coverage(split, 24, 24, rendered) for split in ("300w/train", COLUMN))
    return dataclasses.replace(trial_of(), title=variant, spec=spec, coverage=coverage)


def _write(folder: TrialFolder, trial: Trial, made: Made) -> None:
    folder.start(trial)
    for index, shares in enumerate(made.shares, 1):
        rank = 3.0 if made.spectrum else None
        folder.append(Epoch(index, 1, 1, 1e-3, 5, 1, rank, rank, shares, made.penalties))
    write_picture(np.zeros((8, 8, 3), np.uint8), folder.examples)
    numbers = (10, 1, made.validation_nme_percent, 1.0, 1.0, "float32", made.device, "")
    spectra = (made.spectrum, made.product_spectrum)
    result = Result(*numbers, *spectra, made.shapes, cost=made.cost)
    pasted = None if made.pasted is None else _predictions(made.pasted)
    folder.finish(result, _predictions(made.faces), pasted)
    for disturbance, faces in made.disturbed.items():
        amounts = np.full(len(faces.errors), disturbance.level)
        predictions = dataclasses.replace(_predictions(faces), amounts=amounts)
        folder.add_disturbed(disturbance, predictions)


def _predictions(faces: Faces) -> Predictions:
    """Predictions that are off to the right by just `faces.errors`."""
    count = len(faces.errors)
    face = np.random.default_rng(0).uniform(0, 200, (LANDMARKS, 2))
    face[36], face[45] = (50.0, 60.0), (50.0 + _INTEROCULAR_PX, 60.0)
    true = np.tile(face, (count, 1, 1))
    off_px = np.array(faces.errors) * _INTEROCULAR_PX
    return Predictions(
        ids=tuple(f"face/{face}" for face in range(count)),
        parts=("300w/ibug",) * count,
        predicted=true + np.stack([off_px, np.zeros(count)], axis=1)[:, None],
        true=true,
        occluded=np.zeros((count, LANDMARKS), bool) if faces.occluded is None else faces.occluded,
        boxes=np.full((count, 4), np.nan),
        labels=("",) * count,
        occlusion=faces.occlusion,
    )
