"""Preparing: complete or not there, once for all, whatever is killed or runs beside it."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from odnbench.datasets.crop import window_of
from odnbench.datasets.faces import Face, FaceSet
from odnbench.datasets.pictures import read_picture
from odnbench.datasets.prepare import Recipe, load, prepare
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

RECIPE = Recipe(Registry.load().get(BoxRule, "landmarks"), 1.25, 40)


def random_face(index: int) -> Face:
    rng = np.random.default_rng(index)
    return Face(
        id=f"face {index}",
        part="300w/afw",
        image=rng.integers(0, 256, (90, 100, 3), np.uint8),
        points=rng.uniform(20, 70, (68, 2)),
        occluded=rng.random(68) < 0.3 if index % 2 else None,
        box=np.array([10.0, 11, 80, 81]) if index % 3 else None,
        labels=frozenset(["pose", "blur"]) if index % 2 else frozenset(),
        scale=1 / (1 + index),
    )


def prepared(faces: "list[Face]", folder: Path) -> FaceSet:
    return prepare(faces, "a", RECIPE, folder, rendered=False, faults=[])


def test_each_face_is_cropped_by_the_rule_and_kept_with_all_that_is_known(tmp_path: Path) -> None:
    faces = [random_face(i) for i in range(7)]
    kept = prepared(faces, tmp_path / "set")
    assert len(kept) == 7
    for i, face in enumerate(faces):
        assert face.image is not None
        window = window_of(face, RECIPE.rule, RECIPE.margin)
        np.testing.assert_array_equal(
            kept.images[i], window.cut(read_picture(face.image), np.empty((40, 40, 3), np.uint8))
        )
        np.testing.assert_array_equal(kept.crop_to_image[i], window.crop_to_image(40))
        np.testing.assert_array_equal(kept.points[i], face.points)
        expected = np.zeros(68, bool) if face.occluded is None else face.occluded
        np.testing.assert_array_equal(kept.occluded[i], expected)
        assert (
            np.isnan(kept.boxes[i]).all() if face.box is None else (kept.boxes[i] == face.box).all()
        )
    np.testing.assert_array_equal(kept.scales, [face.scale for face in faces])
    assert kept.labels == ("", "blur pose") * 3 + ("",)


def test_an_occlusion_mask_is_cropped_like_its_picture(tmp_path: Path) -> None:
    def masked(index: int) -> Face:
        mask = np.zeros((90, 100), bool)
        mask[:, :50] = True
        return dataclasses.replace(random_face(index), occlusion_mask=mask)

    kept = prepared([masked(0), masked(1)], tmp_path / "set")
    size, cells = kept.images.shape[1], kept.masks.shape[1]
    edge_px = kept.to_crop(np.full((2, 1, 2), 49.5))[:, 0, 0]  # between columns 49 and 50
    for mask, edge in zip(kept.masks, (edge_px + 0.5) / size * cells, strict=True):
        row = mask[cells // 2]
        inside = slice(np.flatnonzero(row)[0], None)
        assert abs((row[inside] / 255).sum() + inside.start - edge) < 1
    mixed = prepared([masked(0), random_face(1)], tmp_path / "mixed")
    assert mixed.masks.shape == (2, 0, 0)  # known for some faces only


def test_the_second_time_no_face_is_asked_for(tmp_path: Path) -> None:
    first = prepared([random_face(0)], tmp_path / "set")

    def never() -> Iterator[Face]:
        raise AssertionError
        yield

    again = prepare(never(), "a", RECIPE, tmp_path / "set", rendered=False, faults=[])
    assert again.fingerprint == first.fingerprint
    assert isinstance(again.images, np.memmap)


def test_a_face_without_picture_is_left_out(tmp_path: Path) -> None:
    missing = Face("gone", "300w/afw", None, random_face(1).points)
    assert prepared([random_face(0), missing, random_face(2)], tmp_path / "set").ids == (
        "face 0",
        "face 2",
    )
    assert len(prepared([missing], tmp_path / "empty")) == 0


def test_all_faulty_pictures_are_named_at_once_and_nothing_is_kept(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    points = np.random.default_rng(1).uniform(10, 50, (68, 2))
    for name in ("good.jpg", "cut.jpg", "good.png", "cut.png"):
        cv2.imwrite(str(tmp_path / name), noise)
    for name in ("cut.jpg", "cut.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    cv2.imwrite(str(tmp_path / "thumbnail.png"), np.zeros((10, 10, 3), np.uint8))
    faulty = ["cut.jpg", "cut.png", "empty.jpg", "text.jpg", "absent.jpg", "thumbnail.png"]
    names = ["good.jpg", "good.png", *faulty]
    faces = [Face(name, "300w/afw", tmp_path / name, points) for name in names]
    with pytest.raises(OdnbenchError) as caught:
        prepared(faces, tmp_path / "cache" / "set")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(faulty)
    for name, line in zip(faulty, lines[1:], strict=True):
        assert str(tmp_path / name) in line
    assert not (tmp_path / "cache" / "set").exists()


@pytest.mark.parametrize("shape", [(10, 10, 3), (3, 300, 3), (300, 3, 3)])
def test_a_picture_too_small_for_its_landmarks_is_named(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    points = np.random.default_rng(0).uniform(0, 1000, (68, 2))
    with pytest.raises(OdnbenchError, match="300w/afw, thumbnail: the picture has"):
        prepared([Face("thumbnail", "300w/afw", np.zeros(shape, np.uint8), points)], tmp_path / "a")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OdnbenchError, match="cannot be written"):
        prepared([random_face(0)], tmp_path / "file" / "set")


@pytest.mark.parametrize("damage", ["images.npy", "rest.npz"])
def test_a_damaged_set_is_told_and_not_used(tmp_path: Path, damage: str) -> None:
    prepared([random_face(i) for i in range(3)], tmp_path / "set")
    path = tmp_path / "set" / damage
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(OdnbenchError, match="remove the folder"):
        load(tmp_path / "set")


SLOW = """
import sys, time
from pathlib import Path
from tests.datasets.test_prepare import RECIPE, random_face
from odnbench.datasets.prepare import prepare

