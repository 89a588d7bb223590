"""Test faces that are disturbed, and what a trained network predicts for them.

What is random is drawn for each face from its name alone, so that it is the same for every network,
in every run, and at every level, which only makes it larger. An occluder (engine/growing.py) covers
`level` of the tight box of the true landmarks. A shifted box is `level` of its side away from where
the box rule puts it, in a direction that is uniform; the shift is rounded to whole pixels of the
prepared picture, so that the picture is not resampled. A scaled box is larger or smaller by `level`
of its side, either as likely. Both crops are cut from the prepared picture, whose margin must hold
them (`plan.disturbances.check_margin`); beyond the end of the photograph it is black, as in every
crop. Errors stay in the image frame.
"""

# N faces, n of them in a batch, L landmarks, S side of a prepared picture, s side of the network's
# input, M cells along a side of the masks

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.arrays import Bytes, Flags, Floats
from odnbench.datasets.faces import FaceSet
from odnbench.engine.augment import to_unit
from odnbench.engine.evaluate import FlipTest, occluded_by, sampled
from odnbench.engine.export import load_network
from odnbench.engine.fit import predict_test
from odnbench.engine.growing import RANDOM, covered_share, grown
from odnbench.engine.training import on_device, own_device, use_bf16
from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder

_BATCH = 128


class Disturbed(NamedTuple):
    """Faces after a disturbance."""

    faces: FaceSet
    # (N,) what was achieved: the share of the landmarks' box that is covered, the length of the
    # shift as a share of the box's side, or by which share of its side the box is larger.
    amounts: Floats


def predict_disturbed(
    trial: Trial,
    test: FaceSet,
    registry: Registry,
    folder: TrialFolder,
    disturbances: Iterable[Disturbance],
) -> None:
    """Has the network of a finished trial predict its test faces after each of `disturbances` that
    its folder lacks, and adds the predictions to the folder, one level after the other.

    Raises OdnbenchError where the network's weights are gone, and TrialFailed where a prediction is
    not finite.
    """
    lacking = folder.lacks(disturbances)
    if not lacking:
        return
    if not folder.checkpoint.is_file():
        raise OdnbenchError(
            f"{folder.checkpoint} is gone, so that the trained network cannot predict "
            f"{', '.join(map(str, lacking))}; remove {folder.path} to have it trained again"
        )
    device, data = own_device(), trial.spec.data
    network = load_network(trial, folder, registry).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    bf16 = use_bf16(trial.spec.train.precision, device)
    for disturbance in lacking:
        faces, amounts = disturbed(test, disturbance, trial.box, data.input_size, device)
        images = on_device(faces.images, device)
        predictions = predict_test(
            network, faces, images, data.input_size, bf16, FlipTest.of(trial, registry)
        )
        folder.add_disturbed(disturbance, dataclasses.replace(predictions, amounts=amounts))


def disturbed(
    faces: FaceSet, disturbance: Disturbance, rule: BoxRule, size: int, device: torch.device
) -> Disturbed:
    """`faces` after `disturbance`; themselves at level 0.

    rule: the box rule by which they were cropped. size: s. device: where it is computed, on which
    grey levels and edges of occluders may depend in the last bit.
    """
    if not disturbance.level:
        return Disturbed(faces, np.zeros(len(faces)))
    random = _drawn(faces, disturbance.kind)
    if disturbance.kind == "occluders":
        return _with_occluders(faces, disturbance.level, random, device)
    shifts, factors = np.zeros((len(faces), 2)), np.ones(len(faces))
    if disturbance.kind == "shift":
        turn, side = 2 * np.pi * random[:, :1], size / rule.factor  # of the box, in prepared px
        shifts = (disturbance.level * side * np.hstack([np.cos(turn), np.sin(turn)])).round()
        amounts: Floats = np.hypot(*shifts.T) / side
    else:
        amounts = np.where(random[:, 0] < 0.5, 1.0, -1.0) * disturbance.level
        factors = 1 + amounts
    return Disturbed(in_boxes(faces, shifts, factors, size, device), amounts)


