"""From the name of a split to prepared faces: what is found, rendered, missing, cached."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from odnbench.datasets.inspection.contact_sheet import OCCLUDED, TILE_PX, VISIBLE, draw_landmarks
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.rendering.face_parameters import DIFFICULTIES
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.sources import load_faces
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule, Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec
from odnbench.plan.trials import Coverage

TINY = DataSpec(input_size=32, rendered_train=20, rendered_test=5)
REGISTRY = Registry.load()


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered faces for each part of 300W, as if they were the official archive."""
    root = tmp_path_factory.mktemp("data") / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=96, seed=0)
    (root / "rendered.json").unlink()
    return root


def test_partial_splits_are_counted_and_named(on_disk: Path, tmp_path: Path) -> None:
    faces = load_faces(TINY, REGISTRY, on_disk, tmp_path, allow_partial=True)
    assert [str(c) for c in faces.coverage] == ["9 of 3148", "6 of 554", "3 of 135"]
    assert "300w/challenging: 3 of the 135 faces of ibug" in faces.notes
    assert not faces.test.rendered


def test_missing_training_faces_need_the_users_word(on_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OdnbenchError,
        match=r"--allow-partial.*data doctor 300w[^*]*300w/train: 3 of the 337 faces of afw",
    ):
        load_faces(TINY, REGISTRY, on_disk, tmp_path)


def test_a_test_split_that_is_not_there_is_done_without_where_another_is_whole(
    tmp_path: Path,
) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=64, seed=0)
    shutil.rmtree(root / "ibug")
    faces = load_faces(TINY, REGISTRY, root, tmp_path / "cache")
    assert [c.faces for c in faces.coverage] == [9, 6, 0]
    assert "300w/challenging: 0 of the 3 faces of ibug" in faces.notes
    (root / "helen" / "testset" / "image_0000.png").unlink()  # now no test split is whole
    with pytest.raises(OdnbenchError, match="300w/common: 2 of the 3 faces of helen-test"):
        load_faces(TINY, REGISTRY, root, tmp_path / "cache")


def test_faces_rendered_into_a_layout_stay_known_as_rendered(tmp_path: Path) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=64, seed=0)
    faces = load_faces(TINY, REGISTRY, root, tmp_path / "cache")
    assert [str(c) for c in faces.coverage] == [
        "rendered, 9 faces", "rendered, 6 faces", "rendered, 3 faces",
    ]  # fmt: skip
    assert faces.train.rendered and faces.test.rendered


def test_a_face_of_two_splits_is_there_once(tmp_path: Path) -> None:
    data = dataclasses.replace(
        TINY, train="wflw/train", test=("wflw/test", "wflw/pose", "wflw/blur"), protocol="wflw"
    )
    root = tmp_path / "wflw"
    render_layout(REGISTRY.get(Dataset, "wflw"), root, count=30, size=64, seed=0)
    faces = load_faces(data, REGISTRY, root, tmp_path / "cache")
    assert len(set(faces.test.ids)) == len(faces.test) == 30
    whole, pose, blur = faces.coverage[1:]
    assert whole.faces == 30
    for covered, label in ((pose, "pose"), (blur, "blur")):
        assert 0 < covered.faces == sum(label in held.split() for held in faces.test.labels)


def test_a_split_by_label_alone_holds_only_its_faces(tmp_path: Path) -> None:
    data = dataclasses.replace(
        TINY, train="aflw/train", test=("aflw/frontal",), protocol="aflw-paper"
    )
    faces = load_faces(data, REGISTRY, None, tmp_path)
    assert len(faces.test) == TINY.rendered_test
    assert all("all-visible" in held.split() for held in faces.test.labels)
    assert not faces.test.occluded.any()
    assert f"aflw/frontal: {TINY.rendered_test} faces (all 19 points visible)" in faces.notes


def test_other_box_rules_give_other_crops_of_the_same_faces(on_disk: Path, tmp_path: Path) -> None:
    protocol = REGISTRY.get(Protocol, "300w-paper")
    images = []
    for box in REGISTRY.all(BoxRule):
        changed = {**REGISTRY.entries["protocols"], "mine": dataclasses.replace(protocol, box=box)}
        registry = Registry({**REGISTRY.entries, "protocols": changed})
        data = dataclasses.replace(TINY, protocol="mine")
        faces = load_faces(data, registry, on_disk, tmp_path, allow_partial=True)
        images.append(faces.test.images.tobytes())
        np.testing.assert_allclose(faces.test.to_image(faces.test.points_crop), faces.test.points)
    assert len(set(images)) == len(REGISTRY.all(BoxRule))


def test_rendered_splits_say_so_and_share_no_face(tmp_path: Path) -> None:
    faces = load_faces(TINY, REGISTRY, None, tmp_path)
    assert [str(c) for c in faces.coverage] == [
        "rendered, 20 faces",
        "rendered, 5 faces",
        "rendered, 5 faces",
    ]
    assert not set(faces.train.ids) & set(faces.test.ids)
    pictures = {image.tobytes() for image in (*faces.train.images, *faces.test.images)}
    assert len(pictures) == len(faces.train) + len(faces.test)


