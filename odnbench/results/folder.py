"""The folder of a trial. No other module knows the names of the files in it.

Trainers write the folder; reports, tracking and storage read it. The marker `done` is written last
(results/marker.py): a trial without the marker, or one whose files do not agree with the marker, is
not finished.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.trials import Trial
from odnbench.results.marker import Marker
from odnbench.results.predictions import (
    Predictions,
    is_parquet,
    read_predictions,
    write_predictions,
)
from odnbench.results.reading import read_json
from odnbench.results.records import Epoch, Result, Standing, State

TRIAL = "trial.json"  # spec, protocol, coverage, versions
STATUS = "status.json"  # running, done, failed or stopped, and why
EPOCHS = "metrics.jsonl"  # a line per epoch
PREDICTIONS = "predictions.parquet"  # a row per test face: prediction, truth, occlusion flags
# The same for the test faces with occluders pasted on them, where the trial was asked for that.
PASTED = "predictions-pasted.parquet"
# The same again after a disturbance (plan/disturbances.py). Such a file is added once the trial is
# finished, so that the marker says nothing of it, and it is never changed.
DISTURBED = "disturbed-{}.parquet"
RESULT = "result.json"  # parameters, best epoch, time
CHECKPOINT = "checkpoint.safetensors"  # weights of the selected epoch
PROGRESS = "progress.pt"  # of an unfinished trial: what it needs to go on
EXAMPLES = "examples.jpg"  # test faces with predicted landmarks and the occlusion map
TRACEBACK = "traceback.txt"  # of an exception that ended the trial
CARD = "README.md"  # what the network is, for people, who may add to it
DONE = "done"

INTERRUPTED = "interrupted"  # the reason of a stopped trial that the same command continues

PRUNED = "early, by the pruner of the search"  # the reason of one that a search has stopped

# What MLflow shows of a trial: all but its weights and its progress.
FOR_PEOPLE = (TRIAL, RESULT, EPOCHS, PREDICTIONS, PASTED, EXAMPLES, TRACEBACK, CARD)

# The files of a finished trial whose content is compared with the marker: at every look, as all the
# sizes are, those of a few megabytes; and all of them before a sweep counts on the trial.
SHOWN = (TRIAL, STATUS, EPOCHS, RESULT, PREDICTIONS, PASTED, EXAMPLES)
ALL = (*SHOWN, CHECKPOINT)
# No number comes from them, so that people may remove them to make room.
_SPARE = (EXAMPLES, CHECKPOINT, TRACEBACK)


def transfer_order(name: str) -> tuple[bool, bool, str]:
    """Sort key for copying files: the progress after the epochs that it continues, `done` last."""
    return name == DONE, name == PROGRESS, name


@dataclass(frozen=True)
class TrialFolder:
    """A trial's folder, `<storage>/<pipeline>/<id>/`."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the trial is done, and the folder holds what the trial wrote as far as `damage`
        tells it at a glance.
        """
        return self.marked and not self.damage()

    @property
    def marked(self) -> bool:
        """Whether the folder holds the marker that the trial is done."""
        return (self.path / DONE).is_file()

    @property
    def started(self) -> bool:
        """Whether the trial was announced, so that the folder holds its spec."""
        return (self.path / TRIAL).is_file()

    def announce(self, trial: Trial) -> None:
        """Writes the trial and the state "running"; leaves a finished trial as it is."""
        if self.finished:
            return
        self.unmark()
        self.path.mkdir(parents=True, exist_ok=True)
        self._write(TRIAL, {"trial": to_mapping(trial), "versions": _versions()})
        self.set_status("running")

    def start(self, trial: Trial, epochs: int = 0) -> None:
        """Prepares the folder for training that goes on after the first `epochs` epochs.

        Later epochs are removed; where `epochs` is 0, so is everything else.
        """
        kept = self.epochs[:epochs]
        if not epochs and self.path.exists():
            shutil.rmtree(self.path)
        for left_behind in self.path.glob(".*"):  # by a process that was killed while it wrote
            left_behind.unlink()
        self.announce(trial)
        self._write_text(EPOCHS, "".join(map(_json_line, kept)))

    def set_status(self, state: State, reason: str = "") -> None:
        """Writes the state of the trial, and the reason if it failed or was stopped; leaves a
        finished trial as it is.
        """
        if not self.finished:
            self._write(STATUS, {"state": state, "reason": reason})

    def append(self, epoch: Epoch) -> None:
        """Adds an epoch's line to metrics.jsonl; it is on disk before any progress that follows."""
        with (self.path / EPOCHS).open("a", encoding="utf-8") as file:
            file.write(_json_line(epoch))
            file.flush()
            os.fsync(file.fileno())

    def finish(
        self, result: Result, predictions: Predictions, pasted: Predictions | None = None
    ) -> None:
        """Writes predictions and result, and then the marker that the trial is done.

        pasted: the predictions for the test faces with occluders pasted on them.
        """
        write_predictions(predictions, self.path / PREDICTIONS)
        if pasted is not None:
            write_predictions(pasted, self.path / PASTED)
        self._write(RESULT, to_mapping(result))
        self.forget_progress()
        self.set_status("done")
        self.mark()

    def write_card(self, text: str) -> None:
        """Writes the model card, of which the marker says nothing."""
        self._write_text(CARD, text)

    def mark(self) -> None:
        """Writes the marker that the trial is done, for the files that the folder holds now."""
        files = [
            path for path in self.path.glob("[!.]*") if path.name not in (DONE, PROGRESS, CARD)
        ]
        Marker.of(files).write(self.path / DONE)

    def unmark(self) -> None:
        """Removes the marker, so that the trial counts as one that is not finished."""
        (self.path / DONE).unlink(missing_ok=True)

    def damage(self, read: Collection[str] = SHOWN) -> str:
        """How the folder of a trial with its marker differs from what the trial wrote: the file,
        and what is wrong with it; "" where nothing is.

        read: names of the files whose content is looked at, not their size alone.
        """
        try:
            marker = Marker.read(self.path / DONE)
            if marker.files:
                fault = marker.fault(self.path, read, _SPARE)
                return f"{self.path.name}/{fault}" if fault else ""
            # An earlier version wrote the marker: what cannot be read tells of a damage.
            trained, _ = self.trial.spec.train.epochs, self.result
            epochs, fault = self._read_epochs()
            if fault or len(epochs) != trained:
                return fault or f"{self.path / EPOCHS}: {len(epochs)} of {trained} epochs are left"
            for name in (PREDICTIONS, PASTED):
                path = self.path / name
                if path.is_file() and not is_parquet(path):
                    return f"{path}: cannot be read as predictions: it is empty or cut off"
        except OdnbenchError as error:
            return str(error)
        return ""

    def forget_progress(self) -> None:
        """Removes the progress, so that the next start begins at the first epoch."""
        self.progress.unlink(missing_ok=True)

    @property
    def trial(self) -> Trial:
        """The trial, as it was announced."""
        (values,) = self._read(TRIAL, "trial")
        return from_mapping(Trial, values, str(self.path / TRIAL))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that made the numbers."""
        (versions,) = self._read(TRIAL, "versions")
        return dict(versions)

    @property
    def status(self) -> tuple[State, str]:
        """State and reason as they were written; `standing` says what they mean now."""
        state, reason = self._read(STATUS, "state", "reason")
        return state, reason

    def standing(
        self, *, at_work: bool, began: float = 0.0, read: Collection[str] = SHOWN
    ) -> Standing:
        """The state of the trial now, the same for progress tables, reports and tracking.

        at_work: whether a sweep is at work on the trial. began: Unix time in s at which the sweep
        began; a trial whose status is older waits for the sweep. read: see `damage`.
        """
        if self.marked:
            fault = self.damage(read)
            return damaged(fault) if fault else Standing("done")
        file = self.path / STATUS
        if not file.is_file() or file.stat().st_mtime < began:
            return Standing("waiting")
        try:
            state, reason = self.status
            if self.started:
                _ = self.trial
        except OdnbenchError as error:
            return Standing("waiting") if at_work else damaged(str(error))
        if state == "failed" or (state == "stopped" and reason != INTERRUPTED):
            return Standing(state, reason)
        if not at_work:  # killed, or broken off by its user
            return Standing("interrupted", "the same command goes on with it")
        return Standing("waiting" if state == "stopped" else "running")

    @property
    def result(self) -> Result:
        """The result of a finished trial."""
        path = self.path / RESULT
        return from_mapping(Result, read_json(path, "the result of a trial"), str(path))

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs so far; those from the first line on that a kill or a power cut has spoilt
        are left out.
        """
        return self._read_epochs()[0]

    @property
    def epoch_count(self) -> int:
        """How many epochs a finished trial has; read in a fraction of the time of `epochs`."""
        return (self.path / EPOCHS).read_bytes().count(b"\n")

    @property
    def predictions(self) -> Predictions:
        """The predictions of a finished trial."""
        return read_predictions(self.path / PREDICTIONS)

    @property
    def pasted(self) -> Predictions | None:
        """The predictions for the test faces with occluders pasted on them; None without them."""
        path = self.path / PASTED
        return read_predictions(path) if path.is_file() else None

    def lacks(self, disturbances: Iterable[Disturbance]) -> tuple[Disturbance, ...]:
        """Those of `disturbances` after which the test faces were not predicted yet."""
        wanted = tuple(disturbances)
        there = self.holds(wanted)
        return tuple(one for one in wanted if one not in there)

    def holds(self, disturbances: Iterable[Disturbance]) -> tuple[Disturbance, ...]:
        """Those of `disturbances` after which the test faces were predicted."""
        wanted = ((one, self._disturbed(one)) for one in disturbances)
        return tuple(one for one, path in wanted if path.is_file() and is_parquet(path))

    def add_disturbed(self, disturbance: Disturbance, predictions: Predictions) -> None:
        """Adds the predictions after `disturbance` to the folder of a finished trial."""
        write_predictions(predictions, self._disturbed(disturbance))

    def disturbed(self, disturbance: Disturbance) -> Predictions | None:
        """The predictions after `disturbance`; None where there are none that can be read."""
        if not self.holds([disturbance]):
            return None
        with suppress(OdnbenchError):
            return read_predictions(self._disturbed(disturbance))
        return None

    def _disturbed(self, disturbance: Disturbance) -> Path:
        return self.path / disturbed_file(disturbance)

    @property
    def checkpoint(self) -> Path:
        """The weights of the selected epoch."""
        return self.path / CHECKPOINT

    @property
    def progress(self) -> Path:
        """The file that holds what an unfinished trial needs to go on."""
        return self.path / PROGRESS

    @property
    def examples(self) -> Path:
        """Test faces with predicted landmarks, as a picture."""
        return self.path / EXAMPLES

    @property
    def fault_of_epochs(self) -> str:
        """Why epochs of metrics.jsonl are left out; "" where none are."""
        return self._read_epochs()[1]

    def _read_epochs(self) -> tuple[list[Epoch], str]:
        """The epochs up to the first line that is not one, and what is wrong with that line."""
        path = self.path / EPOCHS
        epochs: list[Epoch] = []
        if not path.is_file():
            return epochs, ""
        *lines, rest = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                epochs.append(from_mapping(Epoch, json.loads(line), str(path)))
            except (ValueError, OdnbenchError) as error:
                return epochs, f"{path}: line {number} is not an epoch: {error}"
        return epochs, f"{path}: line {len(lines) + 1} is cut off" if rest else ""

    def _write(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        self._write_text(name, text)

    def _write_text(self, name: str, text: str) -> None:
        write_whole(self.path / name, text.encode())

    def _read(self, name: str, *keys: str) -> list[Any]:
        """The values of `keys` in a JSON file of the folder."""
        path = self.path / name
        values = read_json(path, "a record of a trial")
        if absent := [key for key in keys if key not in values]:
            raise OdnbenchError(f"{path}: cannot be read: it has no '{absent[0]}'")
        return [values[key] for key in keys]


def disturbed_file(disturbance: Disturbance) -> str:
    """The name of the file of predictions after `disturbance`."""
    return DISTURBED.format(disturbance.name)


def is_added(name: str) -> bool:
    """Whether a file of this name is added to the folder of a trial that is finished already."""
    return name.startswith(DISTURBED.partition("{")[0])


def damaged(fault: str) -> Standing:
    """Where a trial stands whose folder has this fault."""
    return Standing("damaged", f"{fault}; the same command trains it again")


def _json_line(epoch: Epoch) -> str:
    return json.dumps(to_mapping(epoch)) + "\n"


def _versions() -> dict[str, str]:
    """Versions of the libraries that can change a number."""
    found = {}
    for name in ("odnbench", "torch", "torchvision", "numpy", "opencv-python"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
