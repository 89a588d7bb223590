"""The runs of a plan are kept in MLflow while a sweep is at work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from traceback import format_exception

from odnbench.errors import OdnbenchError, without_secrets
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.tracking.client import UNREACHABLE, does_not_answer, tracking_uri
from odnbench.tracking.runs import PlanRuns

_IDLE_SECONDS = 1.0  # after which the load of the machine is measured though nothing happened


@dataclass
class _Unwritten:
    """What happened to a trial and is not in MLflow yet."""

    trial: Trial
    epochs: list[Epoch] = field(default_factory=list)
    folder: TrialFolder | None = None  # once the trial has ended


class MlflowMirror(Observer):
    """Observer that keeps the runs of a plan in MLflow, without ever holding up the sweep.

    Events wait in a queue for the one thread that writes. Once MLflow does not answer, people are
    told so, and nothing is sent until `close`.

    plan_file: Plan.own_file. uri: of MLflow, by default `tracking_uri`. tell: takes a line for
    people.
    """

    def __init__(
        self,
        plan_file: Path,
        registry: Registry,
        uri: str | None = None,
        tell: Callable[[str], None] = print,
    ):
        self.plan_file, self.registry, self.tell = plan_file, registry, tell
        self.uri = uri or tracking_uri()
        self.answers = True
        self._began = False
        self._queue: Queue[_Unwritten | None] = Queue()  # None at the end
        self._writer = Thread(target=self._write_until_the_end, name="MLflow", daemon=True)
        self._writer.start()

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self._enqueue(_Unwritten(trial))

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        self._enqueue(_Unwritten(trial, [epoch]))

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self._enqueue(_Unwritten(trial, folder=folder))

    def close(self) -> None:
        """Brings what is missing, with the report, and ends the parent run. Does not raise."""
        self._queue.put(None)
        self._writer.join()
        # A sweep that did not begin leaves the runs alone: another one may be at work on the plan.
        if not self._began:
            return
        try:
            delivered = PlanRuns(self.plan_file, self.registry, self.uri).deliver_all(self.tell)
        except Exception as error:
            storage, pipeline = self.plan_file.parent.parent, self.plan_file.parent.name
            cure = f"`odnbench sync {pipeline} --storage {storage}` delivers them later"
            self._tell_failure(error, cure)
        else:
            for line in delivered.left_out:
                self.tell(line)
            if not self.answers:
                self.tell(
                    f"MLflow at {without_secrets(self.uri)} answers again: all runs are delivered"
                )

    def _enqueue(self, event: _Unwritten) -> None:
        self._began = True
        self._queue.put(event)

    def _write_until_the_end(self) -> None:
        """Writes what is in the queue, and the load of the machine, until the queue holds None."""
        runs: PlanRuns | None = None
        while (events := self._unwritten()) is not None:
            if not self.answers or not (events or runs):
                continue
            try:
                runs = runs or PlanRuns(self.plan_file, self.registry, self.uri)
                for event in events:
                    if event.folder is None:
                        runs.follow(event.trial, event.epochs)
                    else:
                        runs.deliver(event.trial, event.folder)
                runs.measure_load()
            except Exception as error:  # whatever happens here, the sweep goes on
                self.answers = False
                self._tell_failure(error, "`odnbench sync` delivers them later")

    def _unwritten(self) -> list[_Unwritten] | None:
        """All that is in the queue, joined to one entry per trial; an empty list where nothing came
        for _IDLE_SECONDS; None at the end, when `close` reads the folders.
        """
        by_trial: dict[str, _Unwritten] = {}
        try:
            event = self._queue.get(timeout=_IDLE_SECONDS)
            while event is not None:
                joined = by_trial.setdefault(event.trial.id, _Unwritten(event.trial))
                joined.epochs += event.epochs
                joined.folder = event.folder or joined.folder
                event = self._queue.get_nowait()
        except Empty:
            return list(by_trial.values())
        return None

    def _tell_failure(self, error: Exception, cure: str) -> None:
        if isinstance(error, UNREACHABLE):
            failure = does_not_answer(self.uri, error)
        else:  # a faulty folder, which the error names, or a bug, which shows where it is
            detail = [str(error)] if isinstance(error, OdnbenchError) else format_exception(error)
            failure = f"logging to MLflow stopped: {''.join(detail)}"
        self.tell(f"{failure}: results are kept on disk; {cure}")
