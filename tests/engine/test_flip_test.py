"""A flip test, on made-up networks whose answers are known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, trial_of
from torch import Tensor

from odnbench.arrays import Floats
from odnbench.datasets.faces import FaceSet
from odnbench.engine.build import build_network
from odnbench.engine.checkpoint import load_checkpoint
from odnbench.engine.evaluate import (
    FlipTest,
    Predicted,
    mean_nme_percent,
    occlusion_of,
    predict,
    with_occluders,
)
from odnbench.engine.fit import fit
from odnbench.engine.training import on_device
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.conversion import replace_at
from odnbench.results.folder import TrialFolder

STORED, SIZE, LANDMARKS = 40, 32, 68
FLIP = trial_of().scheme.flip
CPU = torch.device("cpu")


def found_by(
    network: LandmarkNetwork, faces: FaceSet, flip_test: FlipTest | None = None
) -> Predicted:
    return predict(network, faces, on_device(faces.images, CPU), SIZE, False, flip_test)


class Fixed(LandmarkNetwork):
    """Predicts the same points and the same map for every picture."""

    def __init__(self) -> None:
        super().__init__(LANDMARKS)
        generator = torch.Generator().manual_seed(0)
        self.points = torch.rand(LANDMARKS, 2, generator=generator) - 0.5

    def forward(self, images: Tensor) -> Prediction:
        P = torch.tensor([[0.0, 0.3, 1.0], [0.2, 0.4, 0.6]])
        return Prediction(self.points.expand(len(images), -1, -1), P.expand(len(images), 1, -1, -1))


class Sure(Fixed):
    """Is the surer of a landmark, the higher its number."""

    def confidence(self, prediction: Prediction) -> Tensor:
        return torch.linspace(0, 1, LANDMARKS).expand(len(prediction.points), -1)


class BrightSpot(LandmarkNetwork):
    """Puts every landmark where the picture is bright, off by a constant; P is the brightness."""

    def __init__(self, off_px: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__(LANDMARKS)
        self.off = torch.tensor(off_px) * 2 / SIZE

    def forward(self, images: Tensor) -> Prediction:
        dark = images.amin(dim=(1, 2, 3), keepdim=True)
        bright = (images[:, :1] - dark[:, :, :1] > 0.5).float()  # (B, 1, s, s)
        at = (2 * torch.arange(SIZE) + 1) / SIZE - 1
        mass = bright.sum(dim=(1, 2, 3))
        x, y = (bright.sum(dim=(1, d)) @ at / mass for d in (2, 3))
        spot = torch.stack([x, y], dim=-1) + self.off
        P = torch.nn.functional.avg_pool2d(bright, 8)
        return Prediction(spot[:, None].expand(-1, LANDMARKS, -1), P)


def spots() -> tuple[FaceSet, Floats]:
    """Dark pictures with one bright pixel each, and its place (N, 1, 2) in the image frame."""
    images = np.zeros_like(FACES.test.images)
    x, y = np.arange(len(images)) * 4 + 8, np.arange(len(images))[::-1] * 3 + 9
    images[np.arange(len(images)), y, x] = 255
    faces = dataclasses.replace(FACES.test, images=images)
    return faces, faces.to_image(np.stack([x, y], axis=-1)[:, None].astype(np.float64))


def test_the_mean_is_that_of_a_shape_and_its_mirror_image() -> None:
    network, faces = Fixed(), FACES.test
    found = found_by(network, faces, FlipTest(FLIP, has_learnt_offset=True))
    a = network.points.numpy().astype(np.float64)
    # Landmark i of the face is landmark flip[i] of its mirror image.
    mirrored = np.stack([[-a[FLIP[i], 0], a[FLIP[i], 1]] for i in range(LANDMARKS)])
    px = ((a + mirrored) / 2 * SIZE + STORED - 1) / 2
    expected = faces.to_image(np.repeat(px[None], len(faces), axis=0))
    np.testing.assert_allclose(found.points, expected, atol=1e-4)


def test_the_confidence_of_a_landmark_is_the_mean_of_it_and_of_its_mirror_image() -> None:
    sure = np.linspace(0, 1, LANDMARKS)
    plain = found_by(Sure(), FACES.test).confidence
    flipped = found_by(Sure(), FACES.test, FlipTest(FLIP, has_learnt_offset=True)).confidence
    assert plain is not None and flipped is not None
    np.testing.assert_allclose(plain, np.tile(sure, (len(FACES.test), 1)), atol=1e-6)
    np.testing.assert_allclose(flipped[0], (sure + sure[list(FLIP)]) / 2, atol=1e-6)


def test_a_network_that_treats_both_sides_alike_predicts_the_same_with_it() -> None:
    faces, places = spots()
    plain = found_by(BrightSpot(), faces)
    flipped = found_by(BrightSpot(), faces, FlipTest(FLIP, has_learnt_offset=True))
    np.testing.assert_allclose(plain.points, np.repeat(places, LANDMARKS, axis=1), atol=1e-3)
    np.testing.assert_allclose(flipped.points, plain.points, atol=1e-3)
    assert plain.occlusion_map is not None and flipped.occlusion_map is not None
    assert torch.equal(plain.occlusion_map, flipped.occlusion_map)
    assert (plain.occlusion_map != plain.occlusion_map.flip(-1)).any()


@pytest.mark.parametrize("known", [True, False])
def test_an_offset_of_annotations_is_kept_where_the_network_was_trained_with_it(
    known: bool,
) -> None:
    """Annotations lie (3, 2) px of the image off, which are (1.5, 1) px of the prepared picture."""
    faces, places = spots()
    off = np.array([3.0, 2.0])
    faces = dataclasses.replace(faces, offsets=np.tile(off, (len(faces), 1)))
    found = found_by(BrightSpot((1.5, 1.0)), faces, FlipTest(FLIP, has_learnt_offset=known))
    expected = places + (off if known else [0.0, 2.0])
    np.testing.assert_allclose(found.points, np.repeat(expected, LANDMARKS, axis=1), atol=1e-3)


def test_maps_are_mirrored_back_before_their_mean() -> None:
    found = found_by(Fixed(), FACES.test, FlipTest(FLIP, has_learnt_offset=False))
    assert found.occlusion_map is not None
    cells = occlusion_of(found.occlusion_map, FACES.test, SIZE).cells
    by_hand = [0.5, 0.7, 0.5, 0.6, 0.6, 0.6]  # 1 less the mean of each row and its reverse
    np.testing.assert_allclose(cells, [by_hand] * len(FACES.test), atol=1e-6)


def test_a_trial_is_validated_and_tested_by_it(tmp_path: Path) -> None:
    """Its numbers are the mean over its network's predictions for faces and mirrored pictures."""
    trial = trial_of("odn", ["flip_test=true", "pasted_test=true", "precision=float32"])
    folder = TrialFolder(tmp_path / "a")
    validated_on = dataclasses.replace(trial.spec.train, select="test")
    trial = dataclasses.replace(trial, spec=dataclasses.replace(trial.spec, train=validated_on))
    result = fit(trial, FACES, REGISTRY, folder)
    network = build_network(trial.spec, REGISTRY, LANDMARKS)
    load_checkpoint(network, folder.checkpoint)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pasted = folder.pasted
    assert pasted is not None and pasted.flip_test and folder.predictions.flip_test
    for faces, saved in (
        (FACES.test, folder.predictions),
        (with_occluders(FACES.test, SIZE), pasted),
    ):
        mirror_images = dataclasses.replace(faces, images=faces.images[:, :, ::-1].copy())
        plain, back = found_by(network, faces), found_by(network, mirror_images)
        crop = faces.to_crop(back.points)[:, list(FLIP)]
        crop[..., 0] = STORED - 1 - crop[..., 0]
        expected = (plain.points + faces.to_image(crop)) / 2
        np.testing.assert_allclose(saved.predicted, expected, atol=1e-3)
        assert np.abs(saved.predicted - plain.points).max() > 0.1
    nme = mean_nme_percent(folder.predictions.predicted, FACES.test, trial.protocol, trial.scheme)
    assert result.validation_nme_percent == pytest.approx(nme)


@pytest.mark.parametrize(
    ("changes", "learnt"),
    [
        ({}, True),
        ({"train.epochs": 0}, False),  # as a network of others, which is tested as it is
        ({"augment.annotation_offset": False}, False),
        ({"data.train": "wflw/train"}, False),
        ({"data.train": "of-a-lab/train"}, True),  # which may have one
    ],
)
def test_an_offset_is_given_to_networks_alone_that_were_trained_with_it(
    changes: dict[str, object], learnt: bool
) -> None:
    trial = trial_of("odn", ["flip_test=true"])
    spec = trial.spec
    for key, value in changes.items():
        spec = replace_at(spec, key, value)
    real = tuple(dataclasses.replace(one, rendered=False) for one in trial.coverage)
    trial = dataclasses.replace(trial, spec=spec, coverage=real)
    flip_test = FlipTest.of(trial, REGISTRY)
    assert flip_test is not None and flip_test.has_learnt_offset == learnt
    drawn = tuple(dataclasses.replace(one, rendered=True) for one in real)
    flip_test = FlipTest.of(dataclasses.replace(trial, coverage=drawn), REGISTRY)
    assert flip_test is not None and not flip_test.has_learnt_offset
