"""Predictions of a network for prepared faces, in the image frame."""

# N faces, B of them in a batch, L landmarks, S side of a prepared picture

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.datasets.augment import central_crop, normalise, to_pixels, to_unit
from odnbench.datasets.faces import FaceSet, Floats
from odnbench.metrics.nme import nme_per_face
from odnbench.networks.base import LandmarkNetwork
from odnbench.specs import Protocol, Scheme

BATCH = 256


class Predicted(NamedTuple):
    """What a network says of prepared faces."""

    points: Floats  # (N, L, 2), image frame
    occlusion: Floats | None  # (N, L) 1 − P at the true landmarks; None without distillation module


def predict(
    network: LandmarkNetwork, faces: FaceSet, images: Tensor, size: int, bf16: bool
) -> Predicted:
    """Predictions for `faces`.

    images: (N, S, S, 3) uint8, the pictures of `faces` on the network's device. size: of the input.
    """
    network.eval()
    stored = images.shape[1]
    at = to_unit(torch.from_numpy(faces.points_crop).float(), stored) * (stored / size)  # (N, L, 2)
    batches, maps = [], []
    with torch.inference_mode():
        for batch, landmarks in zip(images.split(BATCH), at.split(BATCH), strict=True):
            inputs = normalise(central_crop(batch, size)).contiguous(
                memory_format=torch.channels_last
            )
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                prediction = network(inputs)
            batches.append(prediction.points)
            if prediction.occlusion_map is not None:
                maps.append(_sample(prediction.occlusion_map.float(), landmarks))
        unit = torch.cat(batches).double().cpu()  # (N, L, 2) in [-1, 1] over the crop
        trust = torch.cat(maps).double().cpu() if maps else None  # (N, L)
    points = faces.to_image(to_pixels(unit * (size / stored), stored).numpy())
    return Predicted(points, None if trust is None else (1 - trust).numpy())


def _sample(P: Tensor, landmarks: Tensor) -> Tensor:
    """(B, 1, h, w) at (B, L, 2) in [-1, 1] → (B, L), bilinear; the edge's value outside."""
    grid = landmarks.to(P.device)[:, None]  # (B, 1, L, 2)
    sampled = functional.grid_sample(P, grid, padding_mode="border", align_corners=False)
    return sampled[:, 0, 0]


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
    return float(np.nanmean(nme)) * 100
