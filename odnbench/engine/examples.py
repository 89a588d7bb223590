"""A picture of what a network does: test faces with predicted landmarks, and its occlusion map.

Like Fig. 6 of Zhu et al., CVPR 2019. Upper row: truth as white rings, prediction as dots, red
where the truth is occluded. For networks with a distillation module, two rows below: P over the
picture, bright where features are trusted; and the picture times P over its largest value, which
shows what is let through.
"""

# K faces shown, S side of a prepared picture

from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.inspection.contact_sheet import TILE_PX, draw_landmarks
from odnbench.engine.evaluate import FlipTest, predict
from odnbench.networks.base import LandmarkNetwork

FACES = 8
Trust: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.float32]]"  # a map P


def draw_examples(
    network: LandmarkNetwork,
    faces: FaceSet,
    images: Tensor,
    predicted: Floats,
    size: int,
    flip_test: FlipTest | None = None,
) -> Bytes:
    """One row of tiles, or three, RGB.

    images (N, S, S, 3) uint8, on the network's device or the host; predicted (N, L, 2), image
    frame; size of the network's input.
    """
    chosen = np.unique(np.linspace(0, len(faces) - 1, FACES).astype(int))
    shown, found = faces[chosen], faces.to_crop(predicted)[chosen]
    upper = [
        draw_landmarks(picture, points, occluded, true)
        for picture, points, occluded, true in zip(
            shown.images, found, shown.occluded, shown.points_crop, strict=True
        )
    ]
    pictures = images[torch.from_numpy(chosen).to(images.device)]
    P = predict(network, shown, pictures, size, bf16=False, flip_test=flip_test).occlusion_map
    if P is None:
        return np.hstack(upper)
    maps = functional.interpolate(P, (size, size), mode="bilinear").numpy()[:, 0]
    below = [
        [draw(picture, trust) for picture, trust in zip(shown.images, maps, strict=True)]
        for draw in (_heat, _distilled)
    ]
    return np.vstack([np.hstack(row) for row in (upper, *below)])


def _distilled(picture: Bytes, trust: Trust) -> Bytes:
    """The picture (S, S, 3) times the map (s, s) over its central crop, black around it; the map
    over its largest value, since only the product of P and features is determined.
    """
    stored, size = picture.shape[0], trust.shape[0]
    start = (stored - size) // 2
    tile = np.zeros_like(picture)
    centre = picture[start : start + size, start : start + size]
    tile[start : start + size, start : start + size] = (
        centre * (trust / max(trust.max(), 1e-12))[..., None]
    )
    return cv2.resize(tile, (TILE_PX, TILE_PX))  # type: ignore[return-value]


def _heat(picture: Bytes, trust: Trust) -> Bytes:
    """The picture (S, S, 3), grey, under the map (s, s) over its central crop."""
    stored, size = picture.shape[0], trust.shape[0]
    start = (stored - size) // 2
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    tile = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    colours = cv2.applyColorMap((trust * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    centre = tile[start : start + size, start : start + size]
    mixed = cv2.addWeighted(centre, 0.45, cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), 0.55, 0)
    tile[start : start + size, start : start + size] = mixed
    return cv2.resize(tile, (TILE_PX, TILE_PX))  # type: ignore[return-value]
