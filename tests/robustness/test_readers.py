"""Readers of faces take what other programs make of the official files, where it has one meaning,
and else say what they found, where, and what they expect.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from helpers import REGISTRY, Run

from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.pts import read_pts
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

FACES = 2  # of each part
PTS = "300w/ibug/image_0000.pts"
LIST = "wflw/WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in REGISTRY.all(Dataset):
        render_layout(REGISTRY.get(Dataset, name), root / name, FACES, 64, 3)
    return root


@pytest.fixture
def data(rendered: Path, tmp_path: Path) -> Callable[..., Path]:
    """Data sets by name → a data root with copies of them."""

    def copy(*names: str) -> Path:
        for name in names:
            shutil.copytree(rendered / name, tmp_path / "data" / name)
        return tmp_path / "data"

    return copy


def said(odnbench: Run, *arguments: str | Path) -> tuple[int, str]:
    """Exit status of `odnbench data …` and all that it says."""
    done = odnbench("data", *map(str, arguments))
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def assert_reads_the_same(odnbench: Run, root: Path, before: Path, name: str, part: str) -> None:
    """The doctor finds no fault in `root`, and the points of `part` are those of `before`."""
    status, told = said(odnbench, "doctor", name, "--data-root", root)
    assert status == 0, told
    faults: list[str] = []
    now, then = (
        list(open_archive(REGISTRY.get(Dataset, name), place / name).faces(part, faults))
        for place in (root, before)
    )
    assert not faults and len(now) == len(then) == FACES
    for face, other in zip(now, then, strict=True):
        assert face.id == other.id
        np.testing.assert_array_equal(face.points, other.points)
        np.testing.assert_array_equal(face.box, other.box)


# .pts files and lists


def with_mark(encoding: str) -> Callable[[bytes], bytes]:
    return lambda data: ("\ufeff" + data.decode()).encode(encoding)


def headerless(data: bytes) -> bytes:
    return data.partition(b"{\n")[2].replace(b"}\n", b"")


OTHER_PROGRAMS: dict[str, Callable[[bytes], bytes]] = {
    "UTF-8 mark": with_mark("utf-8"),
    "UTF-16 little": with_mark("utf-16-le"),
    "UTF-16 big": with_mark("utf-16-be"),
    "mark, no header": lambda data: with_mark("utf-8")(headerless(data)),
    "Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "comma, blank": lambda data: data[:23] + data[23:].replace(b" ", b", "),
    "comma": lambda data: data[:23] + data[23:].replace(b" ", b","),
    "semicolon": lambda data: data[:23] + data[23:].replace(b" ", b";"),
    "tabs": lambda data: headerless(data).replace(b" ", b"\t"),
    "decimal comma": lambda data: headerless(data).replace(b".", b","),
    "decimal comma, semicolon": lambda data: (
        headerless(data).replace(b" ", b" ; ").replace(b".", b",")
    ),
}


def test_pts_files_of_other_programs_read_the_same(
    odnbench: Run, data: Callable[..., Path]
) -> None:
    root = data("300w")
    expected = read_pts(root / PTS, 68)
    usual = (root / PTS).read_bytes()
    assert usual.startswith(b"version: 1\nn_points: 68")
    for name, change in OTHER_PROGRAMS.items():
        (root / "300w/ibug" / f"{name}.pts").write_bytes(change(usual))
        shutil.copy((root / PTS).with_suffix(".png"), root / "300w/ibug" / f"{name}.png")
    status, told = said(odnbench, "prepare", "300w/ibug", "--data-root", root)
    assert status == 0, told
    assert f"300w/ibug rendered, {FACES + len(OTHER_PROGRAMS)}" in told
    for name in OTHER_PROGRAMS:
        np.testing.assert_array_equal(
            read_pts(root / "300w/ibug" / f"{name}.pts", 68), expected, err_msg=name
        )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("10.5 20.5 1", "line 4: expected 'x y', got '10.5 20.5 1'"),
        ("10,5 20.5", "line 4: expected 'x y', got '10,5 20.5'"),
        ("original_0_x 3", "line 4: expected 'x y', got 'original_0_x 3'"),
        ("10.5,", "line 4: expected 'x y', got '10.5,'"),
    ],
)
def test_a_line_with_another_meaning_is_named(
    odnbench: Run, data: Callable[..., Path], line: str, told: str
) -> None:
    root = data("300w")
    lines = (root / PTS).read_text().splitlines()
    (root / PTS).write_text("\n".join([*lines[:3], line, *lines[4:]]))
    status, text = said(odnbench, "prepare", "300w/ibug", "--data-root", root)
    assert status == 2
    assert f"{root / PTS}, {told}" in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_list_with_a_byte_order_mark_reads_the_same(
    odnbench: Run, rendered: Path, data: Callable[..., Path], encoding: str
) -> None:
    root = data("wflw")
    (root / LIST).write_bytes(with_mark(encoding)((root / LIST).read_bytes()))
    assert_reads_the_same(odnbench, root, rendered, "wflw", "test")


# MATLAB files in the other version


def cofw_in_version_5(path: Path, suffix: str, *, compressed: bool = False) -> None:
    with h5py.File(path) as file:
        pictures = [file[reference][()].T for reference in file[f"Is{suffix}"][()].ravel()]
        cells = np.fromiter(pictures, object, len(pictures))[:, None]
        shapes, boxes = (file[f"{name}{suffix}"][()].T for name in ("phis", "bboxes"))
    variables = {f"Is{suffix}": cells, f"phis{suffix}": shapes, f"bboxes{suffix}": boxes}
    scipy.io.savemat(path, variables, do_compression=compressed)


@pytest.mark.parametrize("compressed", [False, True])
def test_cofw_in_version_5_reads_the_same(
    odnbench: Run, rendered: Path, data: Callable[..., Path], compressed: bool
) -> None:
    root = data("cofw", "cofw68")
    for path, suffix in (
        (root / "cofw/COFW_train_color.mat", "Tr"),
        (root / "cofw/COFW_test_color.mat", "T"),
        (root / "cofw68/COFW_test_color.mat", "T"),
    ):
        cofw_in_version_5(path, suffix, compressed=compressed)
    assert_reads_the_same(odnbench, root, rendered, "cofw", "train")
    assert_reads_the_same(odnbench, root, rendered, "cofw68", "test")
    status, told = said(odnbench, "prepare", "cofw", "cofw68", "--data-root", root)
    assert status == 0, told
    assert "cofw/train rendered, 2 faces, cofw/test rendered, 2 faces" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"phisT": np.zeros((2, 58))}, "'phisT' must be any × 87 numbers, got 2 × 58"),
        ({"IsT": np.zeros((2, 3))}, "'IsT' must be cells with 2 pictures"),
        ({"IsT": np.array([[1.5], ["text"]], object)}, "IsT{1} is not a picture"),
    ],
)
def test_what_is_wrong_in_version_5_is_named(
    odnbench: Run, data: Callable[..., Path], change: dict[str, object], told: str
) -> None:
    root = data("cofw")
    path = root / "cofw/COFW_test_color.mat"
    cofw_in_version_5(path, "T")
    variables = scipy.io.loadmat(path)
    kept = {name: value for name, value in variables.items() if not name.startswith("__")}
    scipy.io.savemat(path, kept | change)
    status, text = said(odnbench, "prepare", "cofw", "--data-root", root)
    assert status == 2
    assert f"{path}: {told}" in text


def in_version_73(path: Path) -> None:
    """Saves the variables of a version 5 file as MATLAB does in version 7.3."""
    variables = scipy.io.loadmat(path)

    def put(name: str, value: "np.ndarray") -> h5py.Dataset:  # type: ignore[type-arg]
        if value.dtype == object:
            cells = np.empty(value.T.shape, h5py.ref_dtype)
            for place, cell in np.ndenumerate(value.T):
                cells[place] = put(f"#refs#/{name}{place[0]}_{place[1]}", np.array(cell)).ref
            return file.create_dataset(name, data=cells)
        if value.dtype.kind == "U":
            letters = np.array([[ord(letter) for letter in str(value.ravel()[0])]], np.uint16).T
            stored = file.create_dataset(name, data=letters)
            stored.attrs["MATLAB_class"] = np.bytes_("char")
            return stored
        return file.create_dataset(name, data=value.T)

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if not name.startswith("__"):
                put(name, value)


def test_version_73_in_place_of_version_5_reads_the_same(
    odnbench: Run, rendered: Path, data: Callable[..., Path]
) -> None:
    root = data("aflw", "cofw68")
    for name in (
        "aflw/AFLWinfo_release.mat",
        "cofw68/cofw68_test_bboxes.mat",
        "cofw68/test_annotations/1_points.mat",
    ):
        in_version_73(root / name)
    assert_reads_the_same(odnbench, root, rendered, "aflw", "full")
    assert_reads_the_same(odnbench, root, rendered, "cofw68", "test")


# What is not found


def test_aflws_own_data_base_is_told_from_the_19_points(
    odnbench: Run, data: Callable[..., Path]
) -> None:
    root = data("aflw")
    (root / "aflw/data").mkdir()
    (root / "aflw/data/aflw.sqlite").write_bytes(b"SQLite format 3\0")
    assert said(odnbench, "doctor", "aflw", "--data-root", root)[0] == 0
    (root / "aflw/AFLWinfo_release.mat").unlink()
    for command in ("doctor", "prepare"):
        status, told = said(odnbench, command, "aflw", "--data-root", root)
        assert status == 2
        assert f"no aflwinfo_release.mat in {root}, {root}/aflw, {root}/aflw/data" in told
        assert "aflw/data/aflw.sqlite holds the 21 points of AFLW's own distribution" in told
        assert "AFLWinfo_release.mat" in told
    assert "aflw.sqlite holds the 21 points" in said(odnbench, "doctor", "--data-root", root)[1]


def test_a_folder_of_another_name_is_found_or_named(
    odnbench: Run, data: Callable[..., Path]
) -> None:
    root = data("300w")
    (root / "300w").rename(root / "ibug_300W_large_face_landmark_dataset")
    assert said(odnbench, "doctor", "300w", "--data-root", root)[0] == 0
    (root / "ibug_300W_large_face_landmark_dataset").rename(root / "faces of 2013")
    status, told = said(odnbench, "doctor", "--data-root", root)
    assert status == 2
    assert f"no data set: not found below {root}, which holds faces of 2013; faces" in told
    status, told = said(odnbench, "doctor", "300w", "--data-root", root)
    assert status == 2
    assert "300w not found" in told
    assert "faces of 2013 holds afw: give it as --data-root, or name it 300w" in told
    done = odnbench("run", "ablation", "--dry-run", "--require-data", "--data-root", str(root))
    assert done.returncode == 2
    assert "faces of 2013 holds afw: give it as --data-root, or name it 300w" in done.stderr


def test_a_part_that_is_not_found_is_told_with_what_is_there(
    odnbench: Run, data: Callable[..., Path]
) -> None:
    root = data("300w", "cofw")
    (root / "300w/ibug").rename(root / "300w/ibug_135")
    (root / "cofw/COFW_test_color.mat").rename(root / "cofw/COFW_test.mat")
    shutil.rmtree(root / "300w/afw")
    (root / "300w/afw").mkdir()
    status, told = said(odnbench, "doctor", "--data-root", root)
    assert status == 1
    assert f"ibug: 0 of 2 faces, not there: no ibug below {root}/300w, which holds" in told
    assert "ibug_135" in told
    assert f"no COFW_test_color.mat below {root}/cofw, which holds COFW_test.mat" in told
    assert f"afw: 0 of 2 faces, not there: {root}/300w/afw holds no face" in told
