"""From the name of a split to prepared faces: what is found, rendered, missing, cached."""

from pathlib import Path

import numpy as np
import pytest

from odnbench.datasets.contact_sheet import OCCLUDED, TILE_PX, VISIBLE, draw_landmarks
from odnbench.datasets.render_layout import render_layout
from odnbench.datasets.rendering.face_parameters import DIFFICULTIES
from odnbench.datasets.sources import find_root, load_faces, split_validation
from odnbench.errors import OdnbenchError
from odnbench.registry import Dataset, Registry
from odnbench.specs import Coverage, DataSpec, Protocol

TINY = DataSpec(input_size=32, rendered_train=20, rendered_test=5)
REGISTRY = Registry.load()


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered faces for each part of 300W, in its official layout."""
    root = tmp_path_factory.mktemp("data") / "300w"
    render_layout(REGISTRY, "300w", root, faces=3, size=96, seed=0)
    return root


def test_a_data_set_is_found_by_its_own_folder_or_the_one_above(on_disk: Path) -> None:
    dataset = REGISTRY.get(Dataset, "300w")
    assert find_root(dataset, on_disk) == on_disk
    assert find_root(dataset, on_disk.parent) == on_disk
    assert find_root(dataset, on_disk / "afw") is None
    assert find_root(dataset, None) is None


def test_rendered_faces_go_through_the_layout_on_disk_unchanged(
    on_disk: Path, tmp_path: Path
) -> None:
    import zlib

    from odnbench.datasets.rendered import render_face

    faces = load_faces(TINY, REGISTRY, on_disk, tmp_path)
    first = faces.test.ids.index("ibug/image_0000")
    drawn = render_face(zlib.crc32(b"ibug"), 0, scheme="68", size=96, difficulty="challenging")
    np.testing.assert_allclose(faces.test.points[first], drawn.points, atol=1e-3)
    assert not faces.test.rendered  # on disk, it is a data set like any other


def test_partial_splits_are_counted_and_named(on_disk: Path, tmp_path: Path) -> None:
    faces = load_faces(TINY, REGISTRY, on_disk, tmp_path)
    assert [str(c) for c in faces.coverage] == ["9 of 3148", "6 of 554", "3 of 135"]
    assert "300w/challenging: 3 of the 135 pictures in ibug/ are there" in faces.notes


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
    first = load_faces(TINY, REGISTRY, on_disk, tmp_path)
    entries = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = load_faces(TINY, REGISTRY, on_disk, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == entries
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.train.images, first.train.images)


def test_a_changed_annotation_is_prepared_anew(tmp_path: Path) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY, "300w", root, faces=2, size=64, seed=1)
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


def test_validation_and_training_part_are_disjoint_and_complete(tmp_path: Path) -> None:
    faces = load_faces(TINY, REGISTRY, None, tmp_path).train
    train, validation = split_validation(faces, 0.1)
    assert len(validation) == 2
    assert set(train.ids) | set(validation.ids) == set(faces.ids)
    assert not set(train.ids) & set(validation.ids)


@pytest.mark.parametrize(
    ("coverage", "text"),
    [
        (Coverage("300w/common", 330, 554, False), "330 of 554"),
        (Coverage("300w/common", 554, 554, False), "554"),
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


@pytest.mark.parametrize("name", REGISTRY.all(Dataset))
def test_every_registered_data_set_is_whole_and_can_be_rendered(name: str, tmp_path: Path) -> None:
    dataset = REGISTRY.get(Dataset, name)
    for parts in dataset.splits.values():
        assert set(parts) <= set(dataset.parts)
        assert len(set(parts)) == len(parts)
    assert {part.rendered for part in dataset.parts.values()} <= set(DIFFICULTIES)
    protocol = next(p for p in REGISTRY.all(Protocol).values() if p.scheme == dataset.scheme)
    for split in (*dataset.splits, *dataset.parts):
        data = DataSpec(
            train=f"{name}/{split}",
            test=(f"{name}/{split}",),
            protocol=protocol.name,
            input_size=32,
            rendered_train=10,
            rendered_test=10,
        )
        faces = load_faces(data, REGISTRY, None, tmp_path)
        assert len(faces.train) == len(faces.test) == 10
        assert set(faces.train.parts) <= {f"{name}/{part}" for part in dataset.parts_of(split)}
        assert faces.train.points.shape == (10, int(dataset.scheme), 2)
