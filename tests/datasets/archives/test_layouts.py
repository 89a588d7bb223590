"""One contract for every data set: rendered faces, written in its official layout, come back."""

import shutil
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from odnbench.datasets.archives.archive import Archive, find_root, open_archive
from odnbench.datasets.archives.tree import Tree
from odnbench.datasets.faces import Face
from odnbench.datasets.pictures import read_as_stored
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
DATASETS = REGISTRY.all(Dataset)
COUNT, SIZE, SEED = 8, 96, 5


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every data set of the registry, a few rendered faces per part, in its official layout."""
    root = tmp_path_factory.mktemp("data")
    for name, dataset in DATASETS.items():
        render_layout(dataset, root / name, COUNT, SIZE, SEED)
    return root


def archive_of(name: str, data_root: Path) -> Archive:
    root = find_root(DATASETS[name], data_root)
    assert root is not None
    return open_archive(DATASETS[name], root)


def read(archive: Archive, part: str) -> list[Face]:
    faults: list[str] = []
    faces = list(archive.faces(part, faults))
    assert not faults
    return faces


PARTS = [(name, part) for name, dataset in DATASETS.items() for part in dataset.parts]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[f"{n}/{p}" for n, p in PARTS])
def test_rendered_faces_come_back_from_the_official_layout(
    data_root: Path, name: str, part: str
) -> None:
    faces = read(archive_of(name, data_root), part)
    drawn = list(islice(draw_faces(DATASETS[name], part, SIZE, seed=SEED), COUNT))
    assert len(faces) == COUNT
    assert len({face.id for face in faces}) == COUNT
    for face, original in zip(faces, drawn, strict=True):
        assert face.image is not None and original.image is not None
        assert face.box is not None and original.box is not None
        np.testing.assert_allclose(face.points, original.points, atol=1e-3)
        np.testing.assert_allclose(face.box, original.box, atol=1e-3)
        np.testing.assert_array_equal(read_as_stored(face.image), original.image)
        if face.occluded is not None:
            np.testing.assert_array_equal(face.occluded, original.occluded)
        assert face.part == f"{name}/{part}"


@pytest.mark.parametrize("name", ["cofw", "cofw68", "aflw"])
def test_occlusion_flags_come_back(data_root: Path, name: str) -> None:
    flags = [f.occluded for p in DATASETS[name].parts for f in read(archive_of(name, data_root), p)]
    assert all(flag is not None for flag in flags)
    assert 0 < np.mean([flag for flag in flags if flag is not None]) < 1


def test_detector_boxes_of_300w_come_back(data_root: Path) -> None:
    faces = read(archive_of("300w", data_root), "ibug")
    drawn = islice(draw_faces(DATASETS["300w"], "ibug", SIZE, seed=SEED), COUNT)
    for face, original in zip(faces, drawn, strict=True):
        assert face.detector_box is not None and original.detector_box is not None
        np.testing.assert_allclose(face.detector_box, original.detector_box, atol=1e-3)


@pytest.mark.parametrize(("name", "part"), [("wflw", "test"), ("aflw", "full")])
def test_labels_of_subsets_come_back(data_root: Path, name: str, part: str) -> None:
    known = {split.label for split in DATASETS[name].splits.values()}
    faces = read(archive_of(name, data_root), part)
    drawn = islice(draw_faces(DATASETS[name], part, SIZE, seed=SEED), COUNT)
    expected = [original.labels & known for original in drawn]
    assert [face.labels & known for face in faces] == expected
    assert any(expected)


@pytest.mark.parametrize("name", DATASETS)
def test_a_rendered_layout_is_known_as_rendered(data_root: Path, name: str) -> None:
    archive = archive_of(name, data_root)
    assert archive.rendered == dict.fromkeys(DATASETS[name].parts, COUNT)
    assert archive.official(next(iter(DATASETS[name].parts))) == COUNT


@pytest.mark.parametrize("name", DATASETS)
def test_the_signature_changes_with_a_file(data_root: Path, name: str, tmp_path: Path) -> None:
    root = shutil.copytree(data_root / name, tmp_path / name)
    archive = open_archive(DATASETS[name], root)
    part = next(iter(DATASETS[name].parts))
    before = archive.signature(part)
    assert open_archive(DATASETS[name], root).signature(part) == before
    path = sorted(archive.files(part))[-1]
    path.write_bytes(path.read_bytes() + b"\0")
    assert archive.signature(part) != before


def test_a_folder_that_holds_something_is_not_rendered_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OdnbenchError, match="not an empty folder"):
        render_layout(DATASETS["300w"], tmp_path, 1, 64, 0)


def test_roots_are_found_by_name_or_content_whatever_the_case(tmp_path: Path) -> None:
    for path in ("COFW_color/COFW_train_color.mat", "WFLW/wflw/WFLW_annotations/list.txt"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert find_root(DATASETS["cofw"], tmp_path) == tmp_path / "COFW_color"
    assert find_root(DATASETS["cofw"], tmp_path / "COFW_color") == tmp_path / "COFW_color"
    assert find_root(DATASETS["wflw"], tmp_path) == tmp_path / "WFLW" / "wflw"
    assert find_root(DATASETS["aflw"], tmp_path) is None
    assert find_root(DATASETS["aflw"], None) is None


def test_the_nearest_of_several_places_is_taken(tmp_path: Path) -> None:
    for path in ("a/b/C", "a/c", "d/e/f/c"):
        (tmp_path / path).mkdir(parents=True)
    tree = Tree.of(tmp_path)
    assert tree.find("c") == tmp_path / "a" / "c"
    assert tree.find("B/c") == tmp_path / "a" / "b" / "C"
    assert tree.find("c", depth=0) is None
    below = {str(Path(place).relative_to(tmp_path)) for place in tree.below(tmp_path / "a")}
    assert below == {"a", "a/b", "a/b/C", "a/c"}


# What is particular to one archive


def test_cofw_is_hdf5_under_the_header_of_matlab_7_3(data_root: Path) -> None:
    path = data_root / "cofw" / "COFW_test_color.mat"
    assert path.read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    with h5py.File(path) as file:
        assert file["phisT"].shape == (87, COUNT)  # the transpose of MATLAB's COUNT × 87
        assert file["bboxesT"].shape == (4, COUNT)
        assert file["IsT"].shape == (1, COUNT)


def test_cofw_counts_from_1_and_its_boxes_are_x_y_width_height(data_root: Path) -> None:
    face = read(archive_of("cofw", data_root), "test")[0]
    with h5py.File(data_root / "cofw" / "COFW_test_color.mat") as file:
        x, y, width, height = file["bboxesT"][:, 0]
        np.testing.assert_allclose(face.points[:, 0], file["phisT"][:29, 0] - 1)
    assert face.box is not None
    assert face.box.tolist() == [x - 1, y - 1, x - 1 + width, y - 1 + height]


def test_cofw68_takes_its_pictures_from_cofw_beside_it(data_root: Path, tmp_path: Path) -> None:
    shutil.copytree(data_root / "cofw68", tmp_path / "cofw68")
    (tmp_path / "cofw68" / "COFW_test_color.mat").rename(tmp_path / "COFW_test_color.mat")
    assert {f.image is None for f in read(archive_of("cofw68", tmp_path), "test")} == {True}
    (tmp_path / "COFW" / "COFW_color").mkdir(parents=True)
    (tmp_path / "COFW_test_color.mat").rename(
        tmp_path / "COFW" / "COFW_color" / "COFW_test_color.mat"
    )
    assert {f.image is None for f in read(archive_of("cofw68", tmp_path), "test")} == {False}


def test_the_507_real_annotations_of_cofw68_load(shared_data: Path) -> None:
    faces = read(open_archive(DATASETS["cofw68"], shared_data / "cofw68"), "test")
    assert [face.id for face in faces] == [f"test/{i:04d}" for i in range(1, 508)]
    occluded = np.stack([face.occluded for face in faces if face.occluded is not None])
    assert occluded.shape == (507, 68)
    assert round(100 * occluded.mean(), 1) == 22.9
    variables = scipy.io.loadmat(shared_data / "cofw68" / "test_annotations" / "1_points.mat")
    np.testing.assert_array_equal(faces[0].points, variables["Points"] - 1)


def test_aflw_takes_left_right_top_bottom_and_a_permutation_from_1(data_root: Path) -> None:
    variables = scipy.io.loadmat(data_root / "aflw" / "AFLWinfo_release.mat")
    order = variables["ra"][0].astype(int) - 1
    archive = archive_of("aflw", data_root)
    train, full = read(archive, "train"), read(archive, "full")
    assert [int(f.id.rpartition("/")[2]) for f in train + full] == order.tolist()
    left, right, top, bottom = variables["bbox"][order[0]]
    assert train[0].box is not None
    assert train[0].box.tolist() == [left, top, right, bottom]


def test_wflw_tells_two_faces_of_one_picture_apart(data_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data_root / "wflw", tmp_path / "wflw")
    path = Tree.of(root).find("list_98pt_rect_attr_test.txt")
    assert path is not None
    first, second, *_ = path.read_text().splitlines()
    shared = " ".join([*second.split()[:-1], first.split()[-1]])
    path.write_text("\n".join([first, shared, first]) + "\n")
    faults: list[str] = []
    faces = list(open_archive(DATASETS["wflw"], root).faces("test", faults))
    assert len(faces) == 2
    assert faces[0].image == faces[1].image
    assert "line 3: the face" in faults[0] and "is there twice" in faults[0]
