"""500 files of predictions in all dialects: each is scored to the right number, or refused by name.

The right number is worked out here, from the points that a file was made of.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import REGISTRY, Run, fuzz
from hypothesis import given
from hypothesis import strategies as st

from odnbench.arrays import Floats
from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

# N faces, L landmarks

OUTER_CORNERS = (36, 45)


@dataclass(frozen=True)
class Annotated:
    """The faces of 300w/common in a data set of rendered faces: two folders, the same names."""

    data_root: Path
    names: tuple[str, ...]  # (N,) as helen/testset/image_0000
    points: Floats  # (N, L, 2)


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Annotated:
    data_root = tmp_path_factory.mktemp("data")
    dataset = REGISTRY.get(Dataset, "300w")
    render_layout(dataset, data_root / "300w", count=2, size=48, seed=0)
    archive = open_archive(dataset, data_root / "300w")
    faces = [face for part in ("helen-test", "lfpw-test") for face in archive.faces(part, [])]
    names = tuple(face.id for face in faces)
    return Annotated(data_root, names, np.array([face.points for face in faces]))


def nme_percent(predicted: Floats, true: Floats) -> float:
    distance = np.hypot(*np.moveaxis(predicted - true, -1, 0)).mean(axis=1)
    eyes = true[:, OUTER_CORNERS[1]] - true[:, OUTER_CORNERS[0]]
    return float(100 * np.mean(distance / np.hypot(*eyes.T)))


# How tools name a picture. All but the bare name tell the two folders apart.
NAMINGS: dict[str, Callable[[str], str]] = {
    "id": str,
    "file": lambda face: f"{face}.png",
    "another ending": lambda face: f"{face}.jpg",
    "absolute": lambda face: f"/home/ä b/300W/{face}.png",
    "of Windows": lambda face: str(PureWindowsPath("C:/data/300W", f"{face}.png")),
    "capitals": lambda face: f"{face}.png".upper(),
    "relative": lambda face: f"../300w/{face}.png",
    "bare": lambda face: PurePosixPath(face).name,
}
COLUMNS = ("{axis}{i}", "{axis}_{i}", "original_{i}_{axis}", "landmark_{i}_{axis}", "{axis} {i}")


@dataclass(frozen=True)
class Table:
    """A CSV file as spreadsheets and tools write it."""

    columns: str
    separator: str
    encoding: str
    newline: str
    blanks: bool

    def write(self, path: Path, names: list[str], points: Floats) -> None:
        head = [
            self.columns.format(axis=axis, i=i) for i in range(points.shape[1]) for axis in "xy"
        ]
        rows = [["face", *head]]
        rows += [[name, *map(repr, row.ravel().tolist())] for name, row in zip(names, points, strict=True)]  # fmt: skip  # noqa: E501
        if self.separator == ";":
            rows[1:] = [[row[0], *(cell.replace(".", ",") for cell in row[1:])] for row in rows[1:]]
        joined = self.separator + (" " if self.blanks else "")
        path.write_bytes("".join(joined.join(r) + self.newline for r in rows).encode(self.encoding))


@dataclass(frozen=True)
class Json:
    """JSON of SPIGA or of COCO."""

    form: str
    encoding: str

    def write(self, path: Path, names: list[str], points: Floats) -> None:
        content: Any
        if self.form == "spiga":
            content = [
                {"imgpath": name, "landmarks": rows}
                for name, rows in zip(names, points.tolist(), strict=True)
            ]
        else:
            seen = np.full((*points.shape[:2], 1), 2.0)
            triples = np.concatenate([points, seen], axis=2).reshape(len(points), -1)
            content = {
                "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
                "annotations": [
                    {"id": 100 + i, "image_id": i, "category_id": 1, "keypoints": row}
                    for i, row in enumerate(triples.tolist())
                ],
            }
        path.write_bytes(json.dumps(content).encode(self.encoding))


@dataclass(frozen=True)
class Parquet:
    """The format of this project."""

    def write(self, path: Path, names: list[str], points: Floats) -> None:
        rows = points.reshape(len(points), -1).tolist()
        pd.DataFrame({"face": names, "predicted": rows}).to_parquet(path)


ENCODINGS = st.sampled_from(("utf-8", "utf-8-sig", "utf-16"))
DIALECTS = st.one_of(
    st.builds(
        Table,
        st.sampled_from(COLUMNS),
        st.sampled_from((",", ";", "\t")),
        ENCODINGS,
        st.sampled_from(("\n", "\r\n")),
        st.booleans(),
    ),
    st.builds(Json, st.sampled_from(("spiga", "coco")), ENCODINGS),
    st.builds(Parquet),
)
SUFFIXES = {Table: ".csv", Json: ".json", Parquet: ".parquet"}
STEMS = st.sampled_from(("pred", "pred [lr=0.1]", "d1[/b]", "né", "[red]x", "a\\[b]", "*a*|_b_"))
FAULTS = st.sampled_from(("", "", "", "missing", "twice", "nan", "infinite"))


@given(
    dialect=DIALECTS,
    naming=st.sampled_from(sorted(NAMINGS)),
    fault=FAULTS,
    stem=STEMS,
    partial=st.booleans(),
    seed=st.integers(0, 99),
)
@fuzz(max_examples=500)
def test_a_file_is_scored_right_or_refused_by_name(
    dialect: Table | Json | Parquet,
    naming: str,
    fault: str,
    stem: str,
    partial: bool,
    seed: int,
    annotated: Annotated,
    odnbench: Run,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(seed)
    predicted = annotated.points + rng.normal(0, 2, annotated.points.shape)
    rows, bad = list(rng.permutation(len(predicted))), int(rng.integers(len(predicted)))
    if fault == "missing":
        rows.remove(bad)
    elif fault == "twice":
        rows.append(bad)
    elif fault:
        predicted[bad, 5] = np.nan if fault == "nan" else np.inf
    names = [NAMINGS[naming](annotated.names[row]) for row in rows]
    path = tmp_path / f"{stem.replace('/', '-')}{SUFFIXES[type(dialect)]}"
    dialect.write(path, names, predicted[rows])
    arguments = ["--dataset", "300w/common", "--data-root", str(annotated.data_root), "--json"]
    done = odnbench("score", path.name, *arguments, *(["--allow-partial"] if partial else []))
    path.unlink()
    if naming == "bare" or (fault and not partial):
        assert done.returncode == 2, done.stdout
        assert path.name in done.stderr and "Traceback" not in done.stderr
        if naming != "bare":
            assert PurePosixPath(annotated.names[bad]).name.lower() in done.stderr.lower()
        return
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    left = [row for row in range(len(predicted)) if not (fault and row == bad)]
    assert record["faces"] == len(left)
    true = annotated.points[left]
    assert record["nme_percent"] == pytest.approx(nme_percent(predicted[left], true), rel=1e-9)