def test_the_second_time_comes_from_the_cache(on_disk: Path, tmp_path: Path) -> None:
    first = load_faces(TINY, REGISTRY, on_disk, tmp_path, allow_partial=True)
    entries = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = load_faces(TINY, REGISTRY, on_disk, tmp_path, allow_partial=True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == entries
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.train.images, first.train.images)


def test_a_changed_annotation_is_prepared_anew(tmp_path: Path) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=2, size=64, seed=1)
    before = load_faces(TINY, REGISTRY, root, tmp_path / "cache")
    points = root / "afw" / "image_0000.pts"
    lines = points.read_text().splitlines()
    lines[3] = "1.0 1.0"
    points.write_text("\n".join(lines))
    after = load_faces(TINY, REGISTRY, root, tmp_path / "cache")
    changed = after.train.ids.index("afw/image_0000")
    np.testing.assert_array_equal(after.train.points[changed, 0], [0.0, 0.0])
    assert after.fingerprint != before.fingerprint


def test_an_absent_data_set_is_an_error_where_data_are_required(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match="--require-data: 300w not found"):
        load_faces(TINY, REGISTRY, None, tmp_path, require_data=True)


@pytest.mark.parametrize(
    ("coverage", "text"),
    [
        (Coverage("300w/common", 330, 554, False), "330 of 554"),
        (Coverage("300w/common", 554, 554, False), "554"),
        (Coverage("aflw/near-frontal", 900, 0, False), "900"),
        (Coverage("300w/common", 200, 554, True), "rendered, 200 faces"),
    ],
)
def test_coverage_tells_how_much_of_a_split_is_there(coverage: Coverage, text: str) -> None:
    assert str(coverage) == text


def test_landmarks_are_drawn_where_they_are() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    points = np.array([[10.0, 20.0], [50.0, 30.0]])
    truth = np.array([[30.0, 50.0], [31.0, 51.0]])
    tile = draw_landmarks(picture, points, np.array([False, True]), truth)
    scale = TILE_PX / 64
    for (x, y), colour in zip(points, (VISIBLE, OCCLUDED), strict=True):
        column, row = round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5)
        assert tuple(tile[row, column].tolist()) == colour
    white = np.argwhere(tile.min(axis=2) > 100)  # dots are red or green
    assert np.linalg.norm(white.mean(axis=0)[::-1] - (truth.mean(axis=0) * scale + 1)) < 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if n == "wflw" else [])
        for n in REGISTRY.all(Dataset)
    ],
)
def test_every_registered_data_set_is_whole_and_can_be_rendered(name: str, tmp_path: Path) -> None:
    dataset = REGISTRY.get(Dataset, name)
    for split in dataset.splits.values():
        assert set(split.parts) <= set(dataset.parts)
        assert len(set(split.parts)) == len(split.parts)
    assert {part.rendered for part in dataset.parts.values()} <= set(DIFFICULTIES)
    for split_name in (*dataset.splits, *dataset.parts):
        data = DataSpec(
            train=f"{name}/{split_name}",
            test=(f"{name}/{split_name}",),
            protocol=REGISTRY.protocol_of(dataset).name,
            input_size=32,
            rendered_train=10,
            rendered_test=10,
        )
        faces = load_faces(data, REGISTRY, None, tmp_path)
        assert len(faces.train) == len(faces.test) == 10
        parts = dataset.split(split_name).parts
        assert set(faces.train.parts) <= {f"{name}/{part}" for part in parts}
        assert faces.train.points.shape == (10, int(dataset.scheme), 2)


def test_other_boxes_or_pictures_are_other_faces(tmp_path: Path) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=64, seed=0)
    protocol = dataclasses.replace(REGISTRY.get(Protocol, "300w-paper"), box="detector")
    entries = {**REGISTRY.entries["protocols"], "mine": protocol}
    registry = Registry({**REGISTRY.entries, "protocols": entries})
    data = dataclasses.replace(TINY, protocol="mine")
    fingerprints = [load_faces(data, registry, root, tmp_path / "cache").fingerprint]
    path = root / "Bounding Boxes" / "bounding_boxes_afw.mat"
    cells = scipy.io.loadmat(path)["bounding_boxes"]
    for cell in cells.ravel():
        cell["bb_detector"][0, 0][:] += 3
    scipy.io.savemat(path, {"bounding_boxes": cells})
    fingerprints.append(load_faces(data, registry, root, tmp_path / "cache").fingerprint)
    write_picture(np.zeros((64, 64, 3), np.uint8), root / "afw" / "image_0000.png")
    fingerprints.append(load_faces(data, registry, root, tmp_path / "cache").fingerprint)
    assert len(set(fingerprints)) == 3


def test_annotations_without_pictures_send_to_the_doctor(shared_data: Path, tmp_path: Path) -> None:
    data = dataclasses.replace(TINY, test=("cofw68/test",), protocol="cofw68-paper")
    with pytest.raises(OdnbenchError, match=r"cofw68/test: no picture of.*data doctor cofw68"):
        load_faces(data, REGISTRY, shared_data, tmp_path)
