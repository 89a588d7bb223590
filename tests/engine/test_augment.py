"""Augmentation: pictures and points move together."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from odnbench.datasets.rendering.face_parameters import FaceParameters
from odnbench.datasets.rendering.render import draw, render_face
from odnbench.engine.augment import (
    IDENTITY,
    central_crop,
    normalise,
    resample,
    sample_transforms,
    to_pixels,
    to_unit,
)
from odnbench.networks.base import IMAGENET, Normalisation
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import AugmentSpec

STORED, SIZE = 80, 64
FLIP = torch.tensor(Registry.load().get(Scheme, "68").flip)
NO_OFFSET = torch.zeros(1, 2)
STRONG = AugmentSpec(rotation_deg=40.0, scale=0.25, translation=0.1, flip=0.5)
STRETCHED = dataclasses.replace(STRONG, scale=0.1, shear_deg=20.0, aspect=0.2)


def batch(count: int = 6) -> tuple[Tensor, Tensor]:
    """Smooth random pictures (B, S, S, 3) and points (B, 68, 2) on them."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, STORED, STORED, 3), np.uint8)
    images = np.stack([cv2.GaussianBlur(picture, (0, 0), 3) for picture in noise])
    return torch.from_numpy(images), torch.from_numpy(rng.uniform(15, 65, (count, 68, 2))).float()


def test_without_augmentation_the_central_crop_comes_out() -> None:
    images, points = batch()
    transforms, mirrored = sample_transforms(len(images), IDENTITY, torch.Generator())
    inputs, targets = resample(images, points, NO_OFFSET, transforms, mirrored, FLIP, SIZE)
    torch.testing.assert_close(inputs, central_crop(images, SIZE), atol=1e-3, rtol=0)
    torch.testing.assert_close(to_pixels(targets, SIZE), points - (STORED - SIZE) / 2)


