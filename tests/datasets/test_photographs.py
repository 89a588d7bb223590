"""Faces of one photograph: found by name and by content, kept on one side, annotated twice."""

import dataclasses
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import random_faces

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.archives.pts import write_pts
from odnbench.datasets.crop import THUMBNAIL_PX, thumbnail_of
from odnbench.datasets.faces import Face, FaceSet
from odnbench.datasets.photographs import ALIKE, Doubles, alike, by_photograph, find_doubles
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.datasets.sources import load_faces, split_validation
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec

REGISTRY = Registry.load()
SCHEME = REGISTRY.get(Scheme, "68")
RECIPE = Recipe(REGISTRY.get(BoxRule, "landmarks"), 1.25, 160)
MOVED_PX = 3.0  # by which the second annotation is moved
POINTS = np.random.default_rng(5).uniform(60, 140, (68, 2))


def photograph(seed: int) -> Bytes:
    """(200, 200, 3): smooth noise, the same for the same seed."""
    noise = np.random.default_rng(seed).uniform(0, 255, (200, 200, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 8)
    return cv2.normalize(smooth, np.empty_like(smooth), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def face(name: str, picture: Bytes, points: Floats, group: str = "") -> Face:
    return Face(name, "300w/afw", picture, points, group=group)


def rescaled(picture: Bytes, points: Floats, scale: float) -> tuple[Bytes, Floats]:
    larger = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return larger, (points + 0.5) * scale - 0.5  # type: ignore[return-value]


def prepared(faces: list[Face], folder: Path) -> FaceSet:
    return prepare(faces, "300w/afw", RECIPE, folder, rendered=False, faults=[])


@pytest.fixture
def annotated_twice(tmp_path: Path) -> FaceSet:
    """Six photographs, of which one is there again: larger, paler, with points moved right."""
    faces = [face(f"{seed}", photograph(seed), POINTS) for seed in range(6)]
    larger, points = rescaled(photograph(1), POINTS + np.array([MOVED_PX, 0]), 1.3)
    faces.insert(3, face("again", (larger * 0.7 + 40).astype(np.uint8), points))
    return prepared(faces, tmp_path / "set")


def test_a_photograph_saved_anew_is_found_by_its_content(annotated_twice: FaceSet) -> None:
    assert alike(annotated_twice.thumbnails).tolist() == [[1, 3]]


def test_pairs_are_those_whose_correlation_is_above_the_threshold() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(60, 190, (THUMBNAIL_PX, THUMBNAIL_PX))
    thumbnails = np.stack([one + rng.integers(-s, s + 1, one.shape) for s in range(60)])
    thumbnails = np.concatenate([thumbnails, np.zeros((1, *one.shape), int)]).astype(np.uint8)
    correlations = np.corrcoef(thumbnails[:-1].reshape(60, -1))
    expected = np.argwhere(np.triu(correlations > ALIKE, k=1))
    assert 0 < len(expected) < 60 * 59 / 2
    np.testing.assert_array_equal(alike(thumbnails), expected)  # the black one has no double


def test_more_faces_than_are_compared_at_a_time_are_all_compared() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (2600, 24, 24), np.uint8)
    thumbnails[2500], thumbnails[1024] = thumbnails[7], thumbnails[1023]
    assert alike(thumbnails).tolist() == [[7, 2500], [1023, 1024]]


def test_a_thumbnail_shows_the_square_around_the_landmarks() -> None:
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[30:78, 40:88] = 200
    corners = np.array([[40.0, 30.0], [88.0, 78.0]])
    assert (thumbnail_of(picture, corners)[1:-1, 1:-1] == 200).all()
    assert thumbnail_of(picture, corners - 24)[:11, :11].max() == 0
    assert thumbnail_of(picture, corners - 24)[13:-1, 13:-1].min() == 200
    assert not thumbnail_of(picture, corners + 1e6).any()  # landmarks of another picture


def test_faces_of_one_photograph_get_one_group_and_the_repeatability_is_told(
    annotated_twice: FaceSet, tmp_path: Path
) -> None:
    faces, note = by_photograph(annotated_twice, SCHEME, tmp_path)
    assert faces.groups == ("0", "1", "2", "1", "3", "4", "5")
    percent = 100 * MOVED_PX / np.linalg.norm(POINTS[36] - POINTS[45])
    assert note.startswith("one photograph is there more than once, each time annotated anew; ")
    told = float(note.partition("differ by ")[2].partition(" %")[0])
    assert told == pytest.approx(percent, abs=0.3)
    assert faces.fingerprint != annotated_twice.fingerprint  # it decides the validation part


def test_the_distance_is_that_of_the_annotations_in_one_picture(annotated_twice: FaceSet) -> None:
    found = find_doubles(annotated_twice, SCHEME)
    expected = MOVED_PX / np.linalg.norm(POINTS[36] - POINTS[45])
    assert found.distances.tolist() == [pytest.approx(expected, rel=0.05)]


def test_a_pair_that_does_not_register_has_no_distance(annotated_twice: FaceSet) -> None:
    images = np.array(annotated_twice.images)
    images[3] = images[0]
    found = find_doubles(dataclasses.replace(annotated_twice, images=images), SCHEME)
    assert np.isnan(found.distances).all()
    assert np.isnan(found.repeatability)


def test_each_photograph_counts_once_however_often_it_is_there() -> None:
    pairs = np.array([[0, 1], [0, 4], [1, 4], [2, 3], [5, 6]])
    found = Doubles(pairs, np.array([0.1, 0.3, np.nan, 0.02, 0.04]))
    assert found.photographs.tolist() == [0, 0, 0, 1, 2]
    assert found.repeatability == pytest.approx(0.04)  # of 0.2, 0.02 and 0.04


def test_groups_by_name_and_by_content_are_joined(tmp_path: Path) -> None:
    faces = [
        face("a_1", photograph(0), POINTS, "a"),
        face("a_2", photograph(1), POINTS, "a"),
        face("b_1", photograph(2), POINTS, "b"),
        face("b_2", photograph(1), POINTS, "b"),
        face("c", photograph(3), POINTS),
    ]
    grouped, _ = by_photograph(prepared(faces, tmp_path / "set"), SCHEME, tmp_path)
    assert grouped.groups == ("a", "a", "a", "a", "c")


def test_the_comparison_is_made_once(
    annotated_twice: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = by_photograph(annotated_twice, SCHEME, tmp_path)
    moved = dataclasses.replace(annotated_twice, offsets=annotated_twice.offsets + 1)
    monkeypatch.setattr("odnbench.datasets.photographs.alike", None)
    again = by_photograph(moved, SCHEME, tmp_path)
    assert again[0].groups == first[0].groups and again[1] == first[1]


def test_a_damaged_comparison_is_made_anew(annotated_twice: FaceSet, tmp_path: Path) -> None:
    first = by_photograph(annotated_twice, SCHEME, tmp_path)
    (path,) = tmp_path.glob("*.doubles")
    path.write_bytes(path.read_bytes()[:50])
    again = by_photograph(annotated_twice, SCHEME, tmp_path)
    assert again[0].groups == first[0].groups and again[1] == first[1]


def test_a_cache_that_cannot_be_written_is_told(annotated_twice: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"absent.*cannot be written"):
        by_photograph(annotated_twice, SCHEME, tmp_path / "absent")


def test_rendered_faces_are_each_a_photograph_of_its_own(
    annotated_twice: FaceSet, tmp_path: Path
) -> None:
    rendered = dataclasses.replace(annotated_twice, rendered=True)
    faces, note = by_photograph(rendered, SCHEME, tmp_path / "absent")
    assert (faces, note) == (rendered, "")
    assert len(set(faces.groups)) == len(faces)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 0.5])
