""".pts files and the 300W loader, in all the forms in which copies of the archive come."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from odnbench.datasets.pts import read_pts, write_pts
from odnbench.datasets.w300 import read_part
from odnbench.errors import OdnbenchError
from odnbench.registry import Dataset, Registry

BODY = "\n".join(f"{i + 1}.5 {2 * i + 1}.25" for i in range(68))
EXPECTED = np.array([[i + 0.5, 2 * i + 0.25] for i in range(68)])  # counted from 0
PARTS = Registry.load().get(Dataset, "300w").parts


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


@pytest.mark.parametrize("folder", ["afw", "afw/afw", "AFW", "Afw/AFW"])
@pytest.mark.parametrize("picture", [".jpg", ".png", ".JPG"])
def test_copies_of_the_archive_are_read_as_they_are(
    tmp_path: Path, folder: str, picture: str
) -> None:
    put(tmp_path / folder, "a", picture)
    put(tmp_path / folder, "image_092 _01", picture)  # IBUG has such a name
    put(tmp_path / folder, "a_mirror", picture)  # left behind by a tool, not part of the set
    faces = read_part(tmp_path, "300w/afw", PARTS["afw"])
    assert [face.id for face in faces] == ["afw/a", "afw/image_092 _01"]
    assert {face.part for face in faces} == {"300w/afw"}
    np.testing.assert_array_equal(faces[0].points, EXPECTED)


def test_an_absent_part_has_no_faces(tmp_path: Path) -> None:
    assert read_part(tmp_path, "300w/ibug", PARTS["ibug"]) == []


def test_all_faulty_files_of_a_part_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / "ibug", name)
    (tmp_path / "ibug/a.pts").write_text(BODY + "\n1 2")
    (tmp_path / "ibug/b.jpg").unlink()
    with pytest.raises(OdnbenchError) as caught:
        read_part(tmp_path, "300w/ibug", PARTS["ibug"])
    assert "ibug/a.pts: expected 68 points, found 69" in str(caught.value)
    assert "ibug/b.pts: no picture of the same name" in str(caught.value)


def test_the_real_subset_has_its_known_number_of_faces(shared_data: Path) -> None:
    root = shared_data / "300w-subset"
    counts = {name: len(read_part(root, f"300w/{name}", part)) for name, part in PARTS.items()}
    assert counts == {
        "helen-train": 870,
        "lfpw-train": 805,
        "afw": 337,
        "helen-test": 330,
        "lfpw-test": 0,
        "ibug": 0,
    }


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
    with pytest.raises(OdnbenchError, match=r"afw/a\.pts: the same face is also at"):
        read_part(tmp_path, "300w/afw", PARTS["afw"])


def test_one_more_level_is_found_above_the_splits_too(tmp_path: Path) -> None:
    put(tmp_path / "helen/helen/trainset", "a")
    faces = read_part(tmp_path, "300w/helen-train", PARTS["helen-train"])
    assert [face.id for face in faces] == ["helen/trainset/a"]