@pytest.mark.parametrize(
    "normalisation", [IMAGENET, Normalisation((0.5, 0.4, 0.3), (0.5, 0.25, 0.2))]
)
def test_the_network_sees_zero_mean_and_unit_deviation_channels_last(
    normalisation: Normalisation,
) -> None:
    images, _ = batch()
    found = normalise(central_crop(images, SIZE), normalisation)
    centre = images[:, 8:72, 8:72].permute(0, 3, 1, 2) / 255
    mean, deviation = torch.tensor(normalisation)[:, :, None, None]
    torch.testing.assert_close(found, (centre - mean) / deviation, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("spec", [STRONG, STRETCHED])
def test_points_follow_their_pixels(spec: AugmentSpec) -> None:
    rng = np.random.default_rng(1)
    points = torch.from_numpy(rng.uniform(30, 50, (32, 68, 2))).float()
    images = np.zeros((32, STORED, STORED, 3), np.uint8)
    for image, (x, y) in zip(images, points[:, 30].tolist(), strict=True):  # the nose's tip
        cv2.circle(image, (round(16 * x), round(16 * y)), 48, (255,) * 3, -1, cv2.LINE_AA, 4)
    transforms, mirrored = sample_transforms(32, spec, torch.Generator().manual_seed(2))
    assert 0 < int(mirrored.sum()) < 32
    inputs, targets = resample(
        torch.from_numpy(images),
        points,
        NO_OFFSET,
        transforms,
        mirrored,
        FLIP,
        SIZE,
    )
    light = inputs[:, 0]
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    total = light.sum(dim=(1, 2))
    centre = torch.stack([(light * columns).sum((1, 2)), (light * rows).sum((1, 2))], 1)
    found = centre / total[:, None]
    # landmark 30 is on the face's axis: mirrored, it is itself
    assert (found - to_pixels(targets, SIZE)[:, 30]).norm(dim=1).max() < 0.5


def test_flipping_twice_is_the_identity() -> None:
    images, points = batch()
    flip_only = dataclasses.replace(IDENTITY, flip=1.0)
    transforms, mirrored = sample_transforms(len(images), flip_only, torch.Generator())
    assert mirrored.all()
    once, targets = resample(images, points, NO_OFFSET, transforms, mirrored, FLIP, STORED)
    as_bytes = once.permute(0, 2, 3, 1).round().byte()
    twice, back = resample(
        as_bytes,
        to_pixels(targets, STORED),
        NO_OFFSET,
        transforms,
        mirrored,
        FLIP,
        STORED,
    )
    torch.testing.assert_close(twice, images.permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(to_pixels(back, STORED), points)
    assert not torch.equal(once, twice)


def test_a_flip_mirrors_a_symmetric_rendered_face_onto_itself() -> None:
    face = draw(FaceParameters(), "68", STORED)  # neutral, frontal, evenly lit
    images, points = torch.from_numpy(face.image[None]), torch.from_numpy(face.points[None]).float()
    flip_only = dataclasses.replace(IDENTITY, flip=1.0)
    transforms, mirrored = sample_transforms(1, flip_only, torch.Generator())
    inputs, targets = resample(images, points, NO_OFFSET, transforms, mirrored, FLIP, STORED)
    torch.testing.assert_close(to_pixels(targets, STORED), points, atol=1e-3, rtol=0)
    difference = inputs[0].permute(1, 2, 0) - images[0]
    assert difference.abs().mean() < 1  # grey levels; anti-aliasing and the glint of the eyes


def test_a_flip_is_the_mirror_image() -> None:
    face = render_face(0, 3, size=STORED)
    images, points = torch.from_numpy(face.image[None]), torch.from_numpy(face.points[None]).float()
    flip_only = dataclasses.replace(IDENTITY, flip=1.0)
    transforms, mirrored = sample_transforms(1, flip_only, torch.Generator())
    inputs, targets = resample(images, points, NO_OFFSET, transforms, mirrored, FLIP, STORED)
    expected = torch.from_numpy(np.ascontiguousarray(face.image[:, ::-1])).float()
    torch.testing.assert_close(inputs[0].permute(1, 2, 0), expected, atol=1e-3, rtol=0)
    by_hand = points[0][FLIP] * torch.tensor([-1.0, 1.0]) + torch.tensor([STORED - 1.0, 0.0])
    torch.testing.assert_close(to_pixels(targets, STORED)[0], by_hand)


@pytest.mark.parametrize("shear_deg", [None, 15.0])
@pytest.mark.parametrize("rotation_deg", [0.0, 30.0])
def test_the_mirror_image_of_an_offset_annotation_has_the_same_offset(
    rotation_deg: float, shear_deg: float | None
) -> None:
    """A mirrored face is annotated where an annotator with the same habit would have clicked."""
    face = render_face(0, 3, size=STORED)
    images, meant = torch.from_numpy(face.image[None]), torch.from_numpy(face.points[None]).float()
    offset = torch.tensor([[1.5, 0.75]])
    spec = AugmentSpec(rotation_deg=rotation_deg, scale=0.1, translation=0.05, flip=1.0)
    spec = dataclasses.replace(spec, shear_deg=shear_deg, aspect=shear_deg and 0.2)
    transforms, mirrored = sample_transforms(1, spec, torch.Generator().manual_seed(2))
    none = torch.zeros(1, 2)
    _, targets = resample(
        images, meant + offset[:, None], offset, transforms, mirrored, FLIP, STORED
    )
    _, of_meant = resample(images, meant, none, transforms, mirrored, FLIP, STORED)
    # The same motion without the mirror image turns and scales the offset.
    turned = transforms[0, :, :2] @ torch.diag(torch.tensor([-1.0, 1.0]))
    expected = to_pixels(of_meant, STORED) + torch.linalg.solve(turned, offset[0])
    torch.testing.assert_close(to_pixels(targets, STORED), expected, atol=1e-4, rtol=0)
    _, ignored = resample(images, meant + offset[:, None], none, transforms, mirrored, FLIP, STORED)
    assert (to_pixels(ignored, STORED) - expected).abs().max() > 1


def test_a_face_that_is_not_mirrored_keeps_its_published_annotation() -> None:
    face = render_face(0, 3, size=STORED)
    images, points = torch.from_numpy(face.image[None]), torch.from_numpy(face.points[None]).float()
    transforms, mirrored = sample_transforms(1, IDENTITY, torch.Generator())
    offset = torch.tensor([[1.5, 0.75]])
    _, targets = resample(images, points, offset, transforms, mirrored, FLIP, STORED)
    torch.testing.assert_close(to_pixels(targets, STORED), points)


def test_unit_and_pixels_are_inverse_and_meet_the_edges() -> None:
    points = torch.tensor([[-0.5, 79.5]])
    assert to_unit(points, 80).tolist() == [[-1.0, 1.0]]
    torch.testing.assert_close(to_pixels(to_unit(points, 80), 80), points)


def test_the_same_seed_draws_the_same_transforms() -> None:
    first = sample_transforms(16, STRONG, torch.Generator().manual_seed(4))
    second = sample_transforms(16, STRONG, torch.Generator().manual_seed(4))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_transforms_stay_within_their_limits() -> None:
    transforms, mirrored = sample_transforms(5000, STRONG, torch.Generator().manual_seed(5))
    A = transforms[:, :, :2]
    scale = torch.linalg.det(A).abs().sqrt()
    angle = torch.rad2deg(torch.atan2(-A[:, 0, 1], A[:, 1, 1]))
    assert 0.75 <= scale.min() < 0.77 and 1.23 < scale.max() <= 1.2501
    assert 38 < angle.abs().max() <= 40.001
    assert transforms[:, :, 2].abs().max() <= 0.2
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_window_is_stretched_then_sheared_then_turned_and_scaled() -> None:
    """Each factor found by a QR decomposition lies within its limits and reaches them."""
    count = 4000
    transforms, mirrored = sample_transforms(count, STRETCHED, torch.Generator().manual_seed(5))
    A = transforms[:, :, :2].double().numpy()
    A[mirrored.numpy(), :, 0] *= -1
    Q, R = np.linalg.qr(A)
    signs = np.sign(np.diagonal(R, axis1=1, axis2=2))
    Q, R = Q * signs[:, None], R * signs[:, :, None]  # a rotation, and a positive diagonal
    angle = np.degrees(np.arctan2(Q[:, 1, 0], Q[:, 0, 0]))
    slope = np.degrees(np.arctan(R[:, 0, 1] / R[:, 1, 1]))
    assert 38 < np.abs(angle).max() <= 40.001
    assert 19 < np.abs(slope).max() <= 20.001
    for side in (R[:, 0, 0], R[:, 1, 1]):
        assert 0.9 * 0.8 - 1e-6 <= side.min() < 0.75 and 1.27 < side.max() <= 1.1 * 1.2 + 1e-6
    ratio = R[:, 0, 0] / R[:, 1, 1]
    assert 0.8 / 1.2 - 1e-6 <= ratio.min() < 0.7 and 1.4 < ratio.max() <= 1.2 / 0.8 + 1e-6


def test_shear_and_aspect_leave_the_other_draws_as_they_are() -> None:
    plain = dataclasses.replace(STRETCHED, shear_deg=None, aspect=None)
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    without, mirrored = sample_transforms(16, plain, generators[0])
    stretched, also_mirrored = sample_transforms(16, STRETCHED, generators[1])
    assert torch.equal(mirrored, also_mirrored)
    assert torch.equal(without[:, :, 2], stretched[:, :, 2])
    # The direction of the window's width is that of the rotation, which neither of them changes.
    first = [A[:, :, 0] / A[:, :, 0].norm(dim=1, keepdim=True) for A in (without, stretched)]
    torch.testing.assert_close(*first)
