"""Predictions of a network for prepared faces, in the image frame.

`with_occluders` gives the same faces with occluders pasted on them, for which the masks are known
on any data set.
"""

# N faces, B of them in a batch, L landmarks, S side of a prepared picture,
# h×w occlusion map P

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.arrays import Floats
from odnbench.datasets.faces import FaceSet
from odnbench.engine.augment import central_crop, normalise, to_pixels, to_unit
from odnbench.engine.occluders import TEST_SEED, Occluders
from odnbench.metrics.nme import mean_terms, nme_per_face, points_per_face
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.results.predictions import Occlusion, Predictions

BATCH = 256
_POINTS_PER_CELL = 8  # along a side of a cell of P, where masks are looked up


class Predicted(NamedTuple):
    """The predictions of a network for prepared faces."""

    points: Floats  # (N, L, 2), image frame
    occlusion_map: Tensor | None  # (N, 1, h, w) P; None without distillation module
    confidence: Floats | None  # (N, L), of a head that tells it


def predict(
    network: LandmarkNetwork, faces: FaceSet, images: Tensor, size: int, bf16: bool
) -> Predicted:
    """Predictions for `faces`.

    images: (N, S, S, 3) uint8, the pictures of `faces` on the network's device or the host. size:
    side of the network's input in px.
    """
    network.eval()
    stored, device = images.shape[1], network.mean_shape.device
    batches, maps, confidences = [], [], []
    with torch.inference_mode():
        for batch in images.split(BATCH):
            inputs = normalise(central_crop(batch.to(device, non_blocking=True), size))
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                prediction = network(inputs)
            batches.append(prediction.points)
            if prediction.occlusion_map is not None:
                maps.append(prediction.occlusion_map.float())
            if (confidence := network.confidence(prediction)) is not None:
                confidences.append(confidence)
        unit = torch.cat(batches).double().cpu()  # (N, L, 2) in [-1, 1] over the crop
    points = faces.to_image(to_pixels(unit * (size / stored), stored).numpy())
    return Predicted(
        points,
        torch.cat(maps).cpu() if maps else None,
        torch.cat(confidences).double().cpu().numpy() if confidences else None,
    )


def occlusion_of(P: Tensor, faces: FaceSet, size: int) -> Occlusion:
    """1 − P of `faces`, from maps P (N, 1, h, w) over the network's input of side `size`."""
    stored, (h, w) = faces.images.shape[1], P.shape[2:]
    at = to_unit(torch.from_numpy(faces.points_crop).float(), stored) * (stored / size)  # (N, L, 2)
    trust = _sample(P, at[:, None])[:, 0, 0]  # (N, L)
    covered = covered_landmarks = None
    if faces.masks.shape[1]:
        # Points over the input, a whole number of them per cell of P, looked up in the masks,
        # which span the whole prepared picture.
        masks = torch.from_numpy(faces.masks[:, None] / np.float32(255))
        whole = to_unit(torch.from_numpy(faces.points_crop).float(), stored)  # (N, L, 2)
        # A cell of the masks is coarse: near the edge of an occluder the flag decides.
        covered_landmarks = faces.occluded & (_sample(masks, whole[:, None])[:, 0, 0] > 0).numpy()
        fine = functional.affine_grid(
            torch.eye(2, 3)[None] * (size / stored),
            [1, 1, h * _POINTS_PER_CELL, w * _POINTS_PER_CELL],
            align_corners=False,
        )
        shares = _sample(masks, fine.expand(len(masks), -1, -1, -1))
        covered = functional.avg_pool2d(shares, _POINTS_PER_CELL)[:, 0].flatten(1).double().numpy()
    cells = (1 - P[:, 0]).flatten(1)  # (N, h·w)
    return Occlusion(
        (1 - trust).double().numpy(), cells.double().numpy(), covered, covered_landmarks
    )


def predictions_of(
    faces: FaceSet,
    predicted: Floats,
    occlusion: Occlusion | None = None,
    confidence: Floats | None = None,
) -> Predictions:
    """What a trial saves: predicted (N, L, 2), image frame, with its confidence (N, L) if there is
    one, and the annotation of `faces`.
    """
    return Predictions(
        faces.ids,
        faces.parts,
        predicted,
        faces.points,
        faces.occluded,
        faces.boxes,
        faces.labels,
        occlusion,
        confidence,
    )


def with_occluders(faces: FaceSet, size: int) -> FaceSet:
    """`faces`, each with an occluder pasted on it, the same ones each time.

    size: side of the network's input in px, in which occluders are placed. Masks and flags of
    occluded landmarks tell the pasted occluders, and those that were known before.
    """
    images, stored = faces.images.copy(), faces.images.shape[1]
    covered = np.zeros((len(faces), stored, stored), np.uint8)
    hidden = np.zeros_like(faces.occluded)
    start = (stored - size) // 2
    inside = slice(start, start + size)
    occluders = Occluders.of(TEST_SEED, 1.0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(TEST_SEED)
    points = to_unit(torch.from_numpy(faces.points_crop).float(), stored) * (stored / size)
    for first in range(0, len(faces), BATCH):
        rows = slice(first, first + BATCH)
        inputs = central_crop(torch.from_numpy(faces.images[rows]), size)
        pasted, masks = occluders.paste(inputs, points[rows], generator)
        images[rows, inside, inside] = pasted.round().byte().permute(0, 2, 3, 1).numpy()
        covered[rows, inside, inside] = 255 * masks[:, 0].byte().numpy()
        hidden[rows] = (_sample(masks, points[rows, None])[:, 0, 0] > 0.5).numpy()
    for mask, before in zip(covered, faces.masks, strict=True):
        if len(before):
            np.maximum(mask, cv2.resize(before, mask.shape), out=mask)
    return dataclasses.replace(
        faces, images=images, masks=covered, occluded=faces.occluded | hidden
    )


def _sample(maps: Tensor, grid: Tensor) -> Tensor:
    """(N, 1, H, W): maps (N, 1, h, w) at grid (N, H, W, 2) in [-1, 1], extended by their edges."""
    return functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def mean_nme_percent(
    predicted: Floats, faces: FaceSet, protocol: Protocol, scheme: Scheme
) -> float:
    """Mean NME of `faces` under `protocol`, in percent; predicted (N, L, 2).

    NaN where a prediction is not finite. A face without a point that the protocol counts is left
    out of the mean.
    """
    if not np.isfinite(predicted).all():
        return float("nan")
    nme = nme_per_face(
        predicted, faces.points, protocol, scheme, occluded=faces.occluded, boxes=faces.boxes
    )
    points = points_per_face(len(nme), protocol, scheme, faces.occluded)
    counted = points > 0
    return float(mean_terms(nme[counted], points[counted], protocol).mean()) * 100
