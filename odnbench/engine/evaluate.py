"""Predictions of a network for prepared faces, in the image frame."""

# N faces, B of them in a batch, L landmarks, S side of a prepared picture

import numpy as np
import torch
from torch import Tensor

from odnbench.datasets.augment import central_crop, normalise, to_pixels
from odnbench.datasets.faces import FaceSet, Floats
from odnbench.metrics.nme import nme_per_face
from odnbench.networks.base import LandmarkNetwork
from odnbench.specs import Protocol, Scheme

BATCH = 256


def predict(
    network: LandmarkNetwork, faces: FaceSet, images: Tensor, size: int, bf16: bool
) -> Floats:
    """(N, L, 2) predicted points in the image frame.

    images: (N, S, S, 3) uint8, the pictures of `faces` on the network's device. size: of the input.
    """
    network.eval()
    batches = []
    with torch.inference_mode():
        for batch in images.split(BATCH):
            inputs = normalise(central_crop(batch, size)).contiguous(
                memory_format=torch.channels_last
            )
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                batches.append(network(inputs).points)
        unit = torch.cat(batches).double().cpu()  # (N, L, 2) in [-1, 1] over the crop
    stored = images.shape[1]
    return faces.to_image(to_pixels(unit * (size / stored), stored).numpy())


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
