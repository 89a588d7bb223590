"""The runs of a plan in MLflow, and how they are brought up to date from the trial folders."""

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from odnbench.errors import without_secrets
from odnbench.plan.conversion import to_mapping
from odnbench.plan.ids import content_id
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.reports.read import read_report
from odnbench.results.folder import (
    ALL,
    FOR_PEOPLE,
    INTERRUPTED,
    PRUNED,
    STATUS,
    TRIAL,
    TrialFolder,
    disturbed_file,
)
from odnbench.results.plans import PlanRecord, Work
from odnbench.results.records import Epoch, Standing, State
from odnbench.results.searches import trained_elsewhere
from odnbench.tracking.client import (
    connect,
    experiment_name,
    find_or_create,
    refuse_deleted,
    tag_filter,
)
from odnbench.tracking.databases import sqlite_file
from odnbench.tracking.entries import (
    COMPLETE_TAG,
    LONGEST_TAG,
    PARENT_TAG,
    PLAN_TAG,
    SAVED_TAG,
    TRIAL_TAG,
    changed_ms,
    disturbed_metrics,
    epoch_metrics,
    inputs,
    now_ms,
    parameters,
    plan_tags,
    result_metrics,
    study_tags,
    test_error_names,
    trial_tags,
)
from odnbench.tracking.history import contradicts, history, log_new
from odnbench.tracking.machine import LoadMonitor
from odnbench.tracking.network import log_network
from odnbench.tracking.page import VIEW_TAG, view_of
from odnbench.tracking.plan_artifacts import PLAN_ARTIFACTS, log_plan
from odnbench.tracking.plan_report import log_report

_EPOCHS_PER_BATCH = 40  # MLflow takes 1000 metrics in a call, and writes them all or none
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's training view
_STATUS_OF_STATE: dict[State, str] = {
    "waiting": "SCHEDULED",
    "running": "RUNNING",
    "trained": "FINISHED",
    "done": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
    "interrupted": "KILLED",
}
# States of a trial that the sweep at work will change.
_GOES_ON: tuple[State, ...] = ("waiting", "running")


@dataclass(frozen=True)
class Delivered:
    """How many trials were brought up to date in MLflow, and how many were so already."""

    brought: int
    there: int
    # What was not delivered since it is damaged, a line each.
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"trials delivered: {self.brought}, already there: {self.there}"


@dataclass(frozen=True)
class _StartedTrial:
    """A trial of the plan that has a folder, and where it stands."""

    trial: Trial
    folder: TrialFolder
    standing: Standing


@contextmanager
def _alone(uri: str, folder: Path) -> Iterator[None]:
    """Holds the lock of those who deliver to the SQLite file at `uri`, or else of those who deliver
    the results in `folder`; holds nothing where this user may not write beside either.
    """
    store = sqlite_file(uri)
    lock = folder / ".mlflow" if store is None else store.with_name(f".{store.name}.delivery")
    with ExitStack() as stack:
        if os.access(lock.parent, os.W_OK):
            stack.enter_context(FileLock(lock))
        yield


