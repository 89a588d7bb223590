"""Files of boxes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from odnbench.arrays import Floats
from odnbench.datasets.boxes import AnnotatedBoxes, GivenBoxes
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

PICTURE = np.zeros((9, 9, 3), np.uint8)


def boxes_in(
    path: Path, registry: Registry, frame: int | None = None, name: str = "a.png"
) -> list[Floats]:
    """The boxes of a picture by the file `path`."""
    image = path.parent / name
    given = GivenBoxes(path, registry.get(BoxRule, "landmarks"), [image])
    return [one.face.points.ravel() for one in given.of(image, frame, PICTURE)]


def write(path: Path, header: str, *rows: Sequence[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        ("file,x,y,width,height", (1, 2, 3, 4)),
        ("file,x0,y0,x1,y1", (1, 2, 4, 6)),
        ("file,left,top,right,bottom", (1, 2, 4, 6)),
        # As predictions.csv has it: the points of the face are not its box.
        ("file,left,top,right,bottom,x0,y0,x1,y1,x2,y2", (1, 2, 4, 6, 2, 3, 3, 4, 1, 1)),
    ],
)
def test_a_box_by_any_of_its_names(
    tmp_path: Path, registry: Registry, header: str, numbers: tuple[float, ...]
) -> None:
    (found,) = boxes_in(write(tmp_path / "b.csv", header, ["a.png", *numbers]), registry)
    np.testing.assert_array_equal(found, [1, 2, 4, 6])


def test_a_link_that_leads_round_in_a_circle_has_no_annotated_face(
    tmp_path: Path, registry: Registry
) -> None:
    render_layout(registry.get(Dataset, "300w"), tmp_path / "300w", 1, 96, seed=0)
    boxes = AnnotatedBoxes("300w", registry, tmp_path)
    (tmp_path / "round.png").symlink_to("round.png")
    assert not boxes.annotated(tmp_path / "round.png")
    (picture,) = (tmp_path / "300w" / "ibug").glob("*.png")
    (tmp_path / "link.png").symlink_to(picture)
    assert len(boxes.annotated(tmp_path / "link.png")) == 1


def test_a_row_without_box_is_no_face(tmp_path: Path, registry: Registry) -> None:
    rows = [["a.png", 0, 1, 2, 4, 6], ["a.png", "1.0", *[""] * 4], ["a.png", "2.0", 1, 2, 3, 3]]
    path = write(tmp_path / "b.csv", "file,frame,left,top,right,bottom", *rows)
    assert [len(boxes_in(path, registry, frame)) for frame in range(3)] == [1, 0, 1]


def test_a_picture_with_an_empty_box_gets_no_box_of_another(
    tmp_path: Path, registry: Registry
) -> None:
    rows = [{"file": "a.png", "x": 1, "y": 2, "width": 3, "height": 4}]
    rows += [{"file": "p/a.png"} | dict.fromkeys(("x", "y", "width", "height"))]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    assert len(boxes_in(tmp_path / "b.json", registry, name="q/a.png")) == 1
    assert not boxes_in(tmp_path / "b.json", registry, name="q/p/a.png")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"x0": 1, "y0": 2, "x1": 4, "y1": 6, "x2": 5, "y2": 5}, "has points x0, y0 to x2, y2"),
        ({"x": 1, "y": 2, "width": 4, "height": 10**400}, "where a number belongs"),
        ({"x": 1, "y": 2, "width": 4, "height": float("inf")}, "a box without area"),
        ({"x": 1, "y": 2, "width": 4, "height": 6, "frame": 1.7}, "where a number belongs"),
        ({"x": 1, "y": 2, "width": 4, "height": 6, "frame": 10**400}, "where a number belongs"),
        ({"x": 1, "y": 2, "width": 4, "height": 6, "frame": float("inf")}, "where a number"),
        ({"x": 1, "y": 2, "width": None, "height": 6}, "where a number belongs"),
    ],
)
def test_what_is_no_box_is_told(
    tmp_path: Path, registry: Registry, record: dict[str, object], told: str
) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps([{"file": "a.png", **record}]))
    with pytest.raises(OdnbenchError, match=told):
        boxes_in(path, registry)
