"""Effects on pictures, against formulas by hand, SciPy and OpenCV."""

import math

import cv2
import numpy as np
import pytest
import torch
from helpers import random_faces, trial_of
from scipy.ndimage import gaussian_filter
from torch import Tensor

from odnbench.datasets.rendering.render import render_face
from odnbench.engine.effects.apply import Effect, effects_of
from odnbench.engine.training import Batch, Batches
from odnbench.plan.effects import REFERENCE_ASPECT, REFERENCE_SHEAR_DEG, resolved
from odnbench.plan.entries import Augmentation
from odnbench.plan.registry import Registry
from odnbench.plan.specs import AugmentSpec

REGISTRY = Registry.load()
NAMES = list(REGISTRY.all(Augmentation))
SIZE = 64
LUMA = (0.299, 0.587, 0.114)


def faces(count: int = 3) -> Tensor:
    drawn = [render_face(0, index, size=SIZE).image for index in range(count)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float().contiguous()


def effect(name: str, images: Tensor, amounts: list[float], random: float | Tensor) -> Tensor:
    if isinstance(random, float):
        random = torch.full((len(images), 8), random)
    (found,) = effects_of({name: 1.0}, REGISTRY)
    return found.change(images=images, amounts=torch.tensor(amounts), random=random)


def options(name: str) -> dict[str, float]:
    return dict(REGISTRY.get(Augmentation, name).options)


def test_contrast_and_brightness_move_levels_about_the_middle_grey() -> None:
    images = torch.tensor([127.5, 227.5]).expand(2, 3, 1, 2).contiguous()
    brighter = effect("contrast", images, [1.0, 0.5], 1.0)[:, 0, 0]
    assert brighter[0].tolist() == pytest.approx([127.5 + 64, 127.5 + 200 + 64])
    assert brighter[1].tolist() == pytest.approx([127.5 + 32, 127.5 + 100 * 2**0.5 + 32])
    middle = effect("contrast", images, [1.0, 1.0], 0.5)
    torch.testing.assert_close(middle, images)


def test_colour_leaves_a_picture_alone_in_the_middle_of_its_range() -> None:
    images = faces()
    found = effect("colour", images, [1.0, 1.0, 1.0], 0.5)
    torch.testing.assert_close(found, images, atol=1e-3, rtol=0)


def test_colour_has_a_gain_for_each_channel() -> None:
    random = torch.tensor([[1.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]])
    grey = torch.full((1, 3, 1, 1), 100.0)
    found = effect("colour", grey, [1.0], random).flatten().tolist()
    gain = 2 ** options("colour")["gain"]
    assert found == pytest.approx([100 * gain, 100, 100 / gain])


def test_saturation_scales_what_differs_from_grey() -> None:
    random = torch.full((3, 8), 0.5)
    random[:, 3] = torch.tensor([0.0, 0.5, 1.0])
    images = faces(1).expand(3, -1, -1, -1).contiguous()
    found = effect("colour", images, [1.0, 1.0, 1.0], random)
    grey = sum(share * images[:, i : i + 1] for i, share in enumerate(LUMA))
    for row, power in zip(found, (-1, 0, 1), strict=True):
        factor = 2 ** (power * options("colour")["saturation"])
        expected = grey[0] + factor * (images[0] - grey[0])
        torch.testing.assert_close(row, expected, atol=1e-2, rtol=0)


def test_hue_turns_colours_about_the_greys() -> None:
    random = torch.full((1, 8), 0.5)
    random[:, 4] = 1.0
    colours = torch.tensor([[100.0, 100, 100], [200, 50, 20]]).T[None, :, :, None]
    found = effect("colour", colours, [1.0], random)[0, :, :, 0].T
    torch.testing.assert_close(found[0], colours[0, :, 0, 0])
    before, after = colours[0, :, 1, 0], found[1]
    assert after.sum() == pytest.approx(270.0, abs=1e-2)  # along the axis of greys
    across = [v - v.mean() for v in (before, after)]
    cosine = torch.dot(*across) / (across[0].norm() * across[1].norm())
    assert math.degrees(math.acos(float(cosine))) == pytest.approx(options("colour")["hue"])
    assert after[1] > before[1]  # red turns to yellow


def test_grey_is_the_luma_in_all_channels() -> None:
    images = faces()
    found = effect("grey", images, [0.1, 0.5, 1.0], 0.3)
    expected = sum(share * images[:, i] for i, share in enumerate(LUMA))
    for channel in range(3):
        torch.testing.assert_close(found[:, channel], expected, atol=1e-2, rtol=0)


def test_blur_is_a_gaussian_filter_of_each_pictures_own_width() -> None:
    images, amounts = faces(), [0.25, 0.5, 1.0]
    found = effect("blur", images, amounts, 0.5)
    for before, after, amount in zip(images, found, amounts, strict=True):
        deviation = amount * options("blur")["largest"] * SIZE
        expected = gaussian_filter(before.numpy(), (0, deviation, deviation), truncate=8)
        inside = slice(10, -10)  # at the border, SciPy reflects the picture
        difference = after.numpy()[:, inside, inside] - expected[:, inside, inside]
        assert np.abs(difference).max() < 0.5


def test_a_blurred_border_is_neither_darker_nor_brighter() -> None:
    flat = torch.full((1, 3, SIZE, SIZE), 200.0)
    torch.testing.assert_close(effect("blur", flat, [1.0], 0.5), flat)


def test_noise_has_its_deviation_and_no_mean_and_differs_with_its_place() -> None:
    random = torch.rand(3, 8, generator=torch.Generator().manual_seed(0))
    flat = torch.full((3, 3, SIZE, SIZE), 128.0)
    amounts = [0.25, 0.5, 1.0]
    found = effect("noise", flat, amounts, random) - 128
    deviations = [amount * options("noise")["deviation"] for amount in amounts]
    assert found.std(dim=(1, 2, 3)).tolist() == pytest.approx(deviations, rel=0.05)
    assert found.mean(dim=(1, 2, 3)).abs().max() < 1.5
    unit = found / torch.tensor(deviations)[:, None, None, None]
    correlations = torch.corrcoef(unit.flatten(0, 1).flatten(1)) - torch.eye(9)
    assert correlations.abs().max() < 0.1


def test_jpeg_loses_what_the_jpeg_of_opencv_loses() -> None:
    """Quality 50 has the tables of T.81 as they are; OpenCV's decoder smooths the colours."""
    image = faces(1)
    found = effect("jpeg", image, [1 / options("jpeg")["coarsest"]], 0.5).clamp(0, 255)
    bgr = image[0].permute(1, 2, 0).byte().numpy()[..., ::-1]
    flags = [cv2.IMWRITE_JPEG_QUALITY, 50]
    coded = cv2.imdecode(cv2.imencode(".jpg", bgr, flags)[1], cv2.IMREAD_COLOR)
    expected = torch.from_numpy(np.ascontiguousarray(coded[..., ::-1])).permute(2, 0, 1).float()

    def luma(picture: Tensor) -> Tensor:
        return sum(share * picture[i] for i, share in enumerate(LUMA))  # type: ignore[return-value]

    loss = (luma(expected) - luma(image[0])).abs().mean()
    assert loss > 1
    assert (luma(found[0]) - luma(expected)).abs().mean() < 0.3 * loss
    assert (found[0] - expected).abs().mean() < 4


def test_jpeg_of_the_finest_steps_changes_luma_by_rounding_alone() -> None:
    images = faces(1)
    found = effect("jpeg", images, [0.0], 0.5)
    luma = sum(share * (found - images)[0, i] for i, share in enumerate(LUMA))
    assert luma.abs().max() < 2  # type: ignore[union-attr]


def test_a_cut_out_is_one_rectangle_of_its_size() -> None:
    random = torch.full((2, 8), 0.5)
    random[:, 2] = 1.0  # the whole width
    random[:, 4] = 0.2  # the grey
    images = faces(2)
    found = effect("cut-out", images, [1.0, 0.5], random)
    for before, after, share in zip(images, found, (0.5, 0.25), strict=True):
        changed = (after != before).any(dim=0)
        rows, columns = changed.any(dim=1).sum(), changed.any(dim=0).sum()
        assert columns == share * SIZE and rows == 0.75 * share * SIZE
        assert changed.sum() == rows * columns
        assert after[:, changed].unique().tolist() == pytest.approx([51.0])


def count_effect(amount: float, *, occludes: bool = False) -> Effect:
    """Adds 1, and the amount of a face as a fraction."""
    return Effect(
        lambda images, amounts, random: images + 1 + amounts[:, None, None, None] / 2,
        amount,
        occludes,
    )


def test_an_amount_is_the_share_of_faces_and_the_most_that_a_face_gets() -> None:
    images = torch.zeros(4000, 3, 2, 2)
    count_effect(0.4)(images, None, torch.Generator().manual_seed(0))
    changed = images[images[:, 0, 0, 0] > 0, 0, 0, 0]
    assert len(changed) / 4000 == pytest.approx(0.4, abs=0.03)
    amounts = 2 * (changed - 1)
    assert amounts.min() < 0.01 and 0.39 < amounts.max() <= 0.4
    assert float(amounts.mean()) == pytest.approx(0.2, abs=0.01)


def test_an_amount_of_one_reaches_every_face_and_levels_stay_levels() -> None:
    images = torch.full((50, 3, 2, 2), 254.8)
    count_effect(1.0)(images, None, torch.Generator())
    assert (images == 255).all()


def test_what_an_effect_hides_is_marked_beside_what_was_covered_before() -> None:
    images, covered = faces(), torch.zeros(3, 1, SIZE, SIZE)
    covered[:, :, :5] = 1.0
    before = images.clone()
    (cut_out,) = effects_of({"cut-out": 1.0}, REGISTRY)
    cut_out(images, covered, torch.Generator().manual_seed(1))
    expected = (images != before).any(dim=1, keepdim=True)
    expected[:, :, :5] = True
    assert expected[:, :, 5:].any() and torch.equal(covered, expected.float())
    # What is white is a little more than 255 once it is resampled, and hides nothing.
    white, hidden = torch.full((3, 3, SIZE, SIZE), 255.00003), torch.zeros(3, 1, SIZE, SIZE)
    cut_out(white, hidden, torch.Generator().manual_seed(1))
    assert torch.equal(hidden, (white < 255).any(dim=1, keepdim=True).float())
    (blur,) = effects_of({"blur": 1.0}, REGISTRY)
    blur(images, covered, torch.Generator().manual_seed(1))
    assert torch.equal(covered, expected.float())


def first_batch(*overrides: str) -> Batch:
    data = random_faces(16, size=80)
    trial = trial_of("odn", ["input_size=64", "batch_size=16", *overrides])
    batches = Batches.of(data, np.arange(16), trial, REGISTRY, torch.device("cpu"))
    return next(batches.epoch(torch.Generator().manual_seed(5)))


def test_an_effect_changes_no_target_and_no_mask_of_occluders() -> None:
    plain = first_batch("occluders=0.5")
    changed = first_batch("occluders=0.5", *(f"{n}=1" for n in NAMES if n != "cut-out"))
    assert plain.covered is not None and changed.covered is not None
    assert torch.equal(plain.targets, changed.targets)
    assert torch.equal(plain.covered, changed.covered)
    assert all(not torch.equal(a, b) for a, b in zip(plain.inputs, changed.inputs, strict=True))


def test_effects_of_no_amount_leave_the_batch_as_it_was_to_the_bit() -> None:
    plain = first_batch()
    assert all(
        torch.equal(a, b) for a, b in zip(plain[:2], first_batch("strength=0")[:2], strict=True)
    )
    nothing = [f"{name}=0" for name in (*NAMES, "shear_deg", "aspect")]
    off = first_batch("strength=1", *nothing)
    assert all(torch.equal(a, b) for a, b in zip(plain[:2], off[:2], strict=True))


def test_strength_is_a_share_of_every_reference_that_is_not_named() -> None:
    found = resolved(AugmentSpec(strength=0.5), REGISTRY)
    references = {n: e.reference for n, e in REGISTRY.all(Augmentation).items()}
    assert found.effects == pytest.approx({n: 0.5 * r for n, r in references.items()})
    assert found.shear_deg == 0.5 * REFERENCE_SHEAR_DEG
    assert found.aspect == 0.5 * REFERENCE_ASPECT
    assert resolved(AugmentSpec(), REGISTRY) == AugmentSpec()


def test_what_is_named_has_its_own_amount_at_every_strength() -> None:
    spec = trial_of("odn", ["strength=1", "blur=0.7", "grey=0", "shear_deg=0"]).spec.augment
    found = resolved(spec, REGISTRY)
    assert found.effects["blur"] == 0.7 and "grey" not in found.effects
    assert found.shear_deg is None and found.aspect == REFERENCE_ASPECT
    assert list(found.effects) == [name for name in NAMES if name != "grey"]