class PlanRuns:
    """The runs of a plan in MLflow. Each method adds what is missing and nothing twice, so that it
    may be called again after it raised, by this process or another.

    Methods raise one of client.UNREACHABLE where MLflow does not answer.
    """

    def __init__(self, plan_file: Path, registry: Registry, uri: str):
        self.plan_file, self.registry, self.uri = plan_file, registry, uri
        self.record = PlanRecord.load(plan_file)
        self.client = connect(uri)
        self.experiment_id = self._experiment(experiment_name(self.record.pipeline.name))
        self.parent_id = ""  # until the first trial is seen
        self._followed: dict[str, str] = {}  # trial id → run id
        self._load_monitor: LoadMonitor | None = None

    def _experiment(self, name: str) -> str:
        """The id of the experiment `name`, which is created if it is not there."""
        view = view_of(test_error_names(self.record.pipeline.columns))
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            tags = {**_EXPERIMENT_TAGS, VIEW_TAG: view}
            try:
                return str(self.client.create_experiment(name, tags=tags))
            except MlflowException:  # another process may have created it meanwhile
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        refuse_deleted(experiment, without_secrets(self.uri))
        if experiment.tags.get(VIEW_TAG) != view:
            self.client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, view)
        return str(experiment.experiment_id)

    def follow(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """Begins the run of a trial that is being trained, or goes on with the run that it has, and
        logs `epochs`.
        """
        if trial.id not in self._followed:
            run = self._trial_run(trial, now_ms())
            self.client.update_run(self.parent_id, status="RUNNING")
            self._load_monitor = self._load_monitor or LoadMonitor.where_possible(
                self.parent_id, self.uri
            )
            self._begin(run, trial)
            self._followed[trial.id] = run.info.run_id
        self._log_epochs(self._followed[trial.id], epochs)

    def deliver(self, trial: Trial, folder: TrialFolder) -> bool:
        """Brings what the folder of a trial that has ended holds. Returns whether any of it was
        missing.
        """
        standing = self.record.standing(folder, Work(running=False))
        if standing.state == "damaged":  # of which `deliver_all` tells
            return False
        return self._deliver(_StartedTrial(trial, folder, standing))

    def deliver_all(self, tell: Callable[[str], None] = print) -> Delivered:
        """Brings all trials of the plan that were started, its report and its best network.

        A trial that is damaged is left out, and its run stays as it is. One process delivers at a
        time, others wait for it. tell: takes a line for people where the network cannot be logged.
        """
        with _alone(self.uri, self.plan_file.parent):
            return self._deliver_all(tell)

    def _deliver_all(self, tell: Callable[[str], None]) -> Delivered:
        work = Work.in_folder(self.plan_file.parent)
        started, left_out = [], []
        for folder, title in self.record.folders(self.plan_file.parent):
            standing = self.record.standing(folder, work, read=ALL)
            if standing.state == "damaged":
                left_out.append(f"not delivered: {title}: {standing}")
            elif folder.started:
                trial = dataclasses.replace(folder.trial, title=title)
                started.append(_StartedTrial(trial, folder, standing))
        brought = [self._deliver(one) for one in started]
        if started:
            self.client.set_tag(self.parent_id, SAVED_TAG, self.record.saved_at)
            self._finish(started, tell, whole=not left_out, work=work)
        self._end_dead_runs(work, [one.trial.id for one in started])
        return Delivered(sum(brought), len(brought) - sum(brought), tuple(left_out))

    def measure_load(self) -> None:
        """Logs the load of this machine, now and then while trials are followed."""
        if self._load_monitor is not None:
            self._load_monitor.measure()

    def _deliver(self, started: _StartedTrial) -> bool:
        """Brings a trial's run up to date. Returns whether anything was missing."""
        trial, folder, state = started.trial, started.folder, started.standing.state
        reason = INTERRUPTED if state == "interrupted" else started.standing.reason
        status = _STATUS_OF_STATE[state]
        epochs = folder.epochs
        predicted = folder.holds(self.record.pipeline.disturbed)
        columns = self.record.pipeline.columns
        tested = f"columns: {' '.join(columns)}" if state in ("done", "trained") else ""
        parts = (state, f"epochs: {len(epochs)}", tested, *map(str, predicted), reason)
        mark = ", ".join(filter(None, parts))[:LONGEST_TAG]
        began = changed_ms(folder.path / TRIAL)
        run = self._trial_run(trial, began)
        tags = run.data.tags
        there = tags.get(COMPLETE_TAG), tags.get(PARENT_TAG), run.info.status
        if there == (mark, self.parent_id, status):
            return False
        if state not in _GOES_ON and contradicts(self.client, run.info.run_id, epochs):
            self.client.delete_run(run.info.run_id)
            run = self._trial_run(trial, began)
        run_id = run.info.run_id
        self._begin(run, trial)
        self._log_epochs(run_id, epochs)
        if tested:
            found = result_metrics(trial, folder, self.registry, columns)
            new = [metric for metric in found if metric.key not in run.data.metrics]
            self.client.log_batch(run_id, metrics=new)
        for disturbance in predicted:
            metrics = disturbed_metrics(trial, folder, self.registry, columns, disturbance)
            log_new(self.client, run_id, metrics)
        self._log_files(run_id, folder)
        known = {PARENT_TAG: self.parent_id}
        if folder.started:
            known |= {f"version.{name}": version for name, version in folder.versions.items()}
        if state in ("done", "trained"):
            known["device"] = folder.result.device
        if reason or "reason" in tags:
            known["reason"] = reason[:LONGEST_TAG]
        if study := study_tags(self.record):
            known |= {**study, "pruned": str(reason == PRUNED).lower()}
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in known.items()])
        if state == "waiting":
            self.client.update_run(run_id, status=status)
        elif state != "running":
            self.client.set_terminated(run_id, status, changed_ms(folder.path / STATUS))
        # The mark is set last of all: a run without it, or with another one, is incomplete.
        self.client.set_tag(run_id, COMPLETE_TAG, mark)
        self._followed.pop(trial.id, None)
        return True

    def _finish(
        self,
        started: Sequence[_StartedTrial],
        tell: Callable[[str], None],
        *,
        whole: bool,
        work: Work,
    ) -> None:
        """Brings the run of the plan up to date and ends it, unless a sweep is at work on the plan.

        whole: whether no trial is damaged. Else a run that was complete keeps its report.
        """
        states = {one.trial.id: one.standing.state for one in started}
        wanted = ("done", "stopped") if self.record.pipeline.search else ("done",)
        elsewhere = trained_elsewhere(self.plan_file.parent) or ()
        complete = all(
            states[identity] in wanted if identity in states else identity in elsewhere
            for identity in self.record.trials
        )
        if not complete and self._is_at_work(work):
            return
        status = "FINISHED" if complete else "FAILED"
        disturbed = map(str, self.record.pipeline.disturbed)
        held = to_mapping(self.record.pipeline)
        mark = content_id(states, PLAN_ARTIFACTS, held, *disturbed)  # of what the plan's run holds
        mark_without_network = f"{mark}, without the network"
        parent = self.client.get_run(self.parent_id)
        if not whole and parent.info.status == "FINISHED":
            return
        found = parent.data.tags.get(COMPLETE_TAG) if parent.info.status == status else None
        if found == mark:
            return
        if found != mark_without_network:
            log_report(self.client, self.parent_id, self.plan_file, self.registry)
            log_plan(self.client, self.parent_id, self.record, self.plan_file)
        done = [one for one in started if one.standing.state == "done"]
        if complete and done:
            best = self._best(done)
            run = self._trial_run(best.trial, now_ms())
            identity = self._identity(best.trial.id)
            if not log_network(
                self.client, run, best.trial, best.folder, self.registry, identity, tell
            ):
                mark = mark_without_network
        ended = max(changed_ms(one.folder.path / STATUS) for one in started)
        self.client.set_terminated(self.parent_id, status, ended)
        self.client.set_tag(self.parent_id, COMPLETE_TAG, mark)

    def _best(self, done: Sequence[_StartedTrial]) -> _StartedTrial:
        """The finished trial whose network is logged: the one with the lowest validation NME, but
        of a search that has trained points again the first fresh seed of the best of these.

        The lowest of many validation errors of a search is lower than that of the same point
        trained again, and no sign of a better network.
        """
        is_search = self.record.pipeline.search is not None
        search = read_report(self.plan_file, self.registry).search if is_search else None
        if search is not None and search.decision.confirmed:
            chosen = search.decision.confirmed[0].row.trials[0].trial.id
            return next(one for one in done if one.trial.id == chosen)
        return min(done, key=lambda one: one.folder.result.validation_nme_percent)

    def _end_dead_runs(self, work: Work, delivered: Collection[str]) -> None:
        """Ends the runs of trials that nobody is at work on and that left nothing to deliver: their
        sweep was killed before it wrote a file of theirs, or the files are damaged. Those of a
        search on which other machines work may be theirs.
        """
        if trained_elsewhere(self.plan_file.parent) is not None:
            return
        for status in _GOES_ON:
            having = f"attributes.status = '{_STATUS_OF_STATE[status]}'"
            identity = tag_filter({PLAN_TAG: self.record.id})
            for run in self.client.search_runs([self.experiment_id], f"{identity} and {having}"):
                trial = run.data.tags[TRIAL_TAG]
                at_work = work.has(trial) if trial else self._is_at_work(work)
                if at_work or trial in delivered or (delivered and not trial):
                    continue
                self.client.set_tag(run.info.run_id, "reason", INTERRUPTED)
                self.client.set_terminated(run.info.run_id, "KILLED" if trial else "FAILED")

    def _is_at_work(self, work: Work) -> bool:
        """Whether a sweep is at work on the plan."""
        return any(work.has(identity) for identity in self.record.trials)

    def _begin(self, run: Run, trial: Trial) -> None:
        """Logs what is known before the first epoch."""
        run_id = run.info.run_id
        if run.info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        # A path among the parameters may have changed since they were logged, and MLflow refuses to
        # change a parameter.
        if not run.data.params:
            self.client.log_batch(run_id, params=parameters(trial))
        self.client.log_inputs(run_id, inputs(trial))

    def _log_epochs(self, run_id: str, epochs: Sequence[Epoch]) -> None:
        """Logs those of `epochs` that the run does not have."""
        known = history(self.client, run_id, "loss")
        new = [epoch for epoch in epochs if epoch.epoch not in known]
        for start in range(0, len(new), _EPOCHS_PER_BATCH):
            batch = new[start : start + _EPOCHS_PER_BATCH]
            self.client.log_batch(run_id, metrics=epoch_metrics(batch))

    def _log_files(self, run_id: str, folder: TrialFolder) -> None:
        """Logs the files of a trial that people read, and the weights of its network."""
        disturbed = map(disturbed_file, self.record.pipeline.disturbed)
        for name in (*FOR_PEOPLE, *disturbed):
            if (path := folder.path / name).is_file():
                self.client.log_artifact(run_id, str(path))
        if folder.checkpoint.is_file():
            self.client.log_artifact(run_id, str(folder.checkpoint), "checkpoint")

    def _trial_run(self, trial: Trial, start_ms: int) -> Run:
        """The run of `trial`, below that of the plan; where either is created, it begins at
        `start_ms`.
        """
        if not self.parent_id:
            tags = {**plan_tags(self.record, trial), **study_tags(self.record)}
            parent = self._run("", tags, start_ms)
            self.parent_id = parent.info.run_id
        tags = {PARENT_TAG: self.parent_id, **trial_tags(trial), **study_tags(self.record)}
        return self._run(trial.id, tags, start_ms)

    def _run(self, trial_id: str, tags: Mapping[str, str], start_ms: int) -> Run:
        """The run of a trial, or of the plan where `trial_id` is "". `tags` are those of a new
        run.
        """
        identity = self._identity(trial_id)

        def find() -> list[Run]:
            found = self.client.search_runs([self.experiment_id], tag_filter(identity))
            return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

        return find_or_create(
            find,
            create=lambda: self.client.create_run(
                self.experiment_id, start_time=start_ms, tags={**tags, **identity}
            ),
            delete=lambda run: self.client.delete_run(run.info.run_id),
        )

    def _identity(self, trial_id: str) -> dict[str, str]:
        """The tags by which the run and the model of a trial are found."""
        return {PLAN_TAG: self.record.id, TRIAL_TAG: trial_id}
