"""Predicted and true landmarks of a trial's test faces, and their file, predictions.parquet."""

# N faces, L landmarks, C cells of an occlusion map

from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole

_FLIP_TEST = b"odnbench.flip_test"  # a key of the file's metadata


@dataclass(frozen=True)
class Occlusion:
    """1 − P of the test faces, from the network's occlusion maps P (scoring/occlusion.py says what
    it tells).
    """

    landmarks: Floats  # (N, L) at the true landmarks
    cells: Floats  # (N, C) in the cells of the map, row by row
    covered: Floats | None  # (N, C) share of the cell that occluders cover, where masks are known
    # (N, L) whether an occluder covers the true landmark, where masks are known. A landmark that is
    # occluded and not covered is hidden by the head itself.
    covered_landmarks: Flags | None = None


@dataclass(frozen=True)
class Predictions:
    """Predicted and true points of the test faces, image frame."""

    ids: tuple[str, ...]  # (N,) of the faces
    parts: tuple[str, ...]  # (N,) of the data set, as "300w/ibug"
    predicted: Floats  # (N, L, 2)
    true: Floats  # (N, L, 2)
    occluded: Flags  # (N, L)
    boxes: Floats  # (N, 4); NaN where the data set has none
    labels: tuple[str, ...]  # (N,) the labels of each face, separated by blanks
    occlusion: Occlusion | None = None
    # (N, L) how sure the network's head is of each point (`LandmarkHead.confidence`), in [0, 1] and
    # not calibrated; None for a head that does not tell it.
    confidence: Floats | None = None
    # Whether the mean of the predictions for each face and for its mirror image is given.
    flip_test: bool = False
    # (N,) how much each face was disturbed (engine/disturb.py); None for faces as they are.
    amounts: Floats | None = None


def read_predictions(path: Path) -> Predictions:
    """Reads a predictions.parquet; OdnbenchError for a file that cannot be read as one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # pq.read_table would look for more files and start threads, for one file of a megabyte.
        with pq.ParquetFile(path) as file:
            return _predictions_in(file.read(use_threads=False))
    # A file that is damaged inside may lack a column, or have one of another length.
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise OdnbenchError(f"{path}: cannot be read as predictions: {error}") from error


def _predictions_in(table: Any) -> Predictions:
    """The predictions in a table of pyarrow; raises where the table holds none."""
    n = table.num_rows

    def flat(column: str) -> NDArray[Any]:
        values = table[column].combine_chunks().flatten()
        return np.asarray(values).reshape(n, -1)

    def numbers(column: str) -> Floats:
        return flat(column).astype(np.float64)

    return Predictions(
        ids=tuple(table["face"].to_pylist()),
        parts=tuple(table["part"].to_pylist()),
        predicted=numbers("predicted").reshape(n, -1, 2),
        true=numbers("true").reshape(n, -1, 2),
        occluded=flat("occluded").astype(np.bool_),
        boxes=numbers("box"),
        labels=tuple(table["labels"].to_pylist()),
        occlusion=Occlusion(
            numbers("occlusion"),
            numbers("occlusion_cells"),
            numbers("covered_cells") if "covered_cells" in table.column_names else None,
            flat("covered").astype(np.bool_) if "covered" in table.column_names else None,
        )
        if "occlusion" in table.column_names
        else None,
        confidence=numbers("confidence") if "confidence" in table.column_names else None,
        flip_test=is_flip_test(table),
        amounts=numbers("amount")[:, 0] if "amount" in table.column_names else None,
    )


def is_flip_test(table: Any) -> bool:
    """Whether a table of pyarrow, read from predictions.parquet, says that it is of a flip test."""
    return (table.schema.metadata or {}).get(_FLIP_TEST) == b"true"


def is_parquet(path: Path) -> bool:
    """Whether a file begins and ends as one of Parquet does: it is not empty, and not cut off."""
    with path.open("rb") as file:
        begins = file.read(4) == b"PAR1"
        return begins and file.seek(-4, SEEK_END) > 0 and file.read() == b"PAR1"


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Writes the file that `read_predictions` reads, whole or not at all."""
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
        if occlusion.covered_landmarks is not None:
            columns["covered"] = lists(occlusion.covered_landmarks)
    if predictions.confidence is not None:
        columns["confidence"] = lists(predictions.confidence)
    if predictions.amounts is not None:
        columns["amount"] = lists(predictions.amounts[:, None])
    metadata = {_FLIP_TEST: b"true"} if predictions.flip_test else None
    content = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, metadata=metadata), content, compression="zstd")
    write_whole(path, memoryview(content.getvalue()))
