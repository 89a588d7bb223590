"""Picture files as cameras, browsers and converters leave them: read right, or named."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import REGISTRY, Run

from odnbench.arrays import Bytes
from odnbench.datasets.archives.pts import read_pts, write_pts
from odnbench.datasets.pictures import read_as_stored, read_picture
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

FACES = 10  # of each part
# Orientation → what turns the shown picture into the stored one.
STORED: dict[int, Callable[[Bytes], Bytes]] = {
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: np.rot90(shown, 2),
    4: lambda shown: shown[::-1],
    5: lambda shown: np.rot90(shown[:, ::-1]),
    6: lambda shown: np.rot90(shown),
    7: lambda shown: np.rot90(shown[:, ::-1], -1),
    8: lambda shown: np.rot90(shown, -1),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    render_layout(REGISTRY.get(Dataset, "300w"), root / "300w", FACES, 96, 3)
    return root


@pytest.fixture
def ibug(rendered: Path, tmp_path: Path) -> Path:
    """A folder with the faces of IBUG, in a 300W of which nothing else is missing."""
    shutil.copytree(rendered / "300w", tmp_path / "data/300w")
    return tmp_path / "data/300w/ibug"


def doctor(odnbench: Run, ibug: Path) -> tuple[int, str]:
    done = odnbench("data", "doctor", "300w", "--data-root", str(ibug.parent))
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def prepare(odnbench: Run, ibug: Path) -> tuple[int, str]:
    done = odnbench(
        "data", "prepare", "300w/ibug", "--data-root", str(ibug.parent), "--input-size", "32"
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def encoded(picture: Bytes, suffix: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(suffix, np.ascontiguousarray(picture), options)[1].tobytes()


def pictures_of(ibug: Path) -> dict[Path, Bytes]:
    """The annotation of each face → its picture (H, W, 3) BGR, which is removed."""
    found = {}
    for path in sorted(ibug.glob("*.png")):
        picture = cv2.imread(str(path))
        assert picture is not None
        found[path.with_suffix(".pts")] = picture
        path.unlink()
    return found


# Orientation


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    tags = struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0II*\0" + tags + thumbnail
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def turned(picture: Bytes, orientation: int, suffix: str = ".jpg") -> bytes:
    """A file that a viewer shows as `picture`, stored as a camera in that orientation does."""
    return with_exif(encoded(STORED[orientation](picture)), orientation)


@pytest.mark.parametrize("orientation", [6, 8, 5])
def test_points_on_the_shown_picture_are_read_there_where_they_fit_only_there(
    odnbench: Run, ibug: Path, orientation: int
) -> None:
    whole = {}
    (ibug.parent / "Bounding Boxes/bounding_boxes_ibug.mat").unlink()  # the faces are moved
    for path, picture in pictures_of(ibug).items():
        wide = np.hstack([np.zeros_like(picture), picture])  # the face is in the right half
        write_pts(path, read_pts(path, 68) + np.array([picture.shape[1], 0]))
        path.with_suffix(".jpg").write_bytes(turned(wide, orientation))
        whole[path] = wide
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert f"note  turned pictures: ibug: {FACES} faces on pictures that are stored turned" in told
    assert "read as shown, where alone the points fit" in told
    assert f"ibug/image_0000: orientation {orientation}" in told
    for path, wide in whole.items():
        picture = read_picture(path.with_suffix(".jpg"), read_pts(path, 68))
        assert picture.shape == wide.shape
        assert np.abs(picture[..., ::-1].astype(int) - wide).mean() < 5
    assert prepare(odnbench, ibug)[0] == 0


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_points_on_the_shown_picture_that_fit_both_ways_are_told(
    odnbench: Run, ibug: Path, orientation: int
) -> None:
    easy = ibug.parent / "helen/testset"
    for folder in (ibug, easy):
        for path, picture in pictures_of(folder).items():
            path.with_suffix(".jpg").write_bytes(turned(picture, orientation))
    status, told = doctor(odnbench, ibug)
    assert status == 1
    assert f"FAULT turned pictures: helen-test: {FACES} faces on pictures that are stored" in told
    assert "read as stored, and the points were made on the shown ones" in told
    assert f"helen/testset/image_0000: orientation {orientation}" in told
    # Of faces in the wild it cannot be told in which frame they are more like a face.
    assert f"note  turned pictures: ibug: {FACES} faces on pictures that are stored turned" in told
    assert "read as stored, and the points fit both ways" in told
    assert "if the points were made on the shown pictures: save these pictures turned" in told
    assert f"ibug/image_0000: orientation {orientation}" in told
    assert "… and 5 more" in told


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_points_on_the_stored_picture_are_read_there(
    odnbench: Run, ibug: Path, orientation: int
) -> None:
    easy = ibug.parent / "helen/testset"
    before = {path.stem: read_picture(path) for path in easy.glob("*.png")}
    for path, picture in pictures_of(easy).items():
        path.with_suffix(".jpg").write_bytes(with_exif(encoded(picture), orientation))
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert f"note  turned pictures: helen-test: {FACES} faces" in told
    assert "read as stored, and the points fit both ways" in told
    for path in easy.glob("*.jpg"):
        picture = read_picture(path, read_pts(path.with_suffix(".pts"), 68))
        assert np.abs(picture.astype(int) - before[path.stem]).mean() < 10


def test_few_turned_pictures_are_noted(odnbench: Run, ibug: Path) -> None:
    path = ibug / "image_0003.png"
    picture = cv2.imread(str(path))
    assert picture is not None
    path.with_suffix(".jpg").write_bytes(turned(picture, 6))  # type: ignore[arg-type]
    path.unlink()
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert "note  turned pictures: ibug: 1 face on pictures that are stored turned" in told
    assert "ibug/image_0003: orientation 6" in told


# Formats and names


def test_two_pictures_beside_one_annotation_are_named(odnbench: Run, ibug: Path) -> None:
    for other in ("image_0000.jpg", "image_0001.bmp"):
        shutil.copy((ibug / other).with_suffix(".png"), ibug / other)
    status, told = doctor(odnbench, ibug)
    assert status == 1
    assert f"ibug {FACES - 2} of {FACES}" in told
    for text in (told, prepare(odnbench, ibug)[1]):
        assert "image_0000.pts: image_0000.jpg and image_0000.png stand beside it: keep" in text
        assert "image_0001.pts: image_0001.bmp and image_0001.png stand beside it: keep" in text


def test_every_format_that_opencv_reads_is_read(odnbench: Run, ibug: Path) -> None:
    before = {path.stem: read_picture(path) for path in ibug.glob("*.png")}
    suffixes = (".bmp", ".webp", ".gif", ".tif", ".tiff", ".jp2", ".jfif", ".jpe", ".JPEG", ".WebP")
    files = []
    for suffix, (path, picture) in zip(suffixes, pictures_of(ibug).items(), strict=True):
        kind = ".jpg" if suffix in (".jfif", ".jpe", ".JPEG") else suffix.lower()
        files.append(path.with_suffix(suffix))
        files[-1].write_bytes(encoded(picture, kind))
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert f"ibug {FACES} of {FACES}" in told
    assert prepare(odnbench, ibug)[0] == 0
    for path in files:
        assert np.abs(read_picture(path).astype(int) - before[path.stem]).mean() < 20, path


def test_formats_that_are_not_read_are_named(odnbench: Run, ibug: Path) -> None:
    files = [ibug / f"image_000{i}{kind}" for i, kind in enumerate((".heic", ".tga", ".avif"))]
    for path in files:
        path.with_suffix(".png").unlink()
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    status, told = doctor(odnbench, ibug)
    assert status == 1
    assert f"ibug {FACES - 3} of {FACES}" in told
    for text in (told, prepare(odnbench, ibug)[1]):
        for path in files:
            assert f"{path}: not a picture that OpenCV can read; save it as .png or .jpg" in text


@pytest.mark.parametrize("left", ["annotations", "pictures", "nothing"])
def test_preparing_no_face_at_all_is_a_mistake(odnbench: Run, ibug: Path, left: str) -> None:
    if left != "pictures":
        for path in ibug.glob("*.png"):
            path.unlink()
    if left != "annotations":
        for path in ibug.glob("*.pts"):
            path.unlink()
    status, told = prepare(odnbench, ibug)
    assert status == 2
    assert "300w/ibug: no face with picture and annotation was found" in told
    assert "`odnbench data doctor 300w` says what is missing" in told
    done = odnbench(
        "data", "prepare", "300w", "--data-root", str(ibug.parent), "--input-size", "32"
    )
    assert done.returncode == 0, done.stderr  # the other parts are there
    assert "300w/afw rendered, 10 faces" in done.stdout and "ibug" not in done.stdout


# Bytes behind the image, and damage in it

SECOND = encoded(np.full((40, 40, 3), 90, np.uint8))


TRAILERS = (b"\xff\xda of a camera", b"\0" * 5000, SECOND, SECOND[:-40], b"\xff\xd8\xff\xda")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bytes_behind_the_image_change_nothing(odnbench: Run, ibug: Path, suffix: str) -> None:
    for trailer, (path, picture) in zip(2 * TRAILERS, pictures_of(ibug).items(), strict=True):
        picture_file = path.with_suffix(suffix)
        picture_file.write_bytes(encoded(picture, suffix))
        before = read_as_stored(picture_file)
        picture_file.write_bytes(encoded(picture, suffix) + trailer)
        np.testing.assert_array_equal(read_as_stored(picture_file), before)
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert prepare(odnbench, ibug)[0] == 0


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_off_but_for_its_end(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xd9"


def with_a_hole(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) // 2 + 300 :]


def overwritten(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff" * 300 + data[len(data) // 2 + 300 :]


def cut_off_behind_a_thumbnail(data: bytes) -> bytes:
    return with_exif(data, 1, SECOND)[: len(data) // 2 + len(SECOND)]


DAMAGE = (
    cut_off,
    cut_off_but_for_its_end,
    with_a_hole,
    overwritten,
    cut_off_behind_a_thumbnail,
)


@pytest.mark.parametrize("progressive", [0, 1])
def test_damaged_jpegs_are_named_and_the_others_are_read(
    odnbench: Run, ibug: Path, capfd: pytest.CaptureFixture[str], progressive: int
) -> None:
    damaged = []
    for index, (path, picture) in enumerate(pictures_of(ibug).items()):
        data = encoded(
            picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive
        )
        picture_file = path.with_suffix(".jpg")
        if index % 2:  # whole ones between them
            data = DAMAGE[index // 2](data)
            damaged.append(picture_file)
        picture_file.write_bytes(data)
    status, told = doctor(odnbench, ibug)
    assert status == 1
    assert "FAULT unreadable pictures: ibug: 5 faces cannot be read" in told
    status, refused = prepare(odnbench, ibug)
    assert status == 2
    for text in (told, refused):
        assert all(text.count(f"{path}: ") == 1 for path in damaged)
        assert text.count(".jpg: ") == len(damaged)
    assert capfd.readouterr().err == ""  # no decoder says anything without a name


def test_a_jpeg_with_bytes_too_many_before_its_end_is_noted(odnbench: Run, ibug: Path) -> None:
    for path, picture in pictures_of(ibug).items():
        data = encoded(picture)
        if path.stem in ("image_0001", "image_0002"):
            data = data[:-2] + bytes(8 if path.stem == "image_0001" else 400) + data[-2:]
        path.with_suffix(".jpg").write_bytes(data)
    status, told = doctor(odnbench, ibug)
    assert status == 0, told
    assert "note  odd pictures: ibug: 2 faces" in told
    assert "image_0001.jpg" in told and "image_0002.jpg" in told
    assert prepare(odnbench, ibug)[0] == 0


def test_cut_off_pictures_of_other_formats_are_named(
    odnbench: Run, ibug: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    suffixes = (".png", ".bmp", ".webp", ".gif", ".tif")
    damaged = []
    for index, (path, picture) in enumerate(pictures_of(ibug).items()):
        picture_file = path.with_suffix(suffixes[index // 2])
        data = encoded(picture, picture_file.suffix)
        if index % 2:  # whole ones between them
            data = data[: len(data) // 2]
            damaged.append(picture_file)
        picture_file.write_bytes(data)
    status, told = doctor(odnbench, ibug)
    assert status == 1
    assert f"ibug {FACES - 5} of {FACES}" in told
    for text in (told, prepare(odnbench, ibug)[1]):
        assert all(text.count(f"{path}: ") == 1 for path in damaged)
    assert capfd.readouterr().err == ""
