"""The offset of annotations: from the registry's figures to pixels of the pictures on disk."""

import dataclasses
from pathlib import Path

import numpy as np

from odnbench.datasets.offsets import annotation_offsets
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.sources import load_faces
from odnbench.plan.entries import Dataset, Offset
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec

REGISTRY = Registry.load()
DATA = DataSpec(input_size=32, rendered_train=10, rendered_test=5)


def with_offset(offset: Offset) -> Registry:
    """The registry with `offset` for every part of 300W but AFW, which states that it has none."""
    dataset = REGISTRY.get(Dataset, "300w")
    parts = {**dataset.parts, "afw": dataclasses.replace(dataset.parts["afw"], offset=Offset())}
    changed = dataclasses.replace(dataset, offset=offset, parts=parts)
    return Registry({**REGISTRY.entries, "datasets": {"300w": changed}})


def test_an_offset_grows_with_the_scale_of_the_picture_and_with_the_face() -> None:
    scheme = REGISTRY.get(Scheme, "68")
    points = np.zeros((2, 68, 2))
    points[:, 45] = [[30, 40], [60, 80]]  # 50 and 100 px from the other corner
    offset = Offset(px=(0.8, -0.4), share=0.01)
    np.testing.assert_allclose(
        annotation_offsets(points, np.array([1.0, 0.25]), offset, scheme),
        [[0.8 + 0.5, -0.4], [0.2 + 1.0, -0.1]],
    )


def test_a_part_may_state_an_offset_of_its_own() -> None:
    dataset = with_offset(Offset(px=(0.5, 0.5))).get(Dataset, "300w")
    assert dataset.offset_of("helen-train") == Offset(px=(0.5, 0.5))
    assert dataset.offset_of("afw") == Offset()


def test_faces_on_disk_carry_the_offset_of_their_part_without_being_prepared_anew(
    tmp_path: Path,
) -> None:
    root, cache = tmp_path / "300w", tmp_path / "cache"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=64, seed=0)
    (root / "rendered.json").unlink()  # as if the archive were official
    plain = load_faces(DATA, with_offset(Offset()), None, cache).train
    assert not plain.offsets.any()  # rendered stand-ins
    found = {
        px: load_faces(DATA, with_offset(Offset((px, 2 * px))), root, cache, allow_partial=True)
        for px in (0.0, 0.5)
    }
    folders = set(cache.iterdir())
    again = load_faces(DATA, with_offset(Offset((0.7, 0))), root, cache, allow_partial=True)
    assert set(cache.iterdir()) == folders
    assert again.train.offsets.max() == 0.7
    train = found[0.5].train
    in_afw = np.array([part == "300w/afw" for part in train.parts])
    assert in_afw.any() and not in_afw.all()
    np.testing.assert_array_equal(train.offsets[~in_afw], [[0.5, 1.0]] * (~in_afw).sum())
    assert not train.offsets[in_afw].any()
    assert found[0.0].fingerprint != found[0.5].fingerprint


def test_faces_rendered_into_a_layout_have_no_offset(tmp_path: Path) -> None:
    root = tmp_path / "300w"
    render_layout(REGISTRY.get(Dataset, "300w"), root, count=3, size=64, seed=0)
    faces = load_faces(DATA, with_offset(Offset((0.5, 0.5))), root, tmp_path / "cache")
    assert not faces.train.offsets.any() and not faces.test.offsets.any()
