"""JSON: a record for each face, as SPIGA writes them, or COCO (coco.py).

A record is {"imgpath": …, "landmarks": [[x, y], …]}, and may have "visible" (1 = visible) and
"bbox" (left, top, width, height). Other names that tools use for the same are read as well.
Pixels are counted from 0.
"""

import json
from collections.abc import Mapping
from typing import Any

from odnbench.errors import OdnbenchError, one_line, some
from odnbench.scoring.formats.coco import read_coco, read_coco_results
from odnbench.scoring.formats.content import Content, box_of

EXPECTED = (
    'a list of {"imgpath": …, "landmarks": [[x, y], …]}, COCO\'s {"images": …, "annotations": …}, '
    'or COCO results, a list of {"image_id": …, "keypoints": […]}'
)
_NAMES = ("imgpath", "face", "image_path", "img_path", "file_name", "filename", "image", "img")
_LANDMARKS = ("landmarks", "keypoints", "points", "predicted", "pred")


def read_records(text: str) -> Content:
    """What the JSON text holds. Raises OdnbenchError for anything that is not EXPECTED."""
    try:
        held = json.loads(text)
    except RecursionError as error:
        raise OdnbenchError(f"it is nested too deeply; expected {EXPECTED}") from error
    except ValueError as error:
        raise OdnbenchError(f"cannot be read as JSON: {error}") from error
    if isinstance(held, Mapping):
        if {"images", "annotations"} <= held.keys():
            return read_coco(held)
        found = f"an object with {some(list(held))}" if held else "an empty object"
        raise OdnbenchError(f"expected {EXPECTED}; found {found}")
    if not isinstance(held, list):
        raise OdnbenchError(f"expected {EXPECTED}; found {one_line(json.dumps(held))[:60]}")
    for index, record in enumerate(held):
        if not isinstance(record, Mapping):
            found = one_line(json.dumps(record))[:60]
            raise OdnbenchError(f"record {index + 1}: expected {EXPECTED}; found {found}")
    if held and {"image_id", "keypoints"} <= held[0].keys():
        return read_coco_results(held)
    return _read_records(held)


def _read_records(records: list[Mapping[str, Any]]) -> Content:
    if not records:
        return Content([], [])
    name = next((key for key in _NAMES if key in records[0]), None)
    landmarks = next((key for key in _LANDMARKS if key in records[0]), None)
    if name is None or landmarks is None:
        found = some(list(records[0])) or "nothing"
        raise OdnbenchError(f"record 1: expected {EXPECTED}; found {found}")
    for index, record in enumerate(records):
        if not isinstance(record.get(name), str | int):
            raise OdnbenchError(f"record {index + 1} has no '{name}' that names its picture")
    visible = [record.get("visible") for record in records]
    boxes = [record.get("bbox") for record in records]
    flags = None if None in visible else [_hidden(row) for row in visible]
    used = [("imgpath", name), ("landmarks", landmarks)]
    notes = [f"'{key}' read as '{usual}'" for usual, key in used if key != usual]
    return Content(
        [str(record[name]) for record in records],
        [record.get(landmarks) for record in records],
        flags,
        [_box(box) for box in boxes] if any(boxes) else None,
        notes=notes,
    )


def _hidden(visible: Any) -> list[bool]:
    try:
        return [float(state) < 0.5 for state in visible]
    except (TypeError, ValueError) as error:
        raise OdnbenchError(
            f"'visible' must hold a number for each landmark, got {one_line(visible)[:60]}"
        ) from error


def _box(box: Any) -> tuple[float, float, float, float] | None:
    try:
        return None if box is None else box_of(*map(float, box))
    except (TypeError, ValueError) as error:
        raise OdnbenchError(
            f"'bbox' must be left, top, width, height, got {one_line(box)[:60]}"
        ) from error
