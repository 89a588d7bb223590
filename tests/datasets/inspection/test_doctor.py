"""The data doctor: silent on what is right, and each planted fault is found and named."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.pts import read_pts, write_pts
from odnbench.datasets.inspection.diagnosis import Diagnosis, Finding
from odnbench.datasets.inspection.doctor import examine
from odnbench.datasets.inspection.symmetry import LEAST_FACES
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.conversion import to_mapping
from odnbench.plan.entries import Dataset, Offset
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
FACES = LEAST_FACES + 4


def with_parts(dataset: Dataset, *names: str) -> Dataset:
    """The data set as if it had these parts alone."""
    splits = {
        name: dataclasses.replace(split, parts=tuple(p for p in split.parts if p in names))
        for name, split in dataset.splits.items()
    }
    return dataclasses.replace(
        dataset, parts={name: dataset.parts[name] for name in names}, splits=splits
    )


DATASETS = {
    **REGISTRY.all(Dataset),
    # Rendering all eight parts takes most of the time; faults are planted in these.
    "300w": with_parts(REGISTRY.get(Dataset, "300w"), "afw", "ibug", "helen-test"),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every data set in its official layout."""
    root = tmp_path_factory.mktemp("data")
    for name, dataset in DATASETS.items():
        render_layout(dataset, root / name, FACES, 96, 3)
    return root


