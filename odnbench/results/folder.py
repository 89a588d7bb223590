"""The folder of a trial. No other module knows the names of the files in it.

Trainers write the folder; reports, tracking and storage read it. The marker `done` is written last:
a trial without the marker is not finished.
"""

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.files import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.trials import Trial
from odnbench.results.predictions import Predictions, read_predictions, write_predictions
from odnbench.results.records import Epoch, Result, Standing, State

TRIAL = "trial.json"  # spec, protocol, coverage, versions
STATUS = "status.json"  # running, done, failed or stopped, and why
EPOCHS = "metrics.jsonl"  # a line per epoch
PREDICTIONS = "predictions.parquet"  # a row per test face: prediction, truth, occlusion flags
# The same for the test faces with occluders pasted on them, where the trial was asked for that.
PASTED = "predictions-pasted.parquet"
RESULT = "result.json"  # parameters, best epoch, time
CHECKPOINT = "checkpoint.safetensors"  # weights of the selected epoch
PROGRESS = "progress.pt"  # of an unfinished trial: what it needs to go on
EXAMPLES = "examples.jpg"  # test faces with predicted landmarks and the occlusion map
TRACEBACK = "traceback.txt"  # of an exception that ended the trial
DONE = "done"

INTERRUPTED = "interrupted"  # the reason of a stopped trial that the same command continues

# What MLflow shows of a trial: all but its weights and its progress.
FOR_PEOPLE = (TRIAL, RESULT, EPOCHS, PREDICTIONS, PASTED, EXAMPLES, TRACEBACK)


def transfer_order(name: str) -> tuple[bool, bool, str]:
    """Sort key for copying files: the progress after the epochs that it continues, `done` last."""
    return name == DONE, name == PROGRESS, name


@dataclass(frozen=True)
class TrialFolder:
    """A trial's folder, `<storage>/<pipeline>/<id>/`."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the trial is done and all files in the folder are complete."""
        return (self.path / DONE).is_file()

    @property
    def started(self) -> bool:
        """Whether the trial was announced, so that the folder holds its spec."""
        return (self.path / TRIAL).is_file()

    def announce(self, trial: Trial) -> None:
        """Writes the trial and the state "running"; leaves a finished trial as it is."""
        if self.finished:
            return
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
        """Writes the state of the trial, and the reason if it failed or was stopped."""
        self._write(STATUS, {"state": state, "reason": reason})

    def append(self, epoch: Epoch) -> None:
        """Adds an epoch's line to metrics.jsonl."""
        with (self.path / EPOCHS).open("a", encoding="utf-8") as file:
            file.write(_json_line(epoch))

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
        (self.path / DONE).touch()

    def forget_progress(self) -> None:
        """Removes the progress, so that the next start begins at the first epoch."""
        self.progress.unlink(missing_ok=True)

    @property
    def trial(self) -> Trial:
        """The trial, as it was announced."""
        return from_mapping(Trial, self._read(TRIAL)["trial"], str(self.path / TRIAL))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that made the numbers."""
        return dict(self._read(TRIAL)["versions"])

    @property
    def status(self) -> tuple[State, str]:
        """State and reason as they were written; `standing` says what they mean now."""
        status = self._read(STATUS)
        return status["state"], status["reason"]

    def standing(self, *, at_work: bool, began: float = 0.0) -> Standing:
        """The state of the trial now, the same for progress tables, reports and tracking.

        at_work: whether a sweep is at work in the pipeline's folder. began: Unix time in s at which
        the sweep began; a trial whose status is older waits for the sweep.
        """
        if self.finished:
            return Standing("done")
        file = self.path / STATUS
        if not file.is_file() or file.stat().st_mtime < began:
            return Standing("waiting")
        state, reason = self.status
        if state == "failed" or (state == "stopped" and reason != INTERRUPTED):
            return Standing(state, reason)
        if not at_work:  # killed, or broken off by its user
            return Standing("interrupted", "the same command goes on with it")
        return Standing("waiting" if state == "stopped" else "running")

    @property
    def result(self) -> Result:
        """The result of a finished trial."""
        return from_mapping(Result, self._read(RESULT), str(self.path / RESULT))

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs so far; a last line that was cut off by a kill is left out."""
        path = self.path / EPOCHS
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        return [from_mapping(Epoch, json.loads(line), str(path)) for line in lines]

    @property
    def predictions(self) -> Predictions:
        """The predictions of a finished trial."""
        return read_predictions(self.path / PREDICTIONS)

    @property
    def pasted(self) -> Predictions | None:
        """The predictions for the test faces with occluders pasted on them; None without them."""
        path = self.path / PASTED
        return read_predictions(path) if path.is_file() else None

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

    def _write(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        self._write_text(name, text)

    def _write_text(self, name: str, text: str) -> None:
        write_whole(self.path / name, text.encode())

    def _read(self, name: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise OdnbenchError(f"{path}: cannot be read: {error}") from error


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
