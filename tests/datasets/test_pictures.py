"""Pictures: what is read of a file, and how a file that is none is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from odnbench.datasets.pictures import read_as_stored, read_picture, write_picture
from odnbench.errors import OdnbenchError


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_transparent_pictures_become_rgb(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((6, 5, channels), 200, np.uint8))
    picture = read_picture(path)
    assert picture.shape == (6, 5, 3)
    assert (picture == 200).all()
    assert read_as_stored(path).ndim == (2 if channels == 1 else 3)


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((2, 2, 3), (10, 20, 30), np.uint8))  # OpenCV: blue first
    assert read_picture(path)[0, 0].tolist() == [30, 20, 10]
    assert read_as_stored(path)[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize("shape", [(7, 5, 3), (7, 5)])
def test_what_is_written_is_read_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_picture(picture, tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(read_as_stored(tmp_path / "new" / "a.png"), picture)


def test_a_name_that_is_no_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"end its name in \.png or \.jpg"):
        write_picture(np.zeros((4, 4, 3), np.uint8), tmp_path / "a.txt")
    with pytest.raises(OdnbenchError, match="a picture of 1 × 70000 pixels"):
        write_picture(np.zeros((70000, 1, 3), np.uint8), tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize("start", [b"\xff\xd8", b"\x89PNG"])
def test_what_only_begins_as_a_picture_is_truncated_and_other_files_are_none(
    tmp_path: Path, start: bytes
) -> None:
    for content, told in ((start, "truncated"), (start[:1] + b"P", "not a picture")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(OdnbenchError, match=told):
            read_picture(tmp_path / "a.png")
