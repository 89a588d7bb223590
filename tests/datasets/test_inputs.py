"""What a user points at, and what bears the name of a picture."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from odnbench.datasets.boxes import WholePicture
from odnbench.datasets.inputs import Source, look_at, open_video, sources_of
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

LATIN = os.fsdecode(b"gr\xfcn")  # a name that is not UTF-8, as older archives have


@pytest.fixture
def boxes(registry: Registry) -> WholePicture:
    return WholePicture(registry.get(BoxRule, "landmarks"))


def picture(path: Path) -> Source:
    return Source(path.name, path, "picture")


def test_each_source_has_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p/a.mp4", "q/a.mp4", "q/p/a.mp4", "b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert [source.name for source in sources_of(["q", "b.png"])] == ["a.mp4", "p/a.mp4", "b.png"]
    names = ["p/a.mp4", "q/a.mp4", "q/p/a.mp4", "b.png"]
    assert [source.name for source in sources_of(["p", "q", "b.png", "p/a.mp4"])] == names


def test_inputs_that_name_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").touch()
    with pytest.raises(OdnbenchError, match="an input is empty"):
        sources_of([""])
    with pytest.raises(OdnbenchError, match="home folder"):
        sources_of(["~nobody-of-that-name/a.png"])


def test_a_folder_gives_what_is_below_links_too_and_each_folder_once(tmp_path: Path) -> None:
    for name in ("disk/a.png", "own/b.png", "top/sub/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    top = tmp_path / "top"
    (top / "2024").symlink_to(tmp_path / "disk")
    (top / "again").symlink_to(top / "sub")  # which is below it anyway
    (tmp_path / "disk" / "back").symlink_to(top)  # round in a circle
    (top / "gone").symlink_to(tmp_path / "nothing")
    assert [source.name for source in sources_of([str(top)])] == ["2024/a.png", "sub/c.png"]


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, boxes: WholePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    scandir = os.scandir

    def refusing(path: str) -> Any:  # root may list every folder
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listed, other = sources_of([str(tmp_path)])
    assert (listed.name, other.name) == ("a", "c.png")
    assert look_at(listed, boxes).error == "Permission denied"
    with pytest.raises(OdnbenchError, match="/a: Permission denied"):
        sources_of([str(tmp_path / "a")])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".tif"])
def test_a_picture_whose_name_is_not_utf8_is_read(
    tmp_path: Path, boxes: WholePicture, suffix: str
) -> None:
    path = tmp_path / (LATIN + suffix)
    with path.open("wb") as file:
        Image.fromarray(np.full((40, 50, 3), 99, np.uint8)).save(
            file, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:])
        )
    look = look_at(picture(path), boxes)
    assert look.picture is not None, look.error
    assert look.picture.shape == (40, 50, 3) and len(look.faces) == 1


def test_a_video_whose_name_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / f"{LATIN}.avi"
    path.touch()
    with pytest.raises(OdnbenchError, match="not UTF-8"):
        open_video(Source(path.name, path, "video"))


def test_a_pipe_is_told_and_never_waited_for(tmp_path: Path, boxes: WholePicture) -> None:
    for name in ("a.jpg", "a.mp4"):
        os.mkfifo(tmp_path / name)
    assert look_at(picture(tmp_path / "a.jpg"), boxes).error.startswith("it is a named pipe")
    with pytest.raises(OdnbenchError, match="it is a named pipe"):
        open_video(Source("a.mp4", tmp_path / "a.mp4", "video"))


def moved_behind(data: bytes, format: str) -> bytes:
    """The file with its EXIF data far from its first byte, as they are in WebP."""
    if format == "TIFF":  # a copy of the table of notes at the end, where the first bytes point to
        table = data[int.from_bytes(data[4:8], "little") :]
        place = len(data) + len(data) % 2
        return data[:4] + place.to_bytes(4, "little") + data[8:].ljust(place - 8) + table
    if format == "PNG":
        start, behind = data.index(b"eXIf") - 4, data.index(b"IEND") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        return data[:start] + data[end:behind] + data[start:end] + data[behind:]
    if format == "JPEG":
        filling = b"\xff\xe2\xff\xff" + b"\xff\xda" * 32766 + b"\0"  # which holds no marker
        return data[:2] + 4 * filling + data[2:]
    assert data.index(b"EXIF") > 250_000
    return data


@pytest.mark.parametrize(
    ("format", "far"),
    [(format, far) for format in ("TIFF", "PNG", "JPEG", "WEBP") for far in (False, True)],
)
def test_the_turn_that_a_file_notes_is_told(
    tmp_path: Path, boxes: WholePicture, format: str, far: bool
) -> None:
    """far: the note stands behind the pixels, or in JPEG behind other notes, of some 250 KB."""
    side = 300 if far else 60
    noise = np.random.default_rng(0).integers(0, 256, (side, side + 20, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / f"a.{format.lower()}"
    Image.fromarray(noise).save(path, format, exif=exif, lossless=True)
    if far:
        path.write_bytes(moved_behind(path.read_bytes(), format))
    look = look_at(picture(path), boxes)
    assert look.picture is not None and look.orientation == 6
    assert look.picture.shape == (side + 20, side, 3)


def test_a_picture_of_too_many_pixels_is_told(tmp_path: Path, boxes: WholePicture) -> None:
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.zeros((9000, 8000), np.uint8))
    error = look_at(picture(path), boxes).error
    assert "of at most 67108864 pixels" in error
    assert "OPENCV_IO_MAX_IMAGE_PIXELS" in error
