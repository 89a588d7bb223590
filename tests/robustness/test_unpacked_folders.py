"""Archives unpack into one or two levels of folders more, and clones bring their own: docs/datasets
promises that they are read as they are.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import REGISTRY, Run

from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

FACES = 2  # of each part
PARTS = {
    "300w": "helen-train 2 of 2, lfpw-train 2 of 2, afw 2 of 2, helen-test 2 of 2, "
    "lfpw-test 2 of 2, ibug 2 of 2, indoor 2 of 2, outdoor 2 of 2",
    "cofw": "train 2 of 2, test 2 of 2",
    "cofw68": "test 2 of 2",
    "aflw": "train 2 of 2, full 2 of 2",
    "wflw": "train 2 of 2, test 2 of 2",
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in PARTS:
        render_layout(REGISTRY.get(Dataset, name), root / name, FACES, 64, 3)
    return root


@pytest.fixture
def data(rendered: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The name of a data set → a copy of it below a data root."""
    return lambda name: shutil.copytree(rendered / name, tmp_path / "data" / name)


def assert_whole(odnbench: Run, data_root: Path, name: str) -> None:
    done = odnbench("data", "doctor", name, "--data-root", str(data_root))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"faces: {PARTS[name]}" in done.stdout
    done = odnbench("data", "prepare", name, "--data-root", str(data_root), "--input-size", "32")
    assert done.returncode == 0, done.stderr


def nest(folder: Path, levels: int = 1) -> None:
    """Puts what is in `folder` that many levels of folders of the same name further down."""
    for _ in range(levels):
        aside = folder.rename(folder.with_name("aside"))
        folder.mkdir()
        aside.rename(folder / folder.name)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("wflw", ["WFLW_images", "WFLW_annotations"]),
        ("cofw68", ["test_annotations"]),
        ("aflw", ["flickr"]),
        ("300w", ["afw", "helen", "lfpw/trainset", "ibug", "01_indoor", "Bounding Boxes"]),
    ],
)
def test_a_folder_in_a_folder_of_its_name_is_read(
    odnbench: Run, data: Callable[[str], Path], name: str, folders: list[str], levels: int
) -> None:
    root = data(name)
    for folder in folders:
        nest(root / folder, levels)
    assert_whole(odnbench, root.parent, name)


@pytest.mark.parametrize("name", PARTS)
def test_a_data_set_in_folders_of_its_name_is_found(
    odnbench: Run, data: Callable[[str], Path], name: str
) -> None:
    root = data(name)
    nest(root, levels=2)
    assert_whole(odnbench, root.parent, name)  # DIR holds a folder for each data set
    assert_whole(odnbench, root, name)  # DIR is the data set itself


@pytest.mark.parametrize("clone", ["cofw68-benchmark", "cofw68-benchmark-master", "my clone"])
def test_the_clone_of_cofw68_is_a_data_root(
    odnbench: Run, data: Callable[[str], Path], clone: str
) -> None:
    root = data("cofw68")
    (root / "COFW_test_color.mat").rename(root.parent / "COFW_test_color.mat")
    (root.parent / clone).mkdir()
    (root.parent / clone / "README.md").touch()
    root.rename(root.parent / clone / "COFW68_Data")
    (root.parent / clone / "cofw").mkdir()
    (root.parent / "COFW_test_color.mat").rename(root.parent / clone / "cofw/COFW_test_color.mat")
    assert_whole(odnbench, root.parent / clone, "cofw68")
    if clone != "my clone":
        assert_whole(odnbench, root.parent, "cofw68")
        nest((root.parent / clone / "cofw").rename(root.parent / "COFW_color"))
        assert_whole(odnbench, root.parent, "cofw68")  # COFW is beside the clone


def test_a_face_that_was_unpacked_twice_is_told(odnbench: Run, data: Callable[[str], Path]) -> None:
    root = data("cofw68")
    shutil.copytree(root / "test_annotations", root / "test_annotations/test_annotations")
    done = odnbench("data", "doctor", "cofw68", "--data-root", str(root))
    assert done.returncode == 1
    assert "1_points.mat: the same face is also at" in done.stdout
    assert "Traceback" not in done.stderr
