"""500 folders of faces as file systems, archives and people make them: no face is lost in silence.

A data set of rendered faces gets links, pipes, twins, unreadable and empty files, other names.
Whatever `data doctor` does not count, it names.
"""

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import REGISTRY, Run, fuzz
from hypothesis import given
from hypothesis import strategies as st

from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

PARTS = {"afw": "afw", "ibug": "ibug", "helen-test": "helen/testset"}
FACES = 3


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of 300W: FACES faces in each of PARTS."""
    folder = tmp_path_factory.mktemp("rendered")
    render_layout(REGISTRY.get(Dataset, "300w"), folder, count=FACES, size=48, seed=0)
    return folder


# What is done to a face, given by the path of its files without their endings.


def _loop(face: Path) -> None:
    (face.parent / f"{face.name}-again").symlink_to(face.parent, target_is_directory=True)


def _link_to_itself(face: Path) -> None:
    (face.parent / f"{face.name}-link.pts").symlink_to(f"{face.name}-link.pts")


def _broken_link(face: Path) -> None:
    (face.parent / f"{face.name}-gone.png").symlink_to("nowhere.png")


def _link_to_the_face(face: Path) -> None:
    elsewhere = face.parents[2] / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    for ending in (".pts", ".png"):
        moved = elsewhere / f"{face.parent.name}-{face.name}{ending}"
        shutil.move(face.with_suffix(ending), moved)
        face.with_suffix(ending).symlink_to(moved)


def _pipe(face: Path) -> None:
    face.with_suffix(".png").unlink()
    os.mkfifo(face.with_suffix(".png"))


def _pipe_beside(face: Path) -> None:
    os.mkfifo(face.parent / f"{face.name}-pipe.pts")


def _twin(face: Path) -> None:
    for ending in (".pts", ".png"):
        shutil.copy(face.with_suffix(ending), face.with_name(face.name.upper() + ending))


def _two_forms(face: Path) -> None:
    for ending, form in ((".pts", "NFC"), (".png", "NFD")):
        name = unicodedata.normalize(form, f"{face.name}-é")
        face.with_suffix(ending).rename(face.with_name(name + ending))


def _capital_endings(face: Path) -> None:
    for ending in (".pts", ".png"):
        face.with_suffix(ending).rename(face.with_suffix(ending.upper()))


def _of_a_mac(face: Path) -> None:
    for ending in (".pts", ".png"):
        (face.parent / f"._{face.name}{ending}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    (face.parent / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def _folder_like_a_picture(face: Path) -> None:
    face.with_suffix(".jpg").mkdir()


def _folder_like_points(face: Path) -> None:
    (face.parent / f"{face.name}-folder.pts").mkdir()


def _empty_points(face: Path) -> None:
    face.with_suffix(".pts").write_bytes(b"")


def _zeros_for_a_picture(face: Path) -> None:
    path = face.with_suffix(".png")
    path.write_bytes(bytes(path.stat().st_size))


def _no_picture(face: Path) -> None:
    face.with_suffix(".png").unlink()


def _unreadable_points(face: Path) -> None:
    face.with_suffix(".pts").chmod(0)


def _unreadable_picture(face: Path) -> None:
    face.with_suffix(".png").chmod(0)


def _two_pictures(face: Path) -> None:
    shutil.copy(face.with_suffix(".png"), face.with_suffix(".jpg"))


CHANGES: dict[str, Callable[[Path], None]] = {
    name: change
    for name, change in list(globals().items())
    if name.startswith("_") and getattr(change, "__annotations__", {}).get("face") is Path
}
FACE = st.tuples(st.sampled_from(sorted(PARTS)), st.integers(0, FACES - 1))


def _copy(rendered: Path, folder: Path) -> Path:
    """`<data root>/300w` in `folder`, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "300w"
    for place in PARTS.values():
        shutil.copytree(rendered / place, root / place)
    shutil.copy(rendered / "rendered.json", root)
    return root


@pytest.mark.usefixtures("rights_count")
@given(
    changes=st.lists(
        st.tuples(FACE, st.sampled_from(sorted(CHANGES))),
        min_size=1,
        max_size=4,
        unique_by=lambda change: change[0],
    )
)
@fuzz(max_examples=500)
def test_no_face_is_lost_in_silence(
    changes: list[tuple[tuple[str, int], str]], rendered: Path, odnbench: Run, tmp_path: Path
) -> None:
    root = _copy(rendered, tmp_path / "data")
    for (part, index), change in changes:
        CHANGES[change](root / PARTS[part] / f"image_{index:04d}")
    done = odnbench("data", "doctor", "--data-root", "data", "--json")
    assert done.returncode in (0, 1), done.stderr
    (diagnosis,) = json.loads(done.stdout)
    counted = {count["part"]: count["faces"] for count in diagnosis["counts"]}
    told = json.dumps(diagnosis["findings"])
    for part in PARTS:
        touched = [f"image_{index:04d}" for (name, index), _ in changes if name == part]
        if counted[part] < FACES:
            assert any(face in told for face in touched), (part, counted, told)
        assert counted[part] >= FACES - len(touched)
