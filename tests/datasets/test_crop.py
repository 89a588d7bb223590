"""Box rules and crops: a landmark stays on its pixel."""

import cv2
import numpy as np
import pytest

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.crop import Window, window_of
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

RULES = Registry.load().all(BoxRule)
SPREAD = np.array([[0, 0], [-50, -45], [50, 40], [10, 45]], float)


def face(points: Floats, box: Floats | None = None, detector_box: Floats | None = None) -> Face:
    return Face("a", "300w/afw", None, points, box=box, detector_box=detector_box)


def with_disc(centre: tuple[int, int], radius: int) -> Bytes:
    picture = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(picture, centre, radius, (255, 255, 255), -1)
    return picture


def blank(size: int) -> Bytes:
    return np.full((size, size, 3), 77, np.uint8)


def centre_of_light(picture: Bytes) -> Floats:
    light = picture[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [32, 80, 128, 400], ids=lambda s: f"{s} px")
@pytest.mark.parametrize("centre", [(200, 150), (60, 250), (340, 60)])
def test_a_landmark_stays_on_its_pixel(rule: str, size: int, centre: tuple[int, int]) -> None:
    points = np.array(centre) + SPREAD
    box = np.concatenate([points.min(axis=0) - 7.3, points.max(axis=0) + 11.8])
    window = window_of(face(points, box, box + 3), RULES[rule], 1.25)
    cropped = window.cut(with_disc(centre, max(3, 240 // size)), blank(size))
    A, t = window.crop_to_image(size)[:, :2], window.crop_to_image(size)[:, 2]
    assert np.linalg.norm(A @ centre_of_light(cropped) + t - centre) < 0.15 * A.max()


def test_a_square_takes_the_longer_side_and_stretching_takes_both() -> None:
    points = np.array([[100.0, 100.0], [180.0, 140.0]])  # 80 × 40 px around (140, 120)
    square = BoxRule("a", "", "landmarks", "square", 1.3)
    assert window_of(face(points), square, 1.0) == Window(89, 69, 104, 104)
    stretched = BoxRule("a", "", "landmarks", "stretched", 1.3)
    assert window_of(face(points), stretched, 1.0) == Window(89, 95, 104, 52)


def test_the_crop_is_centred_on_the_box_to_half_a_pixel() -> None:
    rng = np.random.default_rng(0)
    for points in rng.uniform(0, 500, (100, 68, 2)):
        window = window_of(face(points), RULES["landmarks"], 1.25)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        centre = np.array([window.left, window.top]) + (window.width - 1) / 2
        assert np.abs(centre - middle).max() <= 0.5


@pytest.mark.parametrize("source", ["annotated", "detector"])
def test_a_rule_takes_the_box_that_it_names(source: str) -> None:
    boxes = {"box": np.array([0.0, 0, 10, 10]), "detector_box": np.array([50.0, 50, 60, 60])}
    window = window_of(face(SPREAD, **boxes), BoxRule("a", "", source, "square", 1.0), 1.0)  # type: ignore[arg-type]
    assert window.left == (1 if source == "annotated" else 51)


def test_a_face_without_the_box_that_the_rule_needs_is_named() -> None:
    with pytest.raises(OdnbenchError, match=r"300w/afw, a: it has no detector box.*'detector'"):
        window_of(face(SPREAD), RULES["detector"], 1.0)


@pytest.mark.parametrize(
    "points", [np.ones((68, 2)), np.array([[0, 0], [1e9, 1e9]]), np.array([[0, 0], [np.inf, 1]])]
)
def test_landmarks_that_span_no_usable_area_are_an_error(points: Floats) -> None:
    with pytest.raises(OdnbenchError, match="spans no usable area"):
        window_of(face(points), RULES["landmarks"], 1.0)


def test_outside_of_the_picture_is_black() -> None:
    picture = np.full((20, 20, 3), 200, np.uint8)
    cropped = Window(-10, 5, 20, 20).cut(picture, blank(20))
    assert (cropped[:15, 10:] == 200).all()
    assert (cropped[:, :10] == 0).all()
    assert (cropped[15:] == 0).all()
    assert (Window(50, 50, 10, 10).cut(picture, blank(8)) == 0).all()
    grey = Window(5, 5, 8, 8).cut(picture[..., 0], np.empty((8, 8), np.uint8))
    assert (grey == 200).all()


def test_shrinking_averages_over_all_pixels() -> None:
    board = np.indices((120, 120)).sum(axis=0) % 2 * 255  # a chess board of single pixels
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    shrunk = Window(0, 0, 120, 120).cut(picture, blank(30))
    assert np.abs(shrunk.astype(int) - 128).max() <= 1