def slowly():
    for index in range(60):
        print(index, flush=True)
        time.sleep(0.02)
        yield random_face(index)

prepare(slowly(), "a", RECIPE, Path(sys.argv[1]), rendered=False, faults=[])
"""


def slow_process(folder: Path) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder)], cwd=root, stdout=subprocess.PIPE, text=True
    )


def wait_for(process: "subprocess.Popen[str]", faces: int) -> None:
    assert process.stdout is not None
    for _ in range(faces):
        assert process.stdout.readline()


def test_what_a_killed_process_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    with slow_process(folder) as killed:
        wait_for(killed, 20)
        os.kill(killed.pid, signal.SIGKILL)
    assert not folder.exists()
    assert (tmp_path / "set.part").is_dir()
    faces = [random_face(i) for i in range(60)]
    after = prepared(faces, folder)
    undisturbed = prepared(faces, tmp_path / "other")
    np.testing.assert_array_equal(after.images, undisturbed.images)
    assert after.ids == undisturbed.ids
    assert not (tmp_path / "set.part").exists()


def test_two_processes_that_want_the_same_set_do_the_work_once(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    with slow_process(folder) as first:
        wait_for(first, 2)
        with slow_process(folder) as second:
            output, _ = second.communicate(timeout=120)
    assert first.returncode == second.returncode == 0
    assert output == ""  # it waited for the first, and asked for no face
    undisturbed = prepared([random_face(i) for i in range(60)], tmp_path / "other")
    np.testing.assert_array_equal(load(folder).images, undisturbed.images)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_a_set_larger_than_the_memory_allowed_for_it_is_prepared(tmp_path: Path) -> None:
    """Faces stream: once the threads' queue is full, which 240 faces do, 400 pictures of 1.2 MB and
    crops of 0.8 MB grow the process by less than 60 MB.
    """
    script = """
import re, sys
from pathlib import Path
import numpy as np
from tests.datasets.test_prepare import random_face
from odnbench.datasets.faces import Face
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.plan.registry import Registry
from odnbench.plan.protocols import BoxRule

recipe = Recipe(Registry.load().get(BoxRule, "landmarks"), 1.25, 512)
points = random_face(0).points * 5

def faces(count):
    for index in range(count):
        yield Face(str(index), "a", np.full((640, 640, 3), index % 256, np.uint8), points)

def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

prepare(faces(240), "a", recipe, Path(sys.argv[1]) / "warm", rendered=False, faults=[])
before = peak_kib()
kept = prepare(faces(400), "a", recipe, Path(sys.argv[1]) / "set", rendered=False, faults=[])
print(len(kept), peak_kib() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    count, grown_kib = map(int, done.stdout.split())
    assert count == 400
    assert grown_kib < 60_000, grown_kib


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    class FullDisk(io.FileIO):
        def write(self, data: object) -> int:  # type: ignore[override]
            return 100  # a short write, as the system gives where the disk is full

    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **_: FullDisk(self, mode) if "b" in mode else None
    )
    with pytest.raises(OdnbenchError, match=r"cannot be written.*No space left"):
        prepared([random_face(0)], tmp_path / "cache" / "set")
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["set.lock"]