@pytest.fixture
def copy(rendered: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a data set, to plant a fault in."""
    return lambda name: shutil.copytree(rendered / name, tmp_path / name)


def diagnosis_of(root: Path, scheme: Scheme | None = None) -> Diagnosis:
    dataset = DATASETS[root.name]
    return examine(open_archive(dataset, root), scheme or REGISTRY.get(Scheme, dataset.scheme))


def only_finding(root: Path, scheme: Scheme | None = None) -> Finding:
    """The one thing found beside grey pictures, which rendered faces have."""
    found = [f for f in diagnosis_of(root, scheme).findings if f.check != "grey pictures"]
    assert len(found) == 1, found
    return found[0]


def assert_clean(diagnosis: Diagnosis) -> None:
    assert diagnosis.healthy
    assert {finding.check for finding in diagnosis.findings} <= {"grey pictures"}
    assert "no fault found" in diagnosis.text()
    assert all(count.faces == count.official == FACES for count in diagnosis.counts)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n == "300w" else []) for n in DATASETS],
)
def test_the_official_layout_is_clean(rendered: Path, name: str) -> None:
    assert_clean(diagnosis_of(rendered / name))


@pytest.mark.slow
def test_all_parts_of_300w_are_clean(tmp_path: Path) -> None:
    dataset = REGISTRY.get(Dataset, "300w")
    render_layout(dataset, tmp_path, FACES, 96, 3)
    diagnosis = examine(open_archive(dataset, tmp_path), REGISTRY.get(Scheme, "68"))
    assert_clean(diagnosis)
    assert len(diagnosis.counts) == len(dataset.parts)


def test_missing_faces_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    for suffix in ("png", "pts"):
        (root / "ibug" / f"image_0003.{suffix}").unlink()
    finding = only_finding(root)
    assert finding.check == "missing faces" and finding.is_fault
    assert finding.where == "ibug"
    assert f"{FACES - 1} of {FACES} faces, 1 missing" in finding.message


def test_faces_too_many_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    for suffix in ("png", "pts"):
        shutil.copy(root / "afw" / f"image_0000.{suffix}", root / "ibug" / f"mine.{suffix}")
    checks = {finding.check: finding for finding in diagnosis_of(root).findings}
    assert f"{FACES + 1} faces where the official archive has" in checks["too many faces"].message
    assert checks["doubles"].examples == ("ibug/mine = afw/image_0000",)
    assert checks["doubles"].cure == "take them out of the test part: they do not belong to it"
    for path in (root / "ibug").glob("mine.*"):
        path.unlink()
    assert_clean(diagnosis_of(root))


def test_a_test_face_too_many_in_the_training_part_is_taken_out_of_it(
    copy: Callable[[str], Path],
) -> None:
    root = copy("300w")
    for suffix in ("png", "pts"):
        shutil.copy(root / "ibug" / f"image_0000.{suffix}", root / "afw" / f"mine.{suffix}")
    (finding,) = (f for f in diagnosis_of(root).findings if f.check == "doubles")
    assert finding.is_fault
    assert finding.cure == "take them out of the training part: test errors come out too small"
    for path in (root / "afw").glob("mine.*"):
        path.unlink()
    assert_clean(diagnosis_of(root))


def test_missing_pictures_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("wflw")
    picture = sorted((root / "WFLW_images").rglob("test_*.png"))[2]
    picture.unlink()
    finding = only_finding(root)
    assert finding.check == "missing pictures" and finding.is_fault
    assert picture.name in finding.examples[0]


def test_unreadable_pictures_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    picture = root / "helen" / "testset" / "image_0005.png"
    picture.write_bytes(picture.read_bytes()[:900])
    finding = only_finding(root)
    assert finding.check == "unreadable pictures" and finding.is_fault
    assert str(picture) in finding.examples[0]


def test_faulty_annotations_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    path = root / "afw" / "image_0007.pts"
    path.write_text(path.read_text().replace("n_points: 68", "n_points: 67"))
    finding = only_finding(root)
    assert finding.check == "faulty annotations" and finding.is_fault
    assert str(path) in finding.examples[0]


def test_a_damaged_file_of_boxes_is_no_face_too_many(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    path = root / "Bounding Boxes" / "bounding_boxes_afw.mat"
    path.write_bytes(path.read_bytes()[:300])
    finding = only_finding(root)
    assert finding.check == "faulty annotations" and finding.where == "afw"
    assert str(path) in finding.examples[0]


def test_a_damaged_file_of_all_faces_leaves_none_of_them(copy: Callable[[str], Path]) -> None:
    root = copy("cofw")
    (root / "COFW_test_color.mat").write_bytes(b"no MATLAB file")
    messages = {f.check: f.message for f in diagnosis_of(root).findings if f.where == "test"}
    assert messages["missing faces"] == f"0 of {FACES} faces, {FACES} missing"


def test_points_far_outside_the_picture_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    path = root / "ibug" / "image_0002.pts"
    points = read_pts(path, 68)
    points[8] += [0, 300]
    write_pts(path, points)
    checks = {finding.check: finding for finding in diagnosis_of(root).findings}
    assert checks["points outside"].is_fault
    assert checks["points outside"].examples == ("ibug/image_0002",)


def test_points_a_little_over_the_edge_are_only_noted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    path = root / "ibug" / "image_0002.pts"
    points = read_pts(path, 68)
    points[8, 1] = 97  # the picture ends at 95.5
    write_pts(path, points)
    finding = only_finding(root)
    assert finding.check == "points outside" and not finding.is_fault


@pytest.mark.parametrize("shift", [-1, 1])
def test_coordinates_counted_from_the_wrong_base_are_told(
    copy: Callable[[str], Path], shift: int
) -> None:
    root = copy("300w")
    for path in (root / "helen" / "testset").glob("*.pts"):
        write_pts(path, read_pts(path, 68) + shift)
    finding = only_finding(root)
    assert finding.check == "off by one" and finding.is_fault
    assert finding.where == "helen-test"
    assert ("right and down" if shift > 0 else "left and up") in finding.message


def test_an_order_of_points_that_the_flip_table_does_not_know_is_told(
    copy: Callable[[str], Path],
) -> None:
    root = copy("300w")
    order = np.arange(68)
    order[36:48] = order[36:48][::-1]  # the eyes from the other end
    for path in root.rglob("*.pts"):
        write_pts(path, read_pts(path, 68)[order])
    checks = {finding.check: finding for finding in diagnosis_of(root).findings}
    assert checks["flip table"].is_fault
    named = [int(line.split()[1].rstrip(":")) for line in checks["flip table"].examples[:5]]
    assert set(named) <= set(range(36, 48))


def test_two_neighbours_that_change_places_in_the_flip_table_are_told(rendered: Path) -> None:
    scheme = REGISTRY.get(Scheme, "68")
    flip = list(scheme.flip)
    flip[37], flip[38], flip[43], flip[44] = 43, 44, 37, 38
    finding = only_finding(rendered / "300w", dataclasses.replace(scheme, flip=tuple(flip)))
    assert finding.check == "flip table"
    assert "landmark 37: the table says 43, the mean shape says 44" in finding.examples


@pytest.mark.parametrize("name", REGISTRY.all(Dataset))
def test_a_wrong_pair_in_the_flip_table_is_told(rendered: Path, name: str) -> None:
    scheme = REGISTRY.get(Scheme, REGISTRY.get(Dataset, name).scheme)
    first, second = scheme.eye_corners
    flip = list(scheme.flip)
    flip[first], flip[second] = first, second  # as if both lay on the midline
    finding = only_finding(rendered / name, dataclasses.replace(scheme, flip=tuple(flip)))
    assert finding.check == "flip table" and finding.is_fault
    told = f"landmark {first}: the table says {first}, the mean shape says {second}"
    assert told in finding.examples


def test_boxes_in_the_wrong_order_are_told(copy: Callable[[str], Path]) -> None:
    root = copy("aflw")
    path = root / "AFLWinfo_release.mat"
    variables = scipy.io.loadmat(path)
    variables["bbox"] = variables["bbox"][:, [0, 2, 1, 3]]  # left, top, right, bottom
    scipy.io.savemat(path, {k: v for k, v in variables.items() if not k.startswith("__")})
    findings = [f for f in diagnosis_of(root).findings if f.check != "grey pictures"]
    assert [(f.check, f.where, f.is_fault) for f in findings] == [
        ("box order", "train", True),
        ("box order", "full", True),
    ]


def test_boxes_that_do_not_fit_their_landmarks_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("cofw68")
    path = root / "cofw68_test_bboxes.mat"
    boxes = scipy.io.loadmat(path)["bboxes"]
    boxes[4] = [1, 1, 5, 5]
    scipy.io.savemat(path, {"bboxes": boxes})
    finding = only_finding(root)
    assert finding.check == "box ratio" and finding.is_fault
    assert finding.examples[0].startswith("test/0005: box 0 0 5 5")


def test_grey_pictures_are_noted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    path = root / "afw" / "image_0001.png"
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    write_picture(grey, path)  # type: ignore[arg-type]
    findings = diagnosis_of(root).findings
    finding = next(f for f in findings if f.check == "grey pictures" and f.where == "afw")
    assert not finding.is_fault
    assert "afw/image_0001" in finding.examples


def test_names_with_blanks_are_noted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    for suffix in ("png", "pts"):
        path = root / "ibug" / f"image_0009.{suffix}"
        path.rename(path.with_name(f"image_0009 _01.{suffix}"))
    finding = only_finding(root)
    assert finding.check == "names with blanks" and not finding.is_fault
    assert finding.examples == ("ibug/image_0009 _01",)


def test_a_test_face_in_the_training_part_is_named_even_if_saved_anew(
    copy: Callable[[str], Path],
) -> None:
    root = copy("300w")
    source, target = root / "ibug" / "image_0004", root / "afw" / "image_0008"
    picture = cv2.imread(str(source.with_suffix(".png")))
    assert picture is not None
    larger = cv2.resize(picture, None, fx=1.5, fy=1.5)
    target.with_suffix(".png").unlink()
    cv2.imwrite(str(target.with_suffix(".jpg")), larger, [cv2.IMWRITE_JPEG_QUALITY, 80])
    write_pts(
        target.with_suffix(".pts"), (read_pts(source.with_suffix(".pts"), 68) + 0.5) * 1.5 - 0.5
    )
    checks = {finding.check: finding for finding in diagnosis_of(root).findings}
    assert checks["doubles"].is_fault
    assert checks["doubles"].examples == ("ibug/image_0004 = afw/image_0008",)
    # Taking it out would leave a face missing.
    assert (
        checks["doubles"].cure == "get these faces of the training part again: others stand there"
    )


@pytest.mark.parametrize(
    ("known", "is_fault", "told"),
    [
        (("ibug/image_0004",), False, "1 face of the test part in the training part, as in the"),
        (None, False, "1 face of the test part in the training part, perhaps as in the"),
        (("ibug/image_0003",), True, "1 face of the test part in the training part"),
        ((), True, "1 face of the test part in the training part"),
    ],
)
def test_a_double_of_the_official_archive_is_no_fault(
    copy: Callable[[str], Path], known: tuple[str, ...] | None, is_fault: bool, told: str
) -> None:
    root = copy("300w")
    (root / "rendered.json").unlink()  # as if the archive were official
    for suffix in ("png", "pts"):
        shutil.copy(root / "ibug" / f"image_0004.{suffix}", root / "afw" / f"image_0008.{suffix}")
    dataset = DATASETS["300w"]
    parts = {name: dataclasses.replace(p, faces=FACES) for name, p in dataset.parts.items()}
    official = dataclasses.replace(dataset, parts=parts, offset=Offset(), doubles=known)
    diagnosis = examine(open_archive(official, root), REGISTRY.get(Scheme, "68"))
    (finding,) = (f for f in diagnosis.findings if f.check == "doubles")
    assert finding.is_fault == is_fault != diagnosis.healthy
    assert finding.message.startswith(told)
    assert finding.examples == ("ibug/image_0004 = afw/image_0008",)


def test_rescaled_pictures_are_noted(copy: Callable[[str], Path]) -> None:
    root = copy("300w")
    names = [f"AFW68/image_{i:04d}.jpg" for i in range(FACES)]
    shapes = [read_pts(root / "afw" / f"image_{i:04d}.pts", 68) for i in range(FACES)]
    rows = [np.rint(4 * shape.T.ravel()) for shape in shapes]
    variables = {"nameList": np.array([[n] for n in names], object), "data": np.array(rows)}
    scipy.io.savemat(root / "raw_300W_release.mat", variables)
    finding = only_finding(root)
    assert (finding.check, finding.where, finding.is_fault) == ("rescaled pictures", "afw", False)
    assert finding.message.startswith(f"{FACES} of {FACES} faces on rescaled pictures, of 0.25")


def test_the_findings_are_told_as_text_and_as_json(copy: Callable[[str], Path]) -> None:
    root = copy("cofw")
    (root / "COFW_test_color.mat").write_bytes(b"no MATLAB file")
    diagnosis = diagnosis_of(root)
    assert not diagnosis.healthy
    assert "COFW_test_color.mat: cannot be read as a MATLAB file" in diagnosis.text()
    again = json.loads(json.dumps(to_mapping(diagnosis)))
    assert again["dataset"] == "cofw"
    assert {finding["check"] for finding in again["findings"]} >= {
        "missing faces",
        "faulty annotations",
    }


@pytest.mark.slow
def test_of_the_real_subset_only_what_is_missing_is_told(shared_data: Path) -> None:
    dataset = REGISTRY.get(Dataset, "300w")
    archive = open_archive(dataset, shared_data / "300w-subset")
    diagnosis = examine(archive, REGISTRY.get(Scheme, "68"))
    told = [(f.check, f.where, f.message.partition(":")[0]) for f in diagnosis.findings]
    assert told == [
        ("missing faces", "helen-train", "870 of 2000 faces, 1130 missing"),
        ("missing faces", "lfpw-train", "805 of 811 faces, 6 missing"),
        ("missing faces", "lfpw-test", "0 of 224 faces, not there"),
        ("missing faces", "ibug", "0 of 135 faces, not there"),
    ]


def test_too_few_faces_to_tell_the_base_are_noted(tmp_path: Path) -> None:
    root = tmp_path / "cofw68"
    render_layout(REGISTRY.get(Dataset, "cofw68"), root, LEAST_FACES - 1, 96, 3)
    finding = only_finding(root)
    assert finding.check == "off by one" and not finding.is_fault
    assert f"{LEAST_FACES - 1} faces, where {LEAST_FACES} are needed" in finding.message
