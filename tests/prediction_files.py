"""Rendered data sets on disk and files of predictions for them, as people have both."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from helpers import REGISTRY

from odnbench.arrays import Flags, Floats
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset
from odnbench.scoring.truth import Truth, truth_of

FACES = 8  # of each part


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="odnbench-")  # removed when the tests end


def data_root() -> Path:
    """The folder of the rendered data sets."""
    return Path(_folder().name)


@cache
def truth(split: str) -> Truth:
    """The annotation of a split of a rendered data set, which is written where it is not there."""
    dataset = REGISTRY.get(Dataset, split.partition("/")[0])
    folder = data_root() / dataset.name
    if not folder.exists():
        render_layout(dataset, folder, FACES, 64, 0)
    return truth_of(split, REGISTRY, data_root())


def predicted(true: Truth, error_px: float = 0.3, seed: int = 0) -> Floats:
    """(N, L, 2) the annotation with normal errors."""
    return true.points + np.random.default_rng(seed).normal(0, error_px, true.points.shape)


def score_arguments(split: str, *files: Path | str) -> list[str]:
    """The arguments of the command that scores `files`."""
    truth(split if "/" in split else f"{split}/test")
    return ["score", *map(str, files), "--dataset", split, "--data-root", str(data_root())]


def write_csv(
    path: Path,
    faces: Sequence[str],
    points: Floats,
    *,
    flags: Flags | None = None,
    boxes: Floats | None = None,
    header: Callable[[int, str], str] = lambda landmark, axis: f"{axis}{landmark}",
    separator: str = ",",
    number: Callable[[float], str] = lambda value: f"{value:.9f}",
    face: str = "face",
    encoding: str = "utf-8",
) -> Path:
    """A table of points (N, L, 2), with columns named by landmark and axis."""
    L = points.shape[1]
    columns = [face, *(header(i, axis) for i in range(L) for axis in "xy")]
    columns += [f"o{i}" for i in range(L)] if flags is not None else []
    columns += ["left", "top", "right", "bottom"] if boxes is not None else []
    lines = [separator.join(columns)]
    for row, name in enumerate(faces):
        cells = [name, *map(number, points[row].ravel())]
        cells += [str(int(flag)) for flag in flags[row]] if flags is not None else []
        cells += [number(side) for side in boxes[row]] if boxes is not None else []
        lines.append(separator.join(cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def write_records(
    path: Path, faces: Sequence[str], landmarks: Any, flags: Flags | None = None
) -> Path:
    """SPIGA's JSON; flags: (N, L), 1 where a landmark is occluded."""
    records = [
        {"imgpath": face, "landmarks": np.asarray(points).tolist()}
        | ({} if flags is None else {"visible": (1.0 - flags[row]).tolist()})
        for row, (face, points) in enumerate(zip(faces, landmarks, strict=True))
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def triples(points: Floats, thirds: Any) -> Floats:
    """(N, L, 3) x, y and a third number of each landmark."""
    third = np.broadcast_to(np.asarray(thirds, np.float64), points.shape[:2])
    return np.concatenate([points, third[..., None]], axis=-1)


def coco(faces: Sequence[str], keypoints: Floats, boxes: Floats | None = None) -> dict[str, Any]:
    """COCO's annotations of keypoints (N, L, 3); faces of one name are in one picture."""
    names = list(dict.fromkeys(faces))
    return {
        "images": [{"id": 100 + i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [
            {"id": i, "image_id": 100 + names.index(face), "category_id": 1}
            | {"keypoints": keypoints[i].ravel().tolist()}
            | ({} if boxes is None else {"bbox": sides(boxes[i])})
            for i, face in enumerate(faces)
        ],
    }


def sides(box: Floats) -> list[float]:
    """Left, top, width, height of a box that is given by its corners."""
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]
