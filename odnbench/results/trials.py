"""The trial folder: written by the engine, read by tracking and reports; the truth about a trial.

trial.json              the trial: spec, protocol, coverage, versions
status.json             running, done, failed or stopped, and why
metrics.jsonl           a line per epoch
predictions.parquet     a row per test face: prediction, truth, occlusion flags
result.json             parameters, best epoch, time
checkpoint.safetensors  weights of the selected epoch
progress.pt             of an unfinished trial: what it needs to go on
examples.jpg            test faces with predicted landmarks and the occlusion map
done                    written last of all: without it the trial is not finished
"""

# N faces, L landmarks

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Flags, Floats
from odnbench.datasets.faces import FaceSet
from odnbench.errors import OdnbenchError
from odnbench.files import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.specs import Trial

State = Literal["running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Epoch:
    """What is measured at the end of an epoch; penalties are weighted, as they enter Eq. (3)."""

    epoch: int
    loss: float
    data_term: float
    alpha: float
    beta: float
    gamma: float
    lambda_: float
    eta: float
    learning_rate: float
    validation_nme_percent: float
    seconds: float
    effective_rank: float | None = None  # of the structural matrix M, where there is one
    stable_rank: float | None = None


@dataclass(frozen=True)
class Result:
    """What a finished trial says of itself; its errors are computed from its predictions."""

    parameters: int
    best_epoch: int
    validation_nme_percent: float
    seconds: float
    images_per_second: float
    precision: str
    device: str
    torch: str
    spectrum: tuple[float, ...] = ()  # singular values of M, the largest first


@dataclass(frozen=True)
class Occlusion:
    """What an occlusion map P says of the test faces: probabilities 1 − P."""

    landmarks: Floats  # (N, L) at the true landmarks
    cells: Floats  # (N, C) of the map, row by row
    covered: Floats | None  # (N, C) share of the cell that occluders cover, where masks are known


@dataclass(frozen=True)
class Predictions:
    """Predicted and true points of the test faces, image frame."""

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    predicted: Floats  # (N, L, 2)
    true: Floats  # (N, L, 2)
    occluded: Flags  # (N, L)
    boxes: Floats  # (N, 4); NaN where the data set has none
    labels: tuple[str, ...]  # of each face, with blanks between them
    occlusion: Occlusion | None = None

    @classmethod
    def of(
        cls, faces: FaceSet, predicted: Floats, occlusion: Occlusion | None = None
    ) -> "Predictions":
        """predicted (N, L, 2) for `faces`, image frame."""
        return cls(
            faces.ids,
            faces.parts,
            predicted,
            faces.points,
            faces.occluded,
            faces.boxes,
            faces.labels,
            occlusion,
        )


@dataclass(frozen=True)
class TrialFolder:
    """A trial's folder, `<storage>/<pipeline>/<id>/`."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether everything in the folder is complete."""
        return (self.path / "done").is_file()

    @property
    def started(self) -> bool:
        """Whether the folder knows its trial."""
        return (self.path / "trial.json").is_file()

    def announce(self, trial: Trial) -> None:
        """Says that the trial is to run, before it does anything; of a finished one, nothing."""
        if self.finished:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._write("trial.json", {"trial": to_mapping(trial), "versions": _versions()})
        self.set_status("running")

    def start(self, trial: Trial, epochs: int = 0) -> None:
        """Empties the folder but for the first `epochs` epochs and the progress, and writes what is
        known before the next step.
        """
        kept = self.epochs[:epochs]
        if not epochs and self.path.exists():
            shutil.rmtree(self.path)
        for left_behind in self.path.glob(".*"):  # by a process that was killed while it wrote
            left_behind.unlink()
        self.announce(trial)
        self._write_text("metrics.jsonl", "".join(map(_line, kept)))

    def set_status(self, state: State, reason: str = "") -> None:
        """Says where the trial stands, and why if it failed or was stopped."""
        self._write("status.json", {"state": state, "reason": reason})

    def append(self, epoch: Epoch) -> None:
        """Adds an epoch's line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(_line(epoch))

    def finish(self, result: Result, predictions: Predictions) -> None:
        """Writes predictions and result, and then the marker that the trial is done."""
        _write_parquet(predictions, self.path / "predictions.parquet")
        self._write("result.json", to_mapping(result))
        self.forget_progress()
        self.set_status("done")
        (self.path / "done").touch()

    def forget_progress(self) -> None:
        """The next start begins at the first epoch."""
        self.progress.unlink(missing_ok=True)

    @property
    def trial(self) -> Trial:
        """The trial that the folder is of."""
        return from_mapping(Trial, self._read("trial.json")["trial"], str(self.path / "trial.json"))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that made the numbers."""
        return dict(self._read("trial.json")["versions"])

    @property
    def status(self) -> tuple[State, str]:
        """State and reason."""
        status = self._read("status.json")
        return status["state"], status["reason"]

    @property
    def result(self) -> Result:
        """The result of a finished trial."""
        return from_mapping(Result, self._read("result.json"), str(self.path / "result.json"))

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs so far; a line that was cut off by a kill is left out."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        return [from_mapping(Epoch, json.loads(line), str(path)) for line in lines]

    @property
    def predictions(self) -> Predictions:
        """The predictions of a finished trial."""
        return read_predictions(self.path / "predictions.parquet")

    @property
    def checkpoint(self) -> Path:
        """The weights of the selected epoch."""
        return self.path / "checkpoint.safetensors"

    @property
    def progress(self) -> Path:
        """What an unfinished trial needs to go on."""
        return self.path / "progress.pt"

    @property
    def examples(self) -> Path:
        """Test faces with predicted landmarks, as a picture."""
        return self.path / "examples.jpg"

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


def _line(epoch: Epoch) -> str:
    return json.dumps(to_mapping(epoch)) + "\n"


def read_predictions(path: Path) -> Predictions:
    """A predictions.parquet file; OdnbenchError names a file that is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise OdnbenchError(f"{path}: cannot be read as predictions: {error}") from error
    n = table.num_rows

    def numbers(column: str) -> Floats:
        flat = np.asarray(table[column].combine_chunks().flatten())
        return flat.reshape(n, -1).astype(np.float64)

    return Predictions(
        ids=tuple(table["face"].to_pylist()),
        parts=tuple(table["part"].to_pylist()),
        predicted=numbers("predicted").reshape(n, -1, 2),
        true=numbers("true").reshape(n, -1, 2),
        occluded=np.array(table["occluded"].to_pylist(), bool).reshape(n, -1),
        boxes=numbers("box"),
        labels=tuple(table["labels"].to_pylist()),
        occlusion=Occlusion(
            numbers("occlusion"),
            numbers("occlusion_cells"),
            numbers("covered_cells") if "covered_cells" in table.column_names else None,
        )
        if "occlusion" in table.column_names
        else None,
    )


def _write_parquet(predictions: Predictions, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def lists(array: NDArray[Any]) -> Any:
        width = array[0].size
        return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), width)

    columns = {
        "face": pa.array(predictions.ids),
        "part": pa.array(predictions.parts),
        "predicted": lists(predictions.predicted),
        "true": lists(predictions.true),
        "occluded": lists(predictions.occluded),
        "box": lists(predictions.boxes),
        "labels": pa.array(predictions.labels),
    }
    if (occlusion := predictions.occlusion) is not None:
        columns["occlusion"] = lists(occlusion.landmarks)
        columns["occlusion_cells"] = lists(occlusion.cells)
        if occlusion.covered is not None:
            columns["covered_cells"] = lists(occlusion.covered)
    pq.write_table(pa.table(columns), path, compression="zstd")


def _versions() -> dict[str, str]:
    """Versions of what can move a digit."""
    found = {}
    for name in ("odnbench", "torch", "torchvision", "numpy", "opencv-python"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