def test_no_photograph_stands_on_both_sides_and_the_share_is_as_wanted(fraction: float) -> None:
    sizes = [1] * 60 + [2] * 30 + [3] * 10 + [9, 12]
    groups = [f"{i}" for i, size in enumerate(sizes) for _ in range(size)]
    np.random.default_rng(3).shuffle(groups)
    faces = dataclasses.replace(random_faces(len(groups)), groups=tuple(groups))
    train, validation = split_validation(faces, fraction)
    held = {groups[row] for row in validation}
    assert not held & {groups[row] for row in train}
    assert sorted([*train, *validation]) == list(range(len(groups)))
    others = min(Counter(g for g in groups if g not in held).values())
    assert 0 <= round(fraction * len(groups)) - len(validation) < others
    for first, second in zip((train, validation), split_validation(faces, fraction), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_smaller_share_of_the_training_faces_is_part_of_a_larger_one() -> None:
    faces = random_faces(50)
    whole, validation = split_validation(faces, 0.1)
    before = set[int]()
    for share, count in ((0.1, 4), (0.5, 22), (1.0, 45)):
        rows, same = split_validation(faces, 0.1, share)
        assert len(rows) == len(set(rows)) == count
        assert before < set(rows) <= set(whole)
        np.testing.assert_array_equal(same, validation)
        before = set(rows)
    with pytest.raises(OdnbenchError, match=r"with data.train_fraction 0.02; raise it"):
        split_validation(faces, 0.1, 0.02)


def test_where_no_photograph_fits_the_smallest_is_validated_on() -> None:
    faces = dataclasses.replace(random_faces(9), groups=("a",) * 5 + ("b",) * 4)
    train, validation = split_validation(faces, 0.1)
    assert train.tolist() == [0, 1, 2, 3, 4]
    assert validation.tolist() == [5, 6, 7, 8]


def test_a_single_photograph_cannot_be_divided() -> None:
    faces = dataclasses.replace(random_faces(9), groups=("a",) * 9)
    with pytest.raises(OdnbenchError, match="9 faces of 1 photographs leave 0 to train on"):
        split_validation(faces, 0.1)


def test_names_of_300w_tell_the_faces_of_one_photograph(tmp_path: Path) -> None:
    expected = {
        "afw/134212_1": "afw/134212",
        "afw/134212_2": "afw/134212",
        "helen/trainset/296814969_3": "helen/trainset/296814969",
        "lfpw/trainset/image_0014": "lfpw/trainset/image_0014",
        "ibug/image_014": "ibug/image_014",
        "ibug/image_014_01": "ibug/image_014",
        "ibug/image_092 _01": "ibug/image_092",
        "01_indoor/indoor_001": "01_indoor/indoor_001",
    }
    for name in expected:
        write_picture(np.zeros((8, 8, 3), np.uint8), tmp_path / f"{name}.png")
        write_pts(tmp_path / f"{name}.pts", POINTS)
    archive = open_archive(REGISTRY.get(Dataset, "300w"), tmp_path)
    found = {f.id: f.group for part in archive.dataset.parts for f in archive.faces(part, [])}
    assert found == expected


def test_the_doubles_of_the_real_subset_are_found_and_never_divided(
    shared_data: Path, tmp_path: Path
) -> None:
    data = DataSpec(input_size=96, test=("300w/helen-test",))
    root = shared_data / "300w-subset"
    loaded = load_faces(data, REGISTRY, root, tmp_path, allow_partial=True)
    faces = loaded.train
    assert "300w/train: 49 photographs are there more than once" in loaded.notes[-1]
    share = float(loaded.notes[-1].partition("differ by ")[2].partition(" %")[0])
    assert share == pytest.approx(2.5, abs=0.3)  # measured before, in another way
    pairs = alike(faces.thumbnails)
    parts = Counter(faces.parts[first] for first in pairs[:, 0].tolist())
    assert parts["300w/lfpw-train"] >= 88 and parts["300w/helen-train"] >= 7  # known before
    rows, validation = split_validation(faces, data.validation_fraction)
    assert not {faces.groups[i] for i in rows} & {faces.groups[i] for i in validation}
    assert len(validation) == round(len(faces) * data.validation_fraction)