def in_boxes(
    faces: FaceSet, shifts: Floats, factors: Floats, size: int, device: torch.device
) -> FaceSet:
    """`faces` with pictures of side `size` that show other crops of the prepared ones.

    shifts (N, 2): to the right and down, in px of the prepared picture. factors (N,): side of the
    crop over that of the undisturbed one.
    """
    stored, cells = faces.images.shape[1], faces.masks.shape[1]
    images = np.empty((len(faces), size, size, 3), np.uint8)
    masks = np.empty((len(faces), *2 * (round(cells * size / stored),)), np.uint8)
    # From [-1, 1] over the crop to [-1, 1] over the prepared picture.
    maps = np.zeros((len(faces), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = factors * size / stored
    maps[:, :, 2] = 2 * shifts / stored
    for rows in _batches(faces):
        theta = torch.from_numpy(maps[rows]).float().to(device)
        for source, out in ((faces.images, images), (faces.masks[..., None], masks[..., None])):
            if out.size:
                out[rows] = _resampled(_float(source[rows], device), theta, out.shape[1])
    # The pixel i of a crop is the pixel i · factor + start of the prepared picture.
    starts = shifts + (factors[:, None] * (1 - size) + stored - 1) / 2
    A, t = faces.crop_to_image[:, :, :2], faces.crop_to_image[:, :, 2:]
    moved = np.concatenate([A * factors[:, None, None], A @ starts[:, :, None] + t], axis=2)
    return dataclasses.replace(faces, images=images, masks=masks, crop_to_image=moved)


def _with_occluders(
    faces: FaceSet, coverage: float, random: Floats, device: torch.device
) -> Disturbed:
    stored = faces.images.shape[1]
    images: Bytes = np.empty(faces.images.shape, np.uint8)
    covered: Bytes = np.empty((len(faces), stored, stored), np.uint8)
    hidden: Flags = np.empty_like(faces.occluded)
    shares = np.empty(len(faces))
    points = to_unit(torch.from_numpy(faces.points_crop).float(), stored)  # (N, L, 2)
    for rows in _batches(faces):
        at = points[rows].to(device)
        drawn = torch.from_numpy(random[rows]).float()
        pasted, masks = grown(_float(faces.images[rows], device), at, drawn, coverage)
        images[rows] = _bytes(pasted)
        covered[rows] = 255 * masks[:, 0].byte().cpu().numpy()
        hidden[rows] = (sampled(masks.float(), at[:, None])[:, 0, 0] > 0.5).cpu().numpy()
        shares[rows] = covered_share(masks, at).cpu().numpy()
    return Disturbed(occluded_by(faces, images, covered, hidden), shares)


def _drawn(faces: FaceSet, kind: str) -> Floats:
    """(N, RANDOM) numbers in [0, 1) that are a face's own, whatever faces stand beside it."""
    seeds = [
        hashlib.sha256(f"{kind}\0{part}\0{face}".encode(errors="surrogateescape")).digest()
        for part, face in zip(faces.parts, faces.ids, strict=True)
    ]
    return np.stack(
        [np.random.default_rng(int.from_bytes(seed[:8])).random(RANDOM) for seed in seeds]
    )


def _batches(faces: FaceSet) -> list[slice]:
    return [slice(first, first + _BATCH) for first in range(0, len(faces), _BATCH)]


def _float(pictures: Bytes, device: torch.device) -> Tensor:
    """(n, S, S, C) uint8 → (n, C, S, S) float32 on `device`."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2).float()


def _bytes(pictures: Tensor) -> Bytes:
    """The inverse of `_float`, rounded."""
    found: Bytes = pictures.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return found


def _resampled(pictures: Tensor, theta: Tensor, size: int) -> Bytes:
    """(n, size, size, C): pictures (n, C, S, S) at the places of an affine grid of theta (n, 2, 3);
    black outside of them.
    """
    shape = [*pictures.shape[:2], size, size]
    grid = functional.affine_grid(theta, shape, align_corners=False)
    return _bytes(functional.grid_sample(pictures, grid, align_corners=False))
