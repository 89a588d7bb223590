"""The plan of a sweep: the trials of a pipeline, each with its content id, and their faces.

    plan = make_plan(load_pipeline("ablation"), Registry.load(), places)

Making a plan trains nothing; run.py carries it out.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from odnbench.datasets.archives.archive import find_root
from odnbench.datasets.sources import TrialFaces, load_faces
from odnbench.engine.check import Footprint, check_trials, machine_memory
from odnbench.errors import OdnbenchError
from odnbench.files.download import download
from odnbench.plan.conversion import get_at, replace_at
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.entries import LossWeight
from odnbench.plan.ids import content_id, trial_id
from odnbench.plan.pipelines import Pipeline, overruled, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.reference import (
    FIRST_OF_SEVERAL,
    FIRST_ROW,
    NOT_COMPARED,
    Reference,
    resolved_reference,
)
from odnbench.plan.registry import Registry
from odnbench.plan.searches import space_of
from odnbench.plan.spaces import Space
from odnbench.plan.specs import FILES, DataSpec, TrialSpec
from odnbench.plan.titles import trial_titles
from odnbench.plan.trials import Trial
from odnbench.plan.weights import weights_file, weights_url
from odnbench.results.folder import ALL, TrialFolder
from odnbench.results.plans import PLAN, PlanRecord, own_file
from odnbench.results.teachers import teacher_content, teacher_files, teacher_folder
from odnbench.sweep import damage

_CHOSEN_ON_TEST = "--select test: epochs are chosen on the test set, so the errors are too small"


@dataclass(frozen=True)
class Places:
    """The folders that a sweep reads and writes. No number depends on where they lie."""

    # Results, in <storage>/<pipeline>/<trial id>/.
    storage: Path
    # Prepared faces, and weights files that were downloaded.
    cache: Path
    # Data sets as they were downloaded; None: there are none.
    data_root: Path | None = None


@dataclass(frozen=True)
class Plan:
    """The trials of a pipeline, and the faces that each of them is trained and tested on."""

    pipeline: Pipeline
    registry: Registry
    storage: Path
    trials: tuple[Trial, ...]
    # By their fingerprint, which `Trial.faces` names.
    faces: Mapping[str, TrialFaces]
    # What the user is to know before the plan runs, a sentence each.
    notes: tuple[str, ...]
    # Where weights files that were downloaded lie.
    cache: Path
    # By the trial's id, for each trial that is not finished.
    footprints: Mapping[str, Footprint] = field(default_factory=dict)
    # By the trial's id, for each trial whose folder has the marker and is damaged: what is wrong.
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def unfinished(self) -> list[Trial]:
        """The trials that are to be trained."""
        return [t for t in self.trials if t.id in self.damaged or not self.folder(t).marked]

    def lacks(self, trial: Trial) -> tuple[Disturbance, ...]:
        """After what the test faces of `trial` are still to be predicted by its trained network."""
        return self.folder(trial).lacks(self.pipeline.disturbed)

    @property
    def unpredicted(self) -> list[Trial]:
        """The trials that are trained, and whose networks are to predict disturbed test faces."""
        unfinished = {trial.id for trial in self.unfinished}
        return [t for t in self.trials if t.id not in unfinished and self.lacks(t)]

    @property
    def faults(self) -> list[str]:
        """What is damaged in the storage folder, and what becomes of it, a sentence each."""
        found = [f"{t.title}: {self.damaged[t.id]}" for t in self.trials if t.id in self.damaged]
        for trial in self.unfinished:
            if trial.id not in self.damaged:
                found += damage.of_unfinished(self.folder(trial), trial.title)
        return [*found, *damage.beside_trials(self.file.parent, self.id)]

    @property
    def id(self) -> str:
        """Content id of the set of trials, whatever their order."""
        return content_id(self.pipeline.name, sorted(trial.id for trial in self.trials))

    def folder(self, trial: Trial) -> TrialFolder:
        """The folder of `trial`, a trial of this plan or of a search around this plan's trial."""
        return TrialFolder(self.storage / self.pipeline.name / trial.id)

    @property
    def weights_files(self) -> set[str]:
        """Paths of the local files that the plan's trials, and the points of its search, need
        beside faces: of weights that they start from, and of their teachers.
        """
        specs = [trial.spec for trial in self.trials]
        if self.pipeline.search is not None:
            specs += [near for _, near in self.space.neighbours(specs[0])]
        files = {weights_file(spec.model.pretrained) for spec in specs} - {None}
        teachers = {teacher_folder(spec) for spec in specs} - {None}
        return {str(file) for file in files.union(*map(teacher_files, filter(None, teachers)))}

    @property
    def space(self) -> Space:
        """The space of the pipeline's search, with files as the trials' specs have them."""
        assert self.pipeline.search is not None
        spec = self.trials[0].spec

        def here(key: str, value: Any) -> Any:
            if key not in FILES:
                return value
            return get_at(_with_files_here(replace_at(spec, key, value), self.cache), key)

        return space_of(self.pipeline.search, self.registry).mapped(here)

    @property
    def file(self) -> Path:
        """plan.json, which says to a report which trials belong together."""
        return self.storage / self.pipeline.name / PLAN

    @property
    def own_file(self) -> Path:
        """plan-<id>.json, which stays when another plan of the pipeline overwrites plan.json."""
        return own_file(self.file.parent, self.id)

    @property
    def limits(self) -> dict[str, list[str]]:
        """What keeps modules from working (`Shapes.limits`) → the variants that it concerns."""
        found: dict[str, list[str]] = {}
        for trial in self.trials:
            footprint, folder = self.footprints.get(trial.id), self.folder(trial)
            shapes = footprint.shapes if footprint else folder.result.shapes
            for limit in shapes.limits if shapes else ():
                if trial.spec.variant not in found.setdefault(limit, []):
                    found[limit].append(trial.spec.variant)
        return found

    @property
    def idle_weights(self) -> list[str]:
        """The loss weights that somebody has set, and that act on nothing in any trial that is to
        be trained, a sentence each.
        """
        told = []
        for weight in self.registry.all(LossWeight).values():
            key = f"loss.{weight.name}"
            given = [t for t in self.trials if get_at(t.spec, key) not in (0, weight.default)]
            known = [t for t in given if t.id in self.footprints]
            if known and all(weight.name in self.footprints[t.id].idle_weights for t in known):
                variants = ", ".join(dict.fromkeys(t.spec.variant for t in known))
                told.append(f"{key} has nothing to act on in {variants}")
        return told

    @property
    def change(self) -> str:
        """How this plan differs from the pipeline's last plan in the storage folder, as a sentence
        for the user; "" if there is no last plan or if the two are the same.
        """
        last = None
        with suppress(OdnbenchError):  # it is damaged, which `faults` tells
            last = PlanRecord.load(self.file) if self.file.is_file() else None
        if last is None or last.id == self.id:
            return ""
        ours = {trial.id for trial in self.trials}
        kept = len(ours & set(last.trials))
        return (
            f"another plan than the last one in {self.file.parent} ({last.saved_at}): {kept} of "
            f"its {len(last.trials)} trials are in this one, {len(ours) - kept} are new; what is "
            "not in this one stays on disk and leaves the report"
        )

    def save(self, titles: Mapping[str, str] | None = None) -> None:
        """Writes plan.json and plan-<id>.json.

        titles: content id → title, of the trials that a search has added; None: those that the plan
        was made with.
        """
        if titles is None:
            titles = {trial.id: trial.title for trial in self.trials}
        record = PlanRecord(
            id=self.id,
            pipeline=self.pipeline,
            trials=tuple(titles),
            titles=tuple(titles.values()),
            notes=self.notes,
            saved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        record.save(self.file.parent)


def make_plan(
    pipeline: Pipeline,
    registry: Registry,
    places: Places,
    *,
    overrides: Sequence[str] = (),
    settings: str = "",
    require_data: bool = False,
    allow_partial: bool = False,
    here: bool = True,
) -> Plan:
    """Resolves `pipeline`, prepares the faces, gives each trial its content id, and checks that
    each trial that is not finished can be trained.

    overrides: `key=value` texts that change the spec of every trial.
    settings: name or file of settings that are applied before the overrides; "": none.
    require_data: whether an absent data set is an error, instead of being replaced by rendered
    faces.
    allow_partial: whether a split that has fewer faces than the official one is accepted.
    here: whether the trials are to run on this machine, and so must fit this machine's memory.

    Raises OdnbenchError for whatever is wrong with names, values, files or networks, before
    anything runs.
    """
    specs = resolve(pipeline, registry, overrides=overrides, settings=settings)
    notes = []
    if not all(_at_hand(spec, registry, places) for spec in specs):
        specs = resolve(pipeline, registry, overrides=overrides, settings=settings, rendered=True)
        if pipeline.rendered:
            notes.append(
                f"settings for rendered faces: {pipeline.rendered} (small network, few epochs)"
            )
    specs = [_with_files_here(spec, places.cache) for spec in specs]
    reference = resolved_reference(pipeline.reference, specs, registry)
    faces: dict[str, TrialFaces] = {}
    by_data = {}
    for data in dict.fromkeys(spec.data for spec in specs):
        loaded = load_faces(
            data,
            registry,
            places.data_root,
            places.cache,
            require_data=require_data,
            allow_partial=allow_partial,
        )
        by_data[data] = faces.setdefault(loaded.fingerprint, loaded)
        notes.extend(note for note in loaded.notes if note not in notes)
    if any(spec.train.select == "test" for spec in specs):
        notes.append(_CHOSEN_ON_TEST)
    notes += _fewer({spec.data: by_data[spec.data] for spec in specs})
    notes += overruled(specs, registry, overrides)
    notes += _not_shown(pipeline, specs, registry)
    notes += _taught({(spec, by_data[spec.data].fingerprint) for spec in specs})
    notes += _compared(pipeline.reference, reference, specs, registry)
    pipeline = dataclasses.replace(pipeline, reference=reference)
    trials = []
    for spec, title in zip(specs, trial_titles(specs, registry), strict=True):
        protocol = registry.get(Protocol, spec.data.protocol)
        fingerprint = by_data[spec.data].fingerprint
        trials.append(
            Trial(
                id=trial_id(spec, registry, fingerprint, teacher_content(spec, registry)),
                pipeline=pipeline.name,
                title=title,
                spec=spec,
                protocol=protocol,
                box=registry.get(BoxRule, protocol.box),
                scheme=registry.get(Scheme, protocol.scheme),
                coverage=by_data[spec.data].coverage,
                faces=fingerprint,
            )
        )
    unique = tuple({trial.id: trial for trial in trials}.values())
    plan = Plan(pipeline, registry, places.storage, unique, faces, tuple(notes), places.cache)
    standings = {trial.id: plan.folder(trial).standing(at_work=False, read=ALL) for trial in unique}
    damaged = {i: one.reason for i, one in standings.items() if one.state == "damaged"}
    plan = dataclasses.replace(plan, damaged=damaged)
    footprints = check_trials(plan.unfinished, registry, machine_memory() if here else None)
    return dataclasses.replace(plan, footprints=footprints)


def _with_files_here(spec: TrialSpec, cache: Path) -> TrialSpec:
    """`spec` with the whole paths of its weights file and of its teacher's folder, since a worker
    stands in another folder; weights behind a URL are downloaded to a folder of `cache`, unless
    they are there.
    """
    remote = weights_url(spec.model.pretrained)
    path = download(*remote, cache / "weights") if remote else weights_file(spec.model.pretrained)
    if path is not None:
        spec = replace_at(spec, "model.pretrained", str(path.resolve()))
    if (teacher := teacher_folder(spec)) is not None:
        spec = replace_at(spec, "train.teacher", str(teacher.path.resolve()))
    return spec


def _at_hand(spec: TrialSpec, registry: Registry, places: Places) -> bool:
    """Whether the data set that `spec` trains on lies below the data root."""
    dataset, _ = registry.split(spec.data.train)
    return find_root(dataset, places.data_root) is not None


def _fewer(by_data: Mapping[DataSpec, TrialFaces]) -> Iterator[str]:
    """A note for each share of the training faces that is trained on, where that is not all."""
    for data, faces in by_data.items():
        if data.train_fraction < 1:
            used, _ = faces.split(data)
            _, validated = faces.split(dataclasses.replace(data, train_fraction=1))
            left = len(faces.train) - len(validated)
            yield (
                f"data.train_fraction {data.train_fraction:g}: {len(used)} of the {left} faces of "
                f"{data.train} that are not validated on are trained on"
            )


def _taught(specs: Iterable[tuple[TrialSpec, str]]) -> list[str]:
    """A note for each teacher: what it knows of the faces of the specs that it teaches.

    specs: each with the fingerprint of the lists of its faces.
    """
    notes = set()
    for spec, faces in specs:
        if (folder := teacher_folder(spec)) is None:
            continue
        teacher = folder.trial
        known = "trained on the same faces"
        if teacher.faces != faces:
            known = (
                f"trained on {teacher.spec.data.train}, by other lists of faces than this plan's: "
                "it may have seen test faces"
            )
        elif teacher.spec.train.select == "test":
            known += ", its epoch chosen on the test set"
        notes.add(f"teacher {folder.path.name} ({teacher.title}): {known}")
    return sorted(notes)


def _not_shown(pipeline: Pipeline, specs: Iterable[TrialSpec], registry: Registry) -> Iterator[str]:
    """A note for each split that is tested on although no column of the report shows it."""

    def parts(split: str) -> set[tuple[str, str]]:
        dataset, members = registry.split(split)
        return {(dataset.name, part) for part in members.parts}

    shown = set().union(*map(parts, pipeline.columns))
    for split in dict.fromkeys(split for spec in specs for split in spec.data.test):
        if not parts(split) <= shown:
            yield f"{split} is tested on, but no column of the report shows it"


def _compared(
    written: str | Mapping[str, Any],
    resolved: str | Mapping[str, Any],
    specs: Iterable[TrialSpec],
    registry: Registry,
) -> Iterator[str]:
    """A note where overrides have left no row of the report that could be the reference, or made
    several of it.
    """
    rows = dict.fromkeys(dataclasses.replace(spec, seed=0) for spec in specs)
    if written and len(rows) > 1:
        fault = Reference(resolved, registry).fault(rows)
        if fault:
            yield f"{NOT_COMPARED}{fault}"
        elif resolved != written != FIRST_ROW:
            named, first = Reference(written, registry), Reference(resolved, registry)
            yield f"{FIRST_OF_SEVERAL}of the rows with {named}, that with {first}"
