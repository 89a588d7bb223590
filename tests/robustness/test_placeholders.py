"""Points that stand for hidden ones in a data set without flags: the doctor names their faces, and
does not take them for another fault.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY, Run

from odnbench.arrays import Floats
from odnbench.datasets.archives.pts import read_pts, write_pts
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

FACES = 8  # of each part
JAW = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in ("300w", "wflw"):
        render_layout(REGISTRY.get(Dataset, name), root / name, FACES, 64, 3)
    return root


@pytest.fixture
def data(rendered: Path, tmp_path: Path) -> Path:
    shutil.copytree(rendered, tmp_path / "data")
    return tmp_path / "data"


def doctor(odnbench: Run, root: Path, name: str) -> tuple[int, str]:
    done = odnbench("data", "doctor", name, "--data-root", str(root))
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout


def all_at(x: float, y: float) -> Callable[[Floats], None]:
    def change(points: Floats) -> None:
        points[JAW] = x, y

    return change


def at_the_first(points: Floats) -> None:
    points[JAW] = points[0]


def two_at_one_place(points: Floats) -> None:
    points[3] = points[40]  # of the jaw and of an eye


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (all_at(-2, -2), "points 0, 1, 2, 3"),  # -1 -1 in the file, which counts from 1
        (all_at(-1, -1), "points 0, 1, 2, 3"),
        (at_the_first, "points 0, 1, 2, 3"),
        (two_at_one_place, "points 3, 40"),
    ],
    ids=["-1 -1", "0 0", "at the first point", "two at one place"],
)
@pytest.mark.parametrize("count", [1, FACES])
def test_faces_with_hidden_points_in_300w_are_named(
    odnbench: Run, data: Path, change: Callable[[Floats], None], named: str, count: int
) -> None:
    parts = ["ibug"] if count == 1 else ["afw", "ibug", "helen/trainset", "helen/testset"]
    for part in parts + (["lfpw/trainset", "lfpw/testset"] if count > 1 else []):
        for path in sorted((data / "300w" / part).glob("*.pts"))[:count]:
            points = read_pts(path, 68)
            change(points)
            write_pts(path, points)
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    assert f"note  points not annotated: ibug: {count} face" in told
    assert f"ibug/image_0000: {named}" in told
    assert "flip table" not in told and "points outside" not in told and "box ratio" not in told


@pytest.mark.parametrize("value", ["0 0", "-1 -1", "0.000000 0.000000"])
def test_faces_with_hidden_points_in_wflw_are_named(odnbench: Run, data: Path, value: str) -> None:
    folder = data / "wflw/WFLW_annotations/list_98pt_rect_attr_train_test"
    for path in folder.iterdir():
        lines = [line.split() for line in path.read_text().splitlines()]
        for words in lines:
            words[:20] = value.split() * 10
        path.write_text("\n".join(map(" ".join, lines)))
    status, told = doctor(odnbench, data, "wflw")
    assert status == 0, told
    assert f"note  points not annotated: test: {FACES} faces with points at 0 0" in told
    assert "0--Rendered/test_00000.png" in told and "… and 3 more" in told
    assert "flip table" not in told


@pytest.mark.parametrize("value", [0.0, -1.0, -2.0, 31.5])
def test_a_face_without_any_point_is_a_faulty_annotation(
    odnbench: Run, data: Path, value: float
) -> None:
    write_pts(data / "300w/ibug/image_0000.pts", np.full((68, 2), value))
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "FAULT faulty annotations: ibug: 1 cannot be used" in told
    assert "ibug/image_0000: none of its points was annotated" in told
    assert f"ibug {FACES - 1} of {FACES}" in told
    assert "flip table" not in told and "unreadable pictures" not in told
    done = odnbench("data", "prepare", "300w/ibug", "--data-root", str(data))
    assert done.returncode == 2
    assert "ibug/image_0000" in done.stderr


def test_closed_lips_and_eyes_are_no_hidden_points(odnbench: Run, data: Path) -> None:
    for path in (data / "300w/ibug").glob("*.pts"):
        points = read_pts(path, 68)
        for above, below in ((61, 67), (62, 66), (63, 65), (37, 41), (43, 47)):
            points[below] = points[above]
        write_pts(path, points)
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    assert "points not annotated" not in told


def test_a_flip_table_of_another_order_is_told_all_the_same(odnbench: Run, data: Path) -> None:
    for path in (data / "300w").rglob("*.pts"):
        write_pts(path, read_pts(path, 68)[::-1])
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "FAULT flip table" in told
