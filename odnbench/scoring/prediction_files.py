"""Predicted landmarks of any tool, read from the files that people have.

.parquet  predictions.parquet of a trial folder, or columns `face` and `predicted` (flat x y lists)
.csv      a column `face` (id or file name) and columns x0, y0, x1, y1, …; o0, o1, … (1 = occluded)
          where occlusion is predicted. Pixels are counted from 0.
.json     SPIGA's: a list of {"imgpath", "landmarks", "visible"}. Pixels are counted from 0.
.txt      COFW68's: four lines per face: its number, 68 x, 68 y, 68 occlusion states. Pixels are
          counted from 1.

The same formats serve as ground truth (`--truth`), for which a trial's file gives its annotations.
"""

# N faces, L landmarks

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError, unknown


@dataclass(frozen=True)
class PredictionFile:
    """The landmarks of faces as a file gives them; image frame, pixels counted from 0."""

    path: Path
    face_ids: tuple[str, ...]  # (N,) ids or file names
    points: Floats  # (N, L, 2)
    occluded: Flags | None = None  # (N, L) as predicted
    boxes: Floats | None = None  # (N, 4), in ground truth
    title: str = ""

    @property
    def name(self) -> str:
        """The name of the file in tables."""
        return self.title or self.path.stem


def read_prediction_files(paths: Sequence[Path]) -> list[PredictionFile]:
    """Reads each of `paths`; files of the same name are told apart by the names of their folders.

    Raises OdnbenchError for a file that is given twice.
    """
    files = [read_prediction_file(path) for path in paths]
    count = Counter(file.path.stem for file in files)
    named = [
        replace(file, title=f"{file.path.resolve().parent.name}/{file.path.stem}")
        if count[file.path.stem] > 1
        else file
        for file in files
    ]
    if len({file.name for file in named}) < len(named):
        names = ", ".join(sorted(file.name for file in named))
        raise OdnbenchError(f"files must differ in their names or folders, got {names}")
    return named


def read_prediction_file(path: Path, *, truth: bool = False) -> PredictionFile:
    """Reads `path` in the format of its suffix.

    truth: whether to take the annotations in a trial's file instead of its predictions. Raises
    OdnbenchError for an unknown suffix, a malformed file, a face that is there twice, and a
    coordinate that is not finite.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise unknown("format of predictions", suffix, READERS)
    try:
        found = _parquet(path, truth) if suffix == ".parquet" else READERS[suffix](path)
    except OSError as error:
        raise OdnbenchError(f"{path}: {error.strerror or error}") from error
    except OdnbenchError:
        raise
    except Exception as error:  # each library has exceptions of its own
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise OdnbenchError(f"{path}: cannot be read as {suffix} predictions: {what}") from error
    if found.occluded is not None and found.occluded.shape != found.points.shape[:2]:
        raise OdnbenchError(
            f"{path}: occlusion is given for {found.occluded.shape[-1]} landmarks of "
            f"{found.points.shape[1]}"
        )
    seen: set[str] = set()
    for face, points in zip(found.face_ids, found.points, strict=True):
        if face in seen:
            raise OdnbenchError(f"{path}: face {face} is there twice; keep one of them")
        seen.add(face)
        if not np.isfinite(points).all():
            where = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
            raise OdnbenchError(f"{path}: face {face}: landmark {where} is not a finite number")
    if not found.face_ids:
        raise OdnbenchError(f"{path}: it holds no face")
    return found


def _parquet(path: Path, truth: bool = False) -> PredictionFile:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    faces = tuple(map(str, table["face"].to_pylist()))
    if not truth or "true" not in table.column_names:
        return PredictionFile(path, faces, _points(path, table["predicted"].to_pylist()))
    flags = np.array(table["occluded"].to_pylist(), np.bool_)
    boxes = np.array(table["box"].to_pylist(), np.float64)
    points = _points(path, table["true"].to_pylist())
    return PredictionFile(path, faces, points, flags, boxes if np.isfinite(boxes).all() else None)


def _csv(path: Path) -> PredictionFile:
    import pandas as pd

    table = pd.read_csv(path, dtype={"face": str})
    numbered = {
        axis: sorted(
            (int(m[1]), name)
            for name in table.columns
            if (m := re.fullmatch(rf"{axis}(\d+)", name))
        )
        for axis in "xyo"
    }
    there = {axis: [number for number, _ in columns] for axis, columns in numbered.items()}
    if "face" not in table or not there["x"] or there["x"] != there["y"]:
        raise OdnbenchError(f"{path}: expected columns face, x0, y0, x1, y1, …")
    if table["face"].isna().any():
        raise OdnbenchError(f"{path}: row {int(table['face'].isna().argmax()) + 1} names no face")
    if there["o"] and there["o"] != there["x"]:
        raise OdnbenchError(f"{path}: occlusion must be given for every landmark, o0, o1, …")
    x, y, occluded = (table[[name for _, name in numbered[axis]]].to_numpy() for axis in "xyo")
    points = np.stack([x, y], axis=-1).astype(np.float64)
    flags = occluded.astype(np.float64) > 0.5 if occluded.size else None
    return PredictionFile(path, tuple(table["face"]), points, flags)


def _spiga(path: Path) -> PredictionFile:
    records = json.loads(path.read_text(encoding="utf-8"))
    points = _points(path, [np.ravel(record["landmarks"]) for record in records])
    seen = [record.get("visible") for record in records]
    flags = None if None in seen else np.array(seen, np.float64) < 0.5
    return PredictionFile(path, tuple(str(record["imgpath"]) for record in records), points, flags)


def _cofw68(path: Path) -> PredictionFile:
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    lines = [words for words in lines if words]
    if len(lines) % 4:
        raise OdnbenchError(f"{path}: expected four lines per face, got {len(lines)} lines")
    faces, rows, flags = [], [], []
    for index in range(0, len(lines), 4):
        number, x, y, states = lines[index : index + 4]
        if len(number) != 1 or not len(x) == len(y) == len(states):
            raise OdnbenchError(
                f"{path}: face {index // 4 + 1} of the file: expected a number, and as many x as y "
                f"and occlusion states, got {len(number)}, {len(x)}, {len(y)}, {len(states)} words"
            )
        faces.append(f"{int(number[0]):04d}")
        rows.append(np.array([x, y], np.float64).T.ravel() - 1)  # MATLAB counts pixels from 1
        flags.append(np.array(states, np.float64) > 0.5)
    return PredictionFile(path, tuple(faces), _points(path, rows), np.array(flags))


def _points(path: Path, rows: "list[Floats]") -> Floats:
    """Rows x0 y0 x1 y1 … → (N, L, 2); OdnbenchError where rows differ in length."""
    lengths = {len(row) for row in rows}
    if len(lengths) > 1 or any(length % 2 for length in lengths):
        raise OdnbenchError(
            f"{path}: faces have {', '.join(map(str, sorted(lengths)))} coordinates; expected x "
            "and y of the same landmarks for each"
        )
    return np.array(rows, np.float64).reshape(len(rows), -1, 2)


READERS: dict[str, Callable[[Path], PredictionFile]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _spiga,
    ".txt": _cofw68,
}
