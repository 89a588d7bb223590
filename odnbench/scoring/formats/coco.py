"""COCO's key points: annotations, and the results of detectors (cocodataset.org, "Data format").

An annotation is one face of a picture: keypoints x0, y0, v0, x1, … and bbox (left, top, width,
height). v is 2 for a visible point, 1 for an occluded one, and 0 for one that is not annotated,
with x = y = 0. In results the third number is a confidence, which is not used. Pixels are counted
from 0.
"""

from collections.abc import Mapping
from typing import Any

from odnbench.errors import OdnbenchError, one_line
from odnbench.scoring.formats.content import Content, box_of

_FROM_0 = "pixels counted from 0"


def read_coco(held: Mapping[str, Any]) -> Content:
    """Annotations, each with the name of its picture. Raises OdnbenchError for another form."""
    pictures: dict[str, str] = {}
    for number, image in enumerate(_list(held, "images"), start=1):
        if not isinstance(image, Mapping) or not {"id", "file_name"} <= image.keys():
            raise OdnbenchError(f"images: entry {number} has no id and file_name")
        pictures[str(image["id"])] = str(image["file_name"])
    faces, landmarks, boxes = [], [], []
    for number, annotation in enumerate(_list(held, "annotations"), start=1):
        where = f"annotations: entry {number}"
        if not isinstance(annotation, Mapping) or "image_id" not in annotation:
            raise OdnbenchError(f"{where} has no image_id")
        if "keypoints" not in annotation:
            raise OdnbenchError(f"{where} has no keypoints; annotations of boxes cannot be scored")
        if (picture := pictures.get(str(annotation["image_id"]))) is None:
            raise OdnbenchError(f"{where}: no image has the id {one_line(annotation['image_id'])}")
        faces.append(picture)
        landmarks.append(annotation["keypoints"])
        boxes.append(_box(annotation, where))
    note = f"read as annotations of COCO, {_FROM_0}"
    return Content(faces, landmarks, None, boxes, is_coco=True, pictures=pictures, notes=[note])


def read_coco_results(records: list[Mapping[str, Any]]) -> Content:
    """Results. Their faces are numbers of pictures, unless the file gives names in their place."""
    faces, landmarks, boxes = [], [], []
    for number, record in enumerate(records, start=1):
        where = f"entry {number}"
        if not {"image_id", "keypoints"} <= record.keys():
            raise OdnbenchError(f"{where} has no image_id and keypoints")
        faces.append(str(record["image_id"]))
        landmarks.append(record["keypoints"])
        boxes.append(_box(record, where))
    numbered = all(isinstance(record["image_id"], int) for record in records)
    note = f"read as results of COCO, {_FROM_0}"
    return Content(faces, landmarks, None, boxes, is_coco=True, numbered=numbered, notes=[note])


def _list(held: Mapping[str, Any], key: str) -> list[Any]:
    found = held[key]
    if not isinstance(found, list):
        raise OdnbenchError(f"'{key}' of COCO must be a list")
    return found


def _box(record: Mapping[str, Any], where: str) -> tuple[float, float, float, float] | None:
    box = record.get("bbox")
    try:
        return None if box is None else box_of(*map(float, box))
    except (TypeError, ValueError) as error:
        raise OdnbenchError(
            f"{where}: bbox must be left, top, width, height, got {one_line(box)[:60]}"
        ) from error
