"""Disturbed test faces: how much, the same for all, and what networks predict for them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, random_faces, trial_of

from odnbench.datasets.faces import FaceSet
from odnbench.engine.disturb import Disturbed, disturbed, in_boxes, predict_disturbed
from odnbench.engine.fit import fit
from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.protocols import BoxRule
from odnbench.results.folder import TrialFolder

CPU = torch.device("cpu")
RULE = REGISTRY.get(BoxRule, "landmarks")
SIZE = 80  # of the crop of faces of 100 px
FEW = random_faces(40, size=100, seed=3)


def disturb(faces: FaceSet, kind: str, level: float) -> Disturbed:
    return disturbed(faces, Disturbance(kind, level), RULE, SIZE, CPU)


@pytest.mark.parametrize("level", [0.1, 0.35, 0.6])
def test_occluders_cover_the_share_of_the_landmarks_box_that_was_asked_for(level: float) -> None:
    faces, amounts = disturb(FEW, "occluders", level)
    for mask, points, amount in zip(faces.masks, FEW.points_crop, amounts, strict=True):
        (left, top), (right, bottom) = np.ceil(points.min(axis=0)), np.floor(points.max(axis=0))
        box = mask[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        assert amount == pytest.approx((box == 255).mean())
    assert amounts == pytest.approx(np.full(len(FEW), level), abs=0.04)
    assert amounts.mean() == pytest.approx(level, abs=0.01)


def test_a_picture_changes_only_near_its_occluder_and_its_truth_only_in_what_is_hidden() -> None:
    faces, _ = disturb(FEW, "occluders", 0.2)
    changed = (faces.images != FEW.images).any(axis=3)
    under = faces.masks == 255
    assert changed[under].mean() > 0.95  # some of the grey levels are equal by chance
    assert changed[~under].mean() < 0.1  # soft edges
    at = FEW.points_crop.round().astype(int)
    hidden = under[np.arange(len(FEW))[:, None], at[..., 1], at[..., 0]]
    assert ((faces.occluded == FEW.occluded) | hidden).mean() > 0.99
    assert (faces.points == FEW.points).all()


def test_an_occluder_is_the_same_in_every_run_beside_any_faces_and_stays_where_it_is() -> None:
    small, large = (disturb(FEW, "occluders", level).faces for level in (0.1, 0.5))
    again = disturb(FEW, "occluders", 0.5).faces
    assert (again.images == large.images).all()
    chosen = np.array([31, 4, 17])
    assert (disturb(FEW[chosen], "occluders", 0.5).faces.masks == large.masks[chosen]).all()
    inside = [(one & other).sum() / one.sum() for one, other in zip(
        small.masks == 255, large.masks == 255, strict=True)]  # fmt: skip
    assert np.mean(inside) > 0.9


@pytest.mark.parametrize("kind", ["shift", "scale"])
def test_a_box_is_off_as_far_as_was_asked_for_in_directions_of_all_kinds(kind: str) -> None:
    level = 0.1
    faces, amounts = disturb(FEW, kind, level)
    centre = np.full((len(FEW), 1, 2), (SIZE - 1) / 2)
    moved = (faces.to_image(centre) - FEW.to_image(centre + 10))[:, 0]  # 10: margin of the picture
    sides = faces.crop_to_image[:, 0, 0] / FEW.crop_to_image[:, 0, 0]
    if kind == "shift":
        side = 2 * SIZE / RULE.factor  # 2: px of the image per px of the prepared picture
        assert amounts == pytest.approx(np.hypot(*moved.T) / side)
        assert amounts == pytest.approx(np.full(len(FEW), level), abs=0.75 / (side / 2))
        assert {(x > 0, y > 0) for x, y in moved} == {(a, b) for a in (0, 1) for b in (0, 1)}
        assert sides == pytest.approx(1)
    else:
        assert moved == pytest.approx(0)
        assert set(sides.round(6)) == {1 - level, 1 + level}


def test_a_shifted_crop_is_cut_out_and_not_resampled() -> None:
    faces = random_faces(2, size=40)
    shifts = np.array([[3.0, -2.0], [-4.0, 4.0]])
    found = in_boxes(faces, shifts, np.ones(2), 32, CPU)
    assert (found.images[0] == faces.images[0, 2:34, 7:39]).all()
    assert (found.images[1] == faces.images[1, 8:40, 0:32]).all()
    # helpers: image = 2 · prepared + (10, 20); prepared = crop + start.
    assert found.crop_to_image[0] == pytest.approx(np.array([[2, 0, 24], [0, 2, 24]]))
    assert found.to_image(found.points_crop) == pytest.approx(faces.points)


def test_a_scaled_crop_shows_what_its_map_says() -> None:
    ramp = np.broadcast_to(6 * np.arange(40)[:, None], (1, 40, 40, 3)).astype(np.uint8)
    masks = np.where(np.arange(20) < 10, 255, 0).astype(np.uint8)[None, :, None].repeat(20, axis=2)
    faces = dataclasses.replace(random_faces(1, size=40), images=ramp, masks=masks)
    found = in_boxes(faces, np.zeros((1, 2)), np.array([1.2]), 32, CPU)
    columns = 1.2 * np.arange(32) + (1.2 * (1 - 32) + 39) / 2  # by hand: both centres agree
    assert found.images[0, 16, :, 0] == pytest.approx(6 * columns, abs=0.5)
    assert found.crop_to_image[0, 0] == pytest.approx([2.4, 0, 2 * columns[0] + 10])
    assert (found.masks[0, :8] == 255).all()
    assert (found.masks[0, 8:] == 0).all()


def test_level_0_gives_the_trials_own_predictions_to_the_bit(tmp_path: Path) -> None:
    trial, folder = trial_of("odn"), TrialFolder(tmp_path / "odn")
    fit(trial, FACES, REGISTRY, folder)
    none = [Disturbance(kind, 0.0) for kind in ("occluders", "shift")]
    predict_disturbed(trial, FACES.test, REGISTRY, folder, none)
    plain = folder.predictions
    assert plain.occlusion is not None
    for one in none:
        found = folder.disturbed(one)
        assert found is not None
        assert found.occlusion is not None
        assert (found.predicted == plain.predicted).all()
        assert (found.occlusion.cells == plain.occlusion.cells).all()


def test_a_prediction_that_is_fixed_in_the_crop_moves_with_the_box(tmp_path: Path) -> None:
    trial, folder = trial_of("mean-shape"), TrialFolder(tmp_path / "mean")
    fit(trial, FACES, REGISTRY, folder)
    shift = Disturbance("shift", 0.1)
    predict_disturbed(trial, FACES.test, REGISTRY, folder, [shift])
    found = folder.disturbed(shift)
    assert found is not None
    assert found.amounts is not None
    moved = found.predicted - folder.predictions.predicted  # (N, L, 2)
    assert moved == pytest.approx(np.broadcast_to(moved[:, :1], moved.shape))
    side_px = 2 * 32 / RULE.factor
    assert np.hypot(*moved[:, 0].T) == pytest.approx(found.amounts * side_px)
    assert (found.true == folder.predictions.true).all()


def test_without_its_weights_a_trained_network_predicts_nothing(tmp_path: Path) -> None:
    trial, folder = trial_of("mean-shape"), TrialFolder(tmp_path / "mean")
    fit(trial, FACES, REGISTRY, folder)
    folder.checkpoint.unlink()
    with pytest.raises(OdnbenchError, match=r"is gone.*shift 0\.1; remove .* trained again"):
        predict_disturbed(trial, FACES.test, REGISTRY, folder, [Disturbance("shift", 0.1)])
