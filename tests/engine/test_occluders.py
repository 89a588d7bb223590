"""Pasted occluders: pictures, masks and flags agree."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import random_faces
from torch import Tensor

from odnbench.datasets.rendering.render import render_face
from odnbench.engine.augment import to_unit
from odnbench.engine.evaluate import with_occluders
from odnbench.engine.occluders import TEST_SEED, TRAINING_SEED, Occluders

SIZE = 64


def faces(count: int = 16) -> tuple[Tensor, Tensor]:
    """Pictures (B, 3, s, s) of rendered faces and their points (B, 68, 2) in [-1, 1]."""
    drawn = [render_face(0, index, size=SIZE) for index in range(count)]
    images = torch.from_numpy(np.stack([face.image for face in drawn])).permute(0, 3, 1, 2)
    points = torch.from_numpy(np.stack([face.points for face in drawn])).float()
    return images.float(), to_unit(points, SIZE)


def occluders(share: float = 1.0, seed: int = TRAINING_SEED) -> Occluders:
    return Occluders.of(seed, share, torch.device("cpu"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_mask_is_where_the_picture_has_changed() -> None:
    images, points = faces()
    pasted, masks = occluders().paste(images, points, generator())
    changed = (pasted - images).abs().amax(dim=1, keepdim=True)
    around = torch.nn.functional.max_pool2d(masks, 9, stride=1, padding=4)
    assert changed[around == 0].max() < 2  # grey levels: edges are soft
    assert ((changed > 2) & (masks > 0)).sum() > 0.9 * masks.sum()
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert pasted.min() >= 0 and pasted.max() <= 255


def test_nearly_every_occluder_covers_a_part_of_the_face_and_none_covers_it_all() -> None:
    images, points = faces(64)
    _, masks = occluders().paste(images, points, generator())
    at = torch.nn.functional.grid_sample(masks, points[:, None], align_corners=False)[:, 0, 0]
    covered = (at > 0.5).float().mean(dim=1)
    assert (covered > 0).float().mean() > 0.9
    assert covered.max() < 1 and 0.1 < covered.mean() < 0.4


def test_as_many_faces_get_an_occluder_as_were_asked_for() -> None:
    images, points = faces()
    images, points = images.repeat(20, 1, 1, 1), points.repeat(20, 1, 1)
    _, masks = occluders(share=0.25).paste(images, points, generator())
    assert masks.amax(dim=(1, 2, 3)).mean() == pytest.approx(0.25, abs=0.08)
    pasted, none = occluders(share=0.0).paste(images, points, generator())
    assert torch.equal(pasted, images) and not none.any()


def test_the_same_seed_pastes_the_same_and_another_seed_something_else() -> None:
    images, points = faces()
    first, again, other = (
        occluders().paste(images, points, generator(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_an_occluder_moves_with_its_face() -> None:
    images, points = faces()
    _, masks = occluders().paste(images, points, generator())
    moved = points * 0.5 + torch.tensor([0.3, -0.2])
    _, masks_of_moved = occluders().paste(images, moved, generator())
    compared = 0
    for mask, of_moved in zip(masks[:, 0], masks_of_moved[:, 0], strict=True):
        if 0 < mask[1:-1, 1:-1].sum() == mask.sum():  # not cut off by the edge
            centre, centre_of_moved = (
                to_unit(torch.nonzero(m).float().mean(dim=0).flip(0), SIZE)
                for m in (mask, of_moved)
            )
            expected = centre * 0.5 + torch.tensor([0.3, -0.2])
            torch.testing.assert_close(centre_of_moved, expected, atol=0.04, rtol=0)
            compared += 1
    assert compared > 4


def test_a_patch_shows_another_picture_of_the_batch() -> None:
    _, points = faces()
    levels = 10.0 * torch.arange(1, 17)
    images = levels[:, None, None, None].expand(16, 3, SIZE, SIZE)
    pasted, masks = occluders().paste(images, points, generator())
    inside = [picture[:, mask[0] > 0] for picture, mask in zip(pasted, masks, strict=True)]
    flat = [colours.median() for colours in inside if colours.std() < 5]
    assert len(flat) >= 4  # sprites have colours of their own
    assert all(min(abs(float(level) - 10.0 * k) for k in range(1, 17)) < 1 for level in flat)


def test_test_faces_get_occluders_that_were_not_trained_on() -> None:
    training, test = occluders().sprites, occluders(seed=TEST_SEED).sprites
    distances = torch.cdist(training.flatten(1), test.flatten(1))
    assert distances.min() > 0


def test_flags_and_masks_of_occluded_test_faces_tell_what_was_pasted() -> None:
    clean = dataclasses.replace(random_faces(12, size=80), occluded=np.zeros((12, 68), np.bool_))
    found = with_occluders(clean, SIZE)
    changed = (found.images != clean.images).any(axis=-1)
    assert not changed[:, :8].any() and not changed[:, :, -8:].any()  # outside of the input
    assert found.masks.shape == (12, 80, 80)
    rows, columns = np.rint(clean.points_crop[..., ::-1]).astype(int).transpose(2, 0, 1)
    at = found.masks[np.arange(12)[:, None], rows, columns] > 127
    assert (at != found.occluded).mean() < 0.03  # landmarks on an edge
    assert 0.05 < found.occluded.mean() < 0.6
    again = with_occluders(clean, SIZE)
    assert np.array_equal(found.images, again.images)
    assert np.array_equal(found.points, clean.points) and found.ids == clean.ids


def test_what_was_occluded_before_stays_so_under_pasted_occluders() -> None:
    faces = random_faces(6, size=80)
    masks = np.zeros((6, 16, 16), np.uint8)
    masks[:, :4] = 255
    found = with_occluders(dataclasses.replace(faces, masks=masks), SIZE)
    assert found.occluded[faces.occluded].all()
    assert (found.masks[:, :18] > 200).all()
