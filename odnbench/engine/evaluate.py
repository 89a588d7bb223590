"""Predictions of a network for prepared faces, in the image frame.

A flip test predicts each face as it is and mirrored; the prediction for the mirror image is
mirrored back, and the mean of both counts, of points as of occlusion maps. A network that was
trained with the annotation offset of its faces (engine/augment.py) predicts the points of any
picture as if they were published, off by +o in x. Those of a mirror image are off by −o once they
are mirrored back, to which 2 o is added.

`with_occluders` gives the same faces with occluders pasted on them, for which the masks are known
on any data set.
"""

# N faces, B of them in a batch, L landmarks, S side of a prepared picture,
# h×w occlusion map P

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.arrays import Bytes, Flags, Floats
from odnbench.datasets.faces import FaceSet
from odnbench.engine.augment import central_crop, normalise, to_pixels, to_unit
from odnbench.engine.occluders import TEST_SEED, Occluders
from odnbench.errors import OdnbenchError
from odnbench.metrics.nme import mean_terms, nme_per_face, points_per_face
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.entries import Offset
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.predictions import Occlusion, Predictions

BATCH = 32  # faces that are predicted at once, unless somebody asks for more
_PASTED_BATCH = 256  # another one would paste other occluders
_POINTS_PER_CELL = 8  # along a side of a cell of P, where masks are looked up


class FlipTest(NamedTuple):
    """How the mirror image of a face is predicted beside the face."""

    flip: tuple[int, ...]  # (L,) the scheme's permutation
    has_learnt_offset: bool  # of an annotation, which is then given back

    @classmethod
    def of(cls, trial: Trial, registry: Registry) -> "FlipTest | None":
        """What the spec of `trial` asks for; None where faces are predicted once."""
        if not trial.spec.data.flip_test:
            return None
        return cls(trial.scheme.flip, _has_learnt_offset(trial, registry))


def _has_learnt_offset(trial: Trial, registry: Registry) -> bool:
    """Whether the network of `trial` was trained with the offset of an annotation. Rendered faces
    have no offset; for a training set that the registry does not know, one is assumed.
    """
    spec = trial.spec
    rendered = trial.coverage[0].rendered
    if rendered or not spec.train.epochs or not spec.augment.annotation_offset:
        return False
    try:
        dataset, split = registry.split(spec.data.train)
    except OdnbenchError:  # as for a network that came from elsewhere
        return True
    return {dataset.offset_of(part) for part in split.parts} != {Offset()}


class Predicted(NamedTuple):
    """The predictions of a network for prepared faces."""

    points: Floats  # (N, L, 2), image frame, or pixels of the crop (`predict_crops`)
    occlusion_map: Tensor | None  # (N, 1, h, w) P; None without distillation module
    confidence: Floats | None  # (N, L), of a head that tells it


def predict(
    network: LandmarkNetwork,
    faces: FaceSet,
    images: Tensor,
    size: int,
    bf16: bool,
    flip_test: FlipTest | None = None,
) -> Predicted:
    """Predictions for `faces`.

    images: (N, S, S, 3) uint8, the pictures of `faces` on the network's device or the host. size:
    side of the network's input in px. flip_test: if given, the mean of what the network says of
    each face and of its mirror image counts.
    """
    found = predict_crops(network, images, size, bf16, flip_test)
    if flip_test is not None and flip_test.has_learnt_offset:
        found.points[..., 0] += faces.offsets_crop[:, None, 0]  # half of 2 o
    return found._replace(points=faces.to_image(found.points))


def predict_crops(
    network: LandmarkNetwork,
    images: Tensor,
    size: int,
    bf16: bool,
    flip_test: FlipTest | None = None,
    batch_size: int = BATCH,
) -> Predicted:
    """As `predict`, with points in pixels of `images`, and an annotation offset not undone."""
    network.eval()
    stored, device = images.shape[1], network.mean_shape.device
    batches, maps, confidences = [], [], []
    with torch.inference_mode():
        for batch in images.split(batch_size):
            crops = central_crop(batch.to(device, non_blocking=True), size)
            inputs = normalise(crops, network.normalisation)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                answer = _answer(network, inputs, flip_test)
            batches.append(answer.points)
            if answer.occlusion_map is not None:
                maps.append(answer.occlusion_map)
            if answer.confidence is not None:
                confidences.append(answer.confidence)
        unit = torch.cat(batches).double().cpu()  # (N, L, 2) in [-1, 1] over the crop
    return Predicted(
        to_pixels(unit * (size / stored), stored).numpy(),
        torch.cat(maps).cpu() if maps else None,
        torch.cat(confidences).double().cpu().numpy() if confidences else None,
    )


