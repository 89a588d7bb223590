"""A sweep: a pipeline's plan, carried out by an executor while observers look on.

    plan = make_plan(load_pipeline("ablation"), Registry.load(), places)
    outcome = run(plan, executor, observers)

A finished trial of the same content id is reused. A trial that fails keeps its reason in its
folder; the others go on.
"""

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from odnbench.datasets.archives.archive import find_root
from odnbench.datasets.sources import Faces, load_faces
from odnbench.engine.check import Footprint, check_trials, machine_memory
from odnbench.engine.fit import TrialFailed, fit
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import replace_at
from odnbench.plan.ids import content_id, trial_id, weights_file
from odnbench.plan.pipelines import Pipeline, overruled, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec
from odnbench.plan.titles import told_apart_by, trial_title, weights_title
from odnbench.plan.trials import Trial
from odnbench.results.folder import INTERRUPTED, TRACEBACK, TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import PLAN, PlanRecord, alone_in, own_file
from odnbench.results.records import Epoch, State


@dataclass(frozen=True)
class Places:
    """Where data come from and results go: nothing here changes a number."""

    storage: Path
    cache: Path
    data_root: Path | None = None


@dataclass(frozen=True)
class Plan:
    """The trials of a pipeline and the faces that each of them needs."""

    pipeline: Pipeline
    registry: Registry
    storage: Path
    trials: tuple[Trial, ...]
    faces: Mapping[str, Faces]  # fingerprint → faces
    notes: tuple[str, ...]
    footprints: Mapping[str, Footprint] = field(default_factory=dict)  # by id, of what is to run

    @property
    def id(self) -> str:
        """Names the set of trials."""
        return content_id(self.pipeline.name, sorted(trial.id for trial in self.trials))

    def folder(self, trial: Trial) -> TrialFolder:
        """The folder of one of its trials."""
        return TrialFolder(self.storage / self.pipeline.name / trial.id)

    @property
    def weights_files(self) -> set[str]:
        """The local weights files that its trials start from."""
        files = (weights_file(trial.spec) for trial in self.trials)
        return {str(file) for file in files if file is not None}

    @property
    def file(self) -> Path:
        """plan.json, from which a report knows which trials belong together."""
        return self.storage / self.pipeline.name / PLAN

    @property
    def own_file(self) -> Path:
        """The same under the plan's id: the next plan of the pipeline takes plan.json."""
        return own_file(self.file.parent, self.id)

    @property
    def change(self) -> str:
        """What is different from the last plan of this pipeline in the storage folder, if that is
        another one.
        """
        if not self.file.is_file() or (last := PlanRecord.load(self.file)).id == self.id:
            return ""
        ours = {trial.id for trial in self.trials}
        kept = len(ours & set(last.trials))
        return (
            f"another plan than the last one in {self.file.parent} ({last.saved_at}): {kept} of "
            f"its {len(last.trials)} trials are in this one, {len(ours) - kept} are new; what is "
            "not in this one stays on disk and leaves the report"
        )

    def save(self, trials: Iterable[Trial] | None = None) -> None:
        """Writes both files for `trials`, by default those that the plan was made with."""
        record = PlanRecord(
            id=self.id,
            pipeline=self.pipeline,
            trials=tuple(trial.id for trial in trials or self.trials),
            titles=tuple(trial.title for trial in trials or self.trials),
            notes=self.notes,
            saved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        record.save(self.file.parent)


class SearchRecord(Observer):
    """Observer that keeps plan.json up to date while a search adds trials to its plan."""

    def __init__(self, plan: Plan):
        self.plan = plan
        earlier = PlanRecord.load(plan.file) if plan.file.is_file() else None
        known = earlier.trials if earlier is not None and earlier.id == plan.id else ()
        folders = [TrialFolder(plan.file.parent / identity) for identity in known]
        self.trials = [f.trial for f in folders if f.started]

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self.trials = [*(t for t in self.trials if t.id != trial.id), trial]
        self.plan.save(self.trials)


@dataclass(frozen=True)
class Outcome:
    """How each trial of a sweep ended."""

    states: Mapping[str, State]  # trial id → state
    complete: bool  # whether every trial was carried out; a search may stop some early


Executor = Callable[[Plan, Sequence[Trial], Sequence[Observer]], dict[str, State]]


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
    """Resolves `pipeline`, prepares the faces, names each trial by its content, and checks that
    those which are not finished can be trained.

    here: whether they are to run on this machine, and so must fit its memory. Raises OdnbenchError
    for whatever is wrong with names, values, files or networks, before anything runs.
    """
    specs = resolve(pipeline, registry, overrides=overrides, settings=settings)
    notes = []
    if not all(_at_hand(spec, registry, places) for spec in specs):
        specs = resolve(pipeline, registry, overrides=overrides, settings=settings, rendered=True)
        if pipeline.rendered:
            notes.append(
                f"settings for rendered faces: {pipeline.rendered} (small network, few epochs)"
            )
    specs = [_with_whole_path(spec) for spec in specs]
    faces: dict[str, Faces] = {}
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
        notes.append(
            "--select test: epochs are chosen on the test set, so the errors are too small"
        )
    varied = told_apart_by(specs)
    notes += overruled(specs, registry, overrides)
    notes += _not_shown(pipeline, specs, registry)
    trials = []
    for spec in specs:
        protocol = registry.get(Protocol, spec.data.protocol)
        fingerprint = by_data[spec.data].fingerprint
        trials.append(
            Trial(
                id=trial_id(spec, registry, fingerprint),
                pipeline=pipeline.name,
                title=trial_title(spec, registry, varied),
                spec=spec,
                protocol=protocol,
                box=registry.get(BoxRule, protocol.box),
                scheme=registry.get(Scheme, protocol.scheme),
                coverage=by_data[spec.data].coverage,
                faces=fingerprint,
            )
        )
    unique = tuple({trial.id: trial for trial in trials}.values())
    plan = Plan(pipeline, registry, places.storage, unique, faces, tuple(notes))
    to_run = [trial for trial in unique if not plan.folder(trial).finished]
    footprints = check_trials(to_run, registry, machine_memory() if here else None)
    return dataclasses.replace(plan, footprints=footprints)


def with_weights(trial: Trial, registry: Registry, weights: Mapping[str, float]) -> Trial:
    """`trial` with other loss weights, and so with another id and title."""
    spec = trial.spec
    for name, value in weights.items():
        spec = replace_at(spec, f"loss.{name}", float(value))
    title = weights_title(spec, registry, tuple(weights))
    identity = trial_id(spec, registry, trial.faces)
    return dataclasses.replace(trial, id=identity, spec=spec, title=title)


def run(plan: Plan, executor: Executor, observers: Sequence[Observer]) -> Outcome:
    """Runs what is not finished yet. A trial that fails or is interrupted does not raise."""
    with alone_in(plan.file.parent):
        return _run(plan, executor, observers)


def search(plan: Plan, executor: Executor, observers: Sequence[Observer]) -> Outcome:
    """Has `executor` propose trials around the plan's one trial, and adds them to the plan."""
    with alone_in(plan.file.parent):
        states = executor(plan, plan.trials, [SearchRecord(plan), *observers])
    return Outcome(states, all(state != "failed" for state in states.values()))


def _run(plan: Plan, executor: Executor, observers: Sequence[Observer]) -> Outcome:
    states: dict[str, State] = {}
    open_trials = []
    plan.save()
    for observer in observers:
        observer.planned(plan.trials)
    for trial in plan.trials:
        folder = plan.folder(trial)
        if folder.finished:
            states[trial.id] = "done"
            for observer in observers:
                observer.ended(trial, folder, "done", "reused")
        else:
            open_trials.append(trial)
    if open_trials:
        states |= executor(plan, open_trials, observers)
    for trial in open_trials:
        folder = plan.folder(trial)
        if trial.id not in states and folder.started:  # the executor was interrupted
            states[trial.id] = "stopped"
            with suppress(OSError):  # of a full disk
                folder.set_status("stopped", INTERRUPTED)
            for observer in observers:
                observer.ended(trial, folder, "stopped", INTERRUPTED)
    return Outcome(states, all(states.get(trial.id) == "done" for trial in plan.trials))


def run_inline(
    plan: Plan, trials: Sequence[Trial], observers: Sequence[Observer], *, threads: int = 1
) -> dict[str, State]:
    """One trial after the other in this process: for a debugger, and for machines without Ray."""
    states: dict[str, State] = {}
    for trial in trials:
        for observer in observers:
            observer.started(trial)

        def on_epoch(epoch: Epoch, trial: Trial = trial) -> None:
            for observer in observers:
                observer.epoch_ended(trial, epoch)

        folder = plan.folder(trial)
        try:
            reason = run_trial(
                trial, plan.faces[trial.faces], plan.registry, folder, on_epoch, threads
            )
        except KeyboardInterrupt:
            break
        states[trial.id] = "failed" if reason else "done"
        for observer in observers:
            observer.ended(trial, folder, states[trial.id], reason)
    return states


def run_trial(
    trial: Trial,
    faces: Faces,
    registry: Registry,
    folder: TrialFolder,
    on_epoch: Callable[[Epoch], None],
    threads: int,
    weights: Path | None = None,
) -> str:
    """Fits one trial. Returns the reason if it failed, which its folder keeps as well, else "".

    threads: of torch on the CPU. Sums are taken in another order with another number, so that
    only trials with equal ones agree to the last bit. weights: see `fit`.

    A mistake of the user's and numbers that are not usable are reasons; so is any other exception,
    whose traceback is kept in the folder. What stops the whole process is passed on.
    """
    torch.set_num_threads(threads)
    try:
        fit(trial, faces, registry, folder, on_epoch, weights=weights)
    except (OdnbenchError, TrialFailed) as error:
        reason, trace = str(error), ""
        folder.forget_progress()  # it would lead to the same end
    except OSError as error:  # as of a full disk: the trial itself can go on
        reason, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
    except Exception as error:
        reason, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        folder.forget_progress()  # it may be what does not fit
    else:
        return ""
    with suppress(OSError):  # the reason may be a full disk
        folder.set_status("failed", reason)
        if trace:
            (folder.path / TRACEBACK).write_text(trace, encoding="utf-8")
    return reason


def _with_whole_path(spec: TrialSpec) -> TrialSpec:
    """`spec` with the whole path of its weights file: a worker stands in another folder."""
    path = weights_file(spec)
    return spec if path is None else replace_at(spec, "model.pretrained", str(path.resolve()))


def _at_hand(spec: TrialSpec, registry: Registry, places: Places) -> bool:
    """Whether the data set that `spec` trains on is below the data root."""
    dataset, _ = registry.split(spec.data.train)
    return find_root(dataset, places.data_root) is not None


def _not_shown(pipeline: Pipeline, specs: Iterable[TrialSpec], registry: Registry) -> Iterator[str]:
    """What is tested on although no column of the report shows it."""

    def parts(split: str) -> set[tuple[str, str]]:
        dataset, members = registry.split(split)
        return {(dataset.name, part) for part in members.parts}

    shown = set().union(*map(parts, pipeline.columns))
    for split in dict.fromkeys(split for spec in specs for split in spec.data.test):
        if not parts(split) <= shown:
            yield f"{split} is tested on, but no column of the report shows it"
