"""Crops, frames and pictures: a landmark stays on its pixel."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from odnbench.datasets.faces import Bytes, Face, Floats, prepare, read_picture
from odnbench.errors import OdnbenchError
from odnbench.registry import Registry
from odnbench.specs import Protocol

PROTOCOL = Registry.load().get(Protocol, "300w-paper")


def dotted(points: Floats, height: int, width: int, radius: int) -> Bytes:
    """Black with a white disc on the first point."""
    picture = np.zeros((height, width, 3), np.uint8)
    x, y = points[0]
    cv2.circle(picture, (round(x), round(y)), radius, (255, 255, 255), -1)
    return picture


def centre_of_light(picture: Bytes) -> Floats:
    light = picture[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()


@pytest.mark.parametrize("size", [32, 80, 128, 400], ids=lambda s: f"{s} px")
@pytest.mark.parametrize("centre", [(200, 150), (60, 250), (340, 60)])
def test_a_landmark_stays_on_its_pixel(size: int, centre: tuple[int, int]) -> None:
    offsets = np.array([[0, 0], [-50, -45], [50, 40], [10, 45]])
    points = np.array(centre, float) + offsets
    radius = max(3, 240 // size)
    face = Face("a", "300w/afw", dotted(points, 300, 400, radius), points)
    faces = prepare("a", [face], PROTOCOL, 1.25, size, rendered=False)
    found = centre_of_light(faces.images[0])
    assert np.linalg.norm(found - faces.points_crop[0, 0]) < 0.15
    np.testing.assert_allclose(faces.to_image(faces.points_crop), faces.points, atol=1e-9)


def test_the_crop_is_a_square_around_the_landmarks_box() -> None:
    points = np.array([[100.0, 100.0], [180.0, 140.0]])
    face = Face("a", "300w/afw", np.zeros((300, 300, 3), np.uint8), points)
    faces = prepare("a", [face], PROTOCOL, 1.0, 104, rendered=False)
    # 80 px · 1.3 = 104 px: one pixel of the crop is one of the image
    np.testing.assert_allclose(faces.crop_to_image[0], [[1, 0, 88.5], [0, 1, 68.5]])


def test_landmarks_without_extent_are_an_error() -> None:
    face = Face("a", "300w/afw", np.zeros((9, 9, 3), np.uint8), np.ones((68, 2)))
    with pytest.raises(OdnbenchError, match="span no area"):
        prepare("a", [face], PROTOCOL, 1.25, 40, rendered=False)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_transparent_pictures_become_rgb(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((6, 5, channels), 200, np.uint8))
    picture = read_picture(path)
    assert picture.shape == (6, 5, 3)
    assert (picture == 200).all()


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((2, 2, 3), (10, 20, 30), np.uint8))  # OpenCV: blue first
    assert read_picture(path)[0, 0].tolist() == [30, 20, 10]


def test_all_unreadable_pictures_are_named_at_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    points = np.random.default_rng(1).uniform(10, 50, (68, 2))
    for name in ("good.jpg", "cut.jpg", "good.png", "cut.png"):
        cv2.imwrite(str(tmp_path / name), noise)
    for name in ("cut.jpg", "cut.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    faulty = ["cut.jpg", "cut.png", "empty.jpg", "text.jpg", "absent.jpg"]
    names = ["good.jpg", "good.png", *faulty]
    faces = [Face(name, "300w/afw", tmp_path / name, points) for name in names]
    with pytest.raises(OdnbenchError) as caught:
        prepare("300w/afw", faces, PROTOCOL, 1.25, 40, rendered=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(faulty)
    for name, line in zip(faulty, lines[1:], strict=True):
        assert str(tmp_path / name) in line


@pytest.mark.parametrize("shape", [(10, 10, 3), (3, 300, 3), (300, 3, 3)])
def test_a_picture_too_small_for_its_landmarks_is_named(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "thumbnail.png"
    cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    points = np.random.default_rng(0).uniform(0, 1000, (68, 2))
    with pytest.raises(OdnbenchError, match=r"thumbnail\.png"):
        prepare("a", [Face("a", "300w/afw", path, points)], PROTOCOL, 1.25, 80, rendered=False)


@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png"])
def test_a_picture_is_refused_wherever_it_was_cut_off(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1] if name == "progressive.jpg" else []
    cv2.imwrite(str(tmp_path / name), noise, options)
    whole = (tmp_path / name).read_bytes()
    for length in range(0, len(whole) - 12, 53):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(OdnbenchError, match=name):
            read_picture(tmp_path / name)


def test_a_subset_keeps_what_belongs_to_each_face_together() -> None:
    rng = np.random.default_rng(0)
    pictures = [np.full((60, 60, 3), 10 * i, np.uint8) for i in range(5)]
    faces = [
        Face(f"{i}", f"part {i}", picture, rng.uniform(20, 40, (68, 2)), rng.random(68) < 0.5)
        for i, picture in enumerate(pictures)
    ]
    whole = prepare("a", faces, PROTOCOL, 1.0, 16, rendered=False)
    chosen = whole[np.array([3, 1])]
    assert chosen.ids == ("3", "1")
    assert chosen.parts == ("part 3", "part 1")
    for row, index in enumerate((3, 1)):
        np.testing.assert_array_equal(chosen.points[row], faces[index].points)
        np.testing.assert_array_equal(chosen.occluded[row], faces[index].occluded)
        assert chosen.images[row, 8, 8, 0] == 10 * index
    np.testing.assert_allclose(chosen.to_image(chosen.points_crop), chosen.points)
    assert chosen.fingerprint != whole.fingerprint
