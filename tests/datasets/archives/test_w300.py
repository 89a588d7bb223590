""".pts files and the 300W loader, in all the forms in which copies of the archive come."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from odnbench.arrays import Floats
from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.pts import read_pts, write_pts
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.registry import Registry

BODY = "\n".join(f"{i + 1}.5 {2 * i + 1}.25" for i in range(68))
EXPECTED = np.array([[i + 0.5, 2 * i + 0.25] for i in range(68)])  # counted from 0
DATASET = Registry.load().get(Dataset, "300w")


def read_part(root: Path, part: str) -> tuple[list[Face], list[str]]:
    """The faces of a part, and what is wrong with its files."""
    faults: list[str] = []
    return list(open_archive(DATASET, root).faces(part, faults)), faults


@pytest.mark.parametrize(
    "text",
    [
        f"version: 1\nn_points: 68\n{{\n{BODY}\n}}\n",
        f"version: 1.0\nn_points:  68\n{{\n{BODY}\n}}",
        f"version: 1 \nn_points: 68 \n{{ \n{BODY} \n}} \n\n",
        f"version: 1\nn_points: 68\n{{\n{BODY}\n}}\n".replace("\n", "\r\n"),
        f"{BODY}\n",
        BODY.replace(" ", "\t"),
    ],
    ids=["official", "1.0 and two blanks", "trailing blanks", "Windows", "headerless", "tabs"],
)
def test_every_header_variant_reads_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "face.pts"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_pts(path, 68), EXPECTED)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"version: 1\nn_points: 68\n{{\n{BODY[:-7]}\n}}", "expected"),
        ("\n".join(BODY.splitlines()[:67]), "expected 68 points, found 67"),
        (f"n_points: 67\n{BODY}", "a header that says 67"),
        (f"{BODY}\nnonsense here", "line 69: expected 'x y', got 'nonsense here'"),
        (BODY.replace("1.5 1.25", "nan 1.25", 1), "not a finite number"),
        ("", "found 0"),
        ("version: 1\nn_points: many\n", "line 2: expected 'x y', got 'n_points: many'"),
        (BODY.replace("1.5", "1,5", 1), "line 1: expected 'x y', got '1,5 1.25'"),
        (BODY.replace("1.5", "1_5", 1), "line 1: expected 'x y', got '1_5 1.25'"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "face.pts"
    path.write_text(text)
    with pytest.raises(OdnbenchError, match=told) as caught:
        read_pts(path, 68)
    assert str(path) in str(caught.value)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_right_or_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "face.pts"
    path.write_bytes(data)
    with pytest.raises(OdnbenchError, match=r"face\.pts"):
        read_pts(path, 68)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hnp.arrays(np.float64, (68, 2), elements=st.floats(-100, 5000)))
def test_what_is_written_is_read_back(tmp_path: Path, points: "np.ndarray") -> None:  # type: ignore[type-arg]
    write_pts(tmp_path / "face.pts", points)
    np.testing.assert_allclose(read_pts(tmp_path / "face.pts", 68), points, atol=1e-6)


def put(folder: Path, name: str, picture: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}{picture}"), np.zeros((8, 8, 3), np.uint8))
    (folder / f"{name}.pts").write_text(BODY)


@pytest.mark.parametrize("folder", ["afw", "afw/afw", "AFW", "Afw/AFW", "300W/afw"])
@pytest.mark.parametrize("picture", [".jpg", ".png", ".JPG"])
def test_copies_of_the_archive_are_read_as_they_are(
    tmp_path: Path, folder: str, picture: str
) -> None:
    put(tmp_path / folder, "a", picture)
    put(tmp_path / folder, "image_092 _01", picture)  # IBUG has such a name
    put(tmp_path / folder, "a_mirror", picture)  # left behind by a tool, not part of the set
    faces, faults = read_part(tmp_path, "afw")
    assert not faults
    assert [face.id for face in faces] == ["afw/a", "afw/image_092 _01"]
    assert {face.part for face in faces} == {"300w/afw"}
    np.testing.assert_array_equal(faces[0].points, EXPECTED)
    assert faces[0].image == tmp_path / folder / f"a{picture}"


def test_an_absent_part_has_no_faces(tmp_path: Path) -> None:
    assert read_part(tmp_path, "ibug") == ([], [])
    assert open_archive(DATASET, tmp_path).files("ibug") == []


def test_all_faulty_files_of_a_part_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / "ibug", name)
    (tmp_path / "ibug/a.pts").write_text(BODY + "\n1 2")
    (tmp_path / "ibug/b.pts").write_text("")
    faces, faults = read_part(tmp_path, "ibug")
    assert [face.id for face in faces] == ["ibug/c"]
    assert len(faults) == 2
    assert "ibug/a.pts: expected 68 points, found 69" in faults[0]
    assert "ibug/b.pts: expected 68 points, found 0" in faults[1]


def test_a_face_whose_picture_is_not_there_comes_without_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / "ibug", name)
    (tmp_path / "ibug/b.jpg").unlink()
    faces, faults = read_part(tmp_path, "ibug")
    assert not faults
    assert [face.image is None for face in faces] == [False, True]


def test_boxes_of_the_archive_are_counted_from_1_and_found_whatever_the_blanks(
    tmp_path: Path,
) -> None:
    put(tmp_path / "ibug", "image_092 _01")
    put(tmp_path / "ibug", "other")
    cells = np.empty((1, 1), object)
    cells[0, 0] = {
        "imgName": "image_092_01.jpg",
        "bb_detector": np.array([[11.0, 21, 31, 41]]),
        "bb_ground_truth": np.array([[1.0, 2, 3, 4]]),
    }
    scipy.io.savemat(tmp_path / "bounding_boxes_ibug.mat", {"bounding_boxes": cells})
    faces, _ = read_part(tmp_path, "ibug")
    assert faces[0].detector_box is not None and faces[0].box is not None
    assert faces[0].detector_box.tolist() == [10, 20, 30, 40]
    assert faces[0].box.tolist() == [0, 1, 2, 3]
    assert faces[1].box is None


@pytest.mark.parametrize("content", [{"bounding_boxes": 3.0}, {"other": "text"}])
def test_a_box_file_that_is_none_is_named(tmp_path: Path, content: dict[str, object]) -> None:
    put(tmp_path / "ibug", "a")
    scipy.io.savemat(tmp_path / "bounding_boxes_ibug.mat", content)
    faces, faults = read_part(tmp_path, "ibug")
    assert "bounding_boxes_ibug.mat: expected cells of imgName" in faults[0]
    assert [face.id for face in faces] == ["ibug/a"]  # it serves the other box rules


def originals(path: Path, names: list[str], shapes: list[Floats]) -> None:
    """Writes raw_300W_release.mat: names, and rows of 68 x, then 68 y, counted from 1, rounded."""
    data = np.array([np.rint(shape.T.ravel() + 1) for shape in shapes], np.uint16)
    cells = np.array([[name] for name in names], object)
    scipy.io.savemat(path, {"nameList": cells, "data": data})


def test_the_published_file_tells_the_scale_of_a_rescaled_picture(tmp_path: Path) -> None:
    shape = np.random.default_rng(0).uniform(100, 400, (68, 2))
    for part in ("helen/trainset", "helen/testset"):
        for name, scale in (("1_1", 1), ("2_1", 0.4), ("3 _1", 0.8)):
            put(tmp_path / part, name)
            write_pts(tmp_path / part / f"{name}.pts", scale * (shape - 50))  # cropped, then scaled
    larger = 50 + 2 * (shape - 50)
    originals(
        tmp_path / "raw_300W_release.mat",
        [f"HELEN68/{part}/{i}_1.jpg" for part in ("trainset", "testset") for i in (1, 2, 3)],
        [shape] * 3 + [larger] * 3,
    )
    for part, factor in (("helen-train", 1.0), ("helen-test", 0.5)):
        faces, faults = read_part(tmp_path, part)
        assert not faults
        expected = [factor * scale for scale in (1, 0.4, 0.8)]
        np.testing.assert_allclose([face.scale for face in faces], expected, rtol=1e-3)
    faces, _ = read_part(tmp_path, "helen-train")
    assert faces[0].scale == 1  # not 0.9998, which is the file's rounding


def test_a_face_that_the_published_file_does_not_know_counts_as_not_rescaled(
    tmp_path: Path,
) -> None:
    put(tmp_path / "01_indoor", "indoor_001")
    originals(tmp_path / "raw_300W_release.mat", ["HELEN68/trainset/1_1.jpg"], [EXPECTED])
    assert read_part(tmp_path, "indoor")[0][0].scale == 1


def test_a_published_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    put(tmp_path / "ibug", "a")
    (tmp_path / "raw_300W_release.mat").write_bytes(b"no MATLAB file")
    faces, faults = read_part(tmp_path, "ibug")
    assert "raw_300W_release.mat: cannot be read" in faults[0]
    assert [face.id for face in faces] == ["ibug/a"]


def test_the_real_subset_has_its_known_number_of_faces(shared_data: Path) -> None:
    counts = {part: len(read_part(shared_data / "300w-subset", part)[0]) for part in DATASET.parts}
    assert counts == {
        "helen-train": 870,
        "lfpw-train": 805,
        "afw": 337,
        "helen-test": 330,
        "lfpw-test": 0,
        "ibug": 0,
        "indoor": 0,
        "outdoor": 0,
    }


def excess_px(coordinate: Floats, rounded: Floats) -> float:
    """By how much a map u·x + v misses `rounded` beyond the 0.5 + 0.0005 u that rounding explains.

    The best v for a u is known; the best u is sought near that of least squares.
    """
    u = np.polyfit(coordinate, rounded, 1)[0]
    for reach in (1e-2, 4e-4):
        candidates = u * (1 + np.linspace(-reach, reach, 101))
        rest = rounded[:, None] - coordinate[:, None] * candidates
        excess = np.ptp(rest, axis=0) / 2 - 0.5 - 0.0005 * candidates
        u = candidates[np.argmin(excess)]
    return float(excess.min())


def test_real_landmarks_agree_with_the_published_file_to_within_its_rounding(
    shared_data: Path,
) -> None:
    """The subset was cropped and resized to whole pixels, so each axis has a scale of its own. For
    each face there is such a map that leads every landmark to within half a pixel of the published,
    rounded coordinate (and half a digit of the .pts).
    """
    published = scipy.io.loadmat(shared_data / "300w-annotations" / "raw_300W_release.mat")
    compared = 0
    for name, row in zip(published["nameList"], published["data"], strict=True):
        folder, _, file = str(name[0][0]).partition("/")
        path = shared_data / "300w-subset" / folder.replace("68", "").lower() / file
        if not path.with_suffix(".pts").is_file():
            continue
        ours = read_pts(path.with_suffix(".pts"), 68) + 1
        for rounded, coordinate in zip(row.reshape(2, 68).astype(float), ours.T, strict=True):
            assert excess_px(coordinate, rounded) <= 0, name
        compared += 1
    assert compared == 2342


def test_the_real_headerless_file_is_read(shared_data: Path, tmp_path: Path) -> None:
    path = shutil.copy(shared_data / "300w-annotations/headerless_example.pts", tmp_path)
    first = [float(word) for word in Path(path).read_text().split()[:2]]
    np.testing.assert_allclose(read_pts(Path(path), 68)[0], np.array(first) - 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"absent\.pts"):
        read_pts(tmp_path / "absent.pts", 68)


def test_a_face_that_is_there_twice_is_told(tmp_path: Path) -> None:
    for folder in ("afw", "afw/afw"):  # an archive unpacked twice, once into itself
        put(tmp_path / folder, "a")
    faces, faults = read_part(tmp_path, "afw")
    assert len(faces) == 1
    assert "afw/a.pts: the same face is also at" in faults[0]
