"""Face sets: what belongs to a face stays together."""

import dataclasses

import numpy as np
from helpers import random_faces

from odnbench.datasets.faces import FaceSet


def test_a_subset_keeps_what_belongs_to_each_face_together() -> None:
    each = np.arange(5.0)
    whole = dataclasses.replace(
        random_faces(5),
        scales=each,
        offsets=np.stack([each, -each], 1),
        thumbnails=np.arange(5 * 24 * 24, dtype=np.uint8).reshape(5, 24, 24),
    )
    chosen = whole[np.array([3, 1])]
    assert chosen.ids == (whole.ids[3], whole.ids[1])
    assert chosen.groups == (whole.groups[3], whole.groups[1])
    for row, index in enumerate((3, 1)):
        for name in (
            *("images", "points", "crop_to_image", "occluded", "boxes"),
            *("scales", "offsets", "thumbnails"),
        ):
            np.testing.assert_array_equal(getattr(chosen, name)[row], getattr(whole, name)[index])
    assert chosen.fingerprint != whole.fingerprint


def test_sets_join_in_order() -> None:
    first, second = random_faces(2, name="a"), random_faces(3, seed=1, name="b")
    joined = FaceSet.concatenate([first, second])
    assert joined.ids == (*first.ids, *second.ids)
    np.testing.assert_array_equal(joined[np.array([2, 3, 4])].points, second.points)
    assert FaceSet.concatenate([first]) is first


def test_points_go_to_the_crop_and_back() -> None:
    faces = random_faces(4)
    np.testing.assert_allclose(faces.to_image(faces.points_crop), faces.points, atol=1e-9)
    np.testing.assert_allclose(2 * faces.points_crop + [10, 20], faces.points)


def test_the_fingerprint_knows_all_that_decides_a_number() -> None:
    faces = random_faces(3)
    changed = [
        dataclasses.replace(faces, ids=("x", *faces.ids[1:])),
        dataclasses.replace(faces, points=faces.points + 0.01),
        dataclasses.replace(faces, boxes=faces.boxes + 1),
        dataclasses.replace(faces, crop_to_image=faces.crop_to_image + 0.5),
        dataclasses.replace(faces, occluded=~faces.occluded),
        dataclasses.replace(faces, labels=("pose", *faces.labels[1:])),
        dataclasses.replace(faces, pictures="others"),
        dataclasses.replace(faces, offsets=faces.offsets + 0.5),
        dataclasses.replace(faces, groups=("x", *faces.groups[1:])),
    ]
    assert len({faces.fingerprint, *(other.fingerprint for other in changed)}) == 10