class _Answer(NamedTuple):
    """What a network says of a batch; see Prediction, and LandmarkNetwork.confidence."""

    points: Tensor
    occlusion_map: Tensor | None
    confidence: Tensor | None


def _answer(network: LandmarkNetwork, inputs: Tensor, flip_test: FlipTest | None) -> _Answer:
    """What `network` says of inputs (B, 3, s, s), and of their mirror images if asked for."""
    prediction = network(inputs)
    P, confidence = prediction.occlusion_map, network.confidence(prediction)
    answer = _Answer(prediction.points, None if P is None else P.float(), confidence)
    if flip_test is None:
        return answer
    mirrored = _answer(network, inputs.flip(-1), None)
    flip = list(flip_test.flip)
    back = mirrored.points[:, flip]
    return _Answer(
        (answer.points + torch.stack([-back[..., 0], back[..., 1]], dim=-1)) / 2,
        _mean(answer.occlusion_map, mirrored.occlusion_map, lambda P: P.flip(-1)),
        _mean(answer.confidence, mirrored.confidence, lambda values: values[:, flip]),
    )


def _mean(
    one: Tensor | None, other: Tensor | None, turned_back: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """The mean of `one` and `other` turned back; None where there is none."""
    return None if one is None or other is None else (one + turned_back(other)) / 2


def occlusion_of(P: Tensor, faces: FaceSet, size: int) -> Occlusion:
    """1 − P of `faces`, from maps P (N, 1, h, w) over the network's input of side `size`."""
    stored, (h, w) = faces.images.shape[1], P.shape[2:]
    at = to_unit(torch.from_numpy(faces.points_crop).float(), stored) * (stored / size)  # (N, L, 2)
    trust = sampled(P, at[:, None])[:, 0, 0]  # (N, L)
    covered = covered_landmarks = None
    if faces.masks.shape[1]:
        # Points over the input, a whole number of them per cell of P, looked up in the masks,
        # which span the whole prepared picture.
        masks = torch.from_numpy(faces.masks[:, None] / np.float32(255))
        whole = to_unit(torch.from_numpy(faces.points_crop).float(), stored)  # (N, L, 2)
        # A cell of the masks is coarse: near the edge of an occluder the flag decides.
        covered_landmarks = faces.occluded & (sampled(masks, whole[:, None])[:, 0, 0] > 0).numpy()
        fine = functional.affine_grid(
            torch.eye(2, 3)[None] * (size / stored),
            [1, 1, h * _POINTS_PER_CELL, w * _POINTS_PER_CELL],
            align_corners=False,
        )
        shares = sampled(masks, fine.expand(len(masks), -1, -1, -1))
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
    *,
    flip_test: bool = False,
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
        flip_test,
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
    for first in range(0, len(faces), _PASTED_BATCH):
        rows = slice(first, first + _PASTED_BATCH)
        inputs = central_crop(torch.from_numpy(faces.images[rows]), size)
        pasted, masks = occluders.paste(inputs, points[rows], generator)
        images[rows, inside, inside] = pasted.round().byte().permute(0, 2, 3, 1).numpy()
        covered[rows, inside, inside] = 255 * masks[:, 0].byte().numpy()
        hidden[rows] = (sampled(masks, points[rows, None])[:, 0, 0] > 0.5).numpy()
    return occluded_by(faces, images, covered, hidden)


def occluded_by(faces: FaceSet, images: Bytes, covered: Bytes, hidden: Flags) -> FaceSet:
    """`faces` with other pictures, on which occluders lie as well.

    covered: (N, S, S) 255 where they lie, else 0; masks that were known before are added to it.
    hidden: (N, L) which landmarks they hide.
    """
    for mask, before in zip(covered, faces.masks, strict=True):
        if len(before):
            np.maximum(mask, cv2.resize(before, mask.shape), out=mask)
    return dataclasses.replace(
        faces, images=images, masks=covered, occluded=faces.occluded | hidden
    )


def sampled(maps: Tensor, grid: Tensor) -> Tensor:
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
