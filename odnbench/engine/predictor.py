"""A trained network as people use it: pictures and boxes in, landmarks out.

    predictor = TrainedPredictor.load(folder, registry)
    points = predictor.predict(image, box).points

A `Predictor` knows how faces are cropped for it and predicts crops. Whatever else can do both, as
an exported file, is another class of the same base.
"""

# B faces in a batch, L landmarks, S side of a crop with its margin, s side of the network's input,
# h×w occlusion map P

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.boxes import Located, with_box
from odnbench.datasets.crop import window_of
from odnbench.engine.augment import to_unit
from odnbench.engine.evaluate import FlipTest, Predicted, predict_crops, sampled
from odnbench.engine.export import load_network
from odnbench.engine.training import own_device, use_bf16
from odnbench.errors import OdnbenchError
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.protocols import BoxRule, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder


class Crop(NamedTuple):
    """A face as a predictor takes it."""

    pixels: Bytes  # (S, S, 3) RGB
    crop_to_image: Floats  # (2, 3) affine map from its pixels to those of the picture


@dataclass(frozen=True)
class PredictedFace:
    """What a network says of one face; pixels of the picture from 0, centres at integers."""

    box: Floats  # (4,) left, top, right, bottom, from which the crop follows by the box rule
    seen: Floats  # (4,) what the network has seen of the picture, over which P is spread
    points: Floats  # (L, 2)
    score: float | None = None  # of the detector
    # (L,) of a head that tells it, in [0, 1]; it ranks the points and is not calibrated.
    confidence: Floats | None = None
    occlusion: Floats | None = None  # (L,) 1 − P at the predicted points
    occlusion_map: Floats | None = None  # (h, w) P, near 1 where features are trusted


class Predictor(ABC):
    """A network with the rule by which its faces are cropped."""

    title: str
    scheme: Scheme
    rule: BoxRule
    stored_px: int  # S
    input_px: int  # s
    notes: tuple[
        str, ...
    ] = ()  # how its predictions differ from those of its trial, a sentence each
    cores = 1  # which it can use by predicting several batches at once, each in a thread

    @abstractmethod
    def predict_crops(self, crops: Bytes) -> Predicted:
        """crops (B, S, S, 3) → points in their pixels, P and confidence."""

    def crop(self, picture: Bytes, located: Located) -> Crop:
        """The crop of a face in `picture` (H, W, 3) RGB.

        Raises OdnbenchError for a box without area or beside the picture, and for a face without
        the box of the rule.
        """
        window = window_of(located.face, self.rule, self.stored_px / self.input_px)
        if window.is_beside(picture) or window.is_too_large_for(picture):
            corners = " ".join(f"{value:g}" for value in _box_of(located, self.rule))
            height, width = picture.shape[:2]
            raise OdnbenchError(
                f"its box {corners} is none of a face in this picture of {width} × {height} px"
            )
        pixels = window.cut(picture, np.empty((self.stored_px, self.stored_px, 3), np.uint8))
        return Crop(pixels, window.crop_to_image(self.stored_px))

    def predict(self, image: Bytes, box: Sequence[float] | Floats) -> PredictedFace:
        """What the network says of one face.

        image: (H, W, 3) uint8 RGB. box: left, top, right, bottom of the face in pixels of the
        image, of the kind from which the box rule starts (`rule.describe()`). Raises OdnbenchError
        for an image of another kind, and for a box without area or beside the image.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise OdnbenchError(
                f"image must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}; "
                "convert it, as by cv2.cvtColor(image, cv2.COLOR_BGR2RGB)"
            )
        corners = np.asarray(box, np.float64)
        if corners.shape != (4,) or not (corners[:2] < corners[2:]).all():
            raise OdnbenchError(
                f"box must be left, top, right, bottom, of which right and bottom are the larger "
                f"ones, got {corners.tolist()}; right = left + width of a box with width and height"
            )
        located = with_box("the face", corners, self.rule)
        (face,) = self.predict_located([self.crop(image, located)], [located])
        return face

    def predict_located(
        self, crops: Sequence[Crop], located: Sequence[Located]
    ) -> list[PredictedFace]:
        """The landmarks of faces that are cropped."""
        if not crops:
            return []
        found = self.predict_crops(np.stack([crop.pixels for crop in crops]))
        P = found.occlusion_map
        hidden = None if P is None else self._occlusion(P, found.points)
        margin = (self.stored_px - self.input_px) // 2
        corners = np.array([margin, margin + self.input_px]) - 0.5  # of the input, in px of a crop
        return [
            PredictedFace(
                _box_of(one, self.rule),
                _moved(np.stack([corners, corners], axis=1), crop).ravel(),
                _moved(found.points[row], crop),
                one.score,
                None if found.confidence is None else found.confidence[row],
                None if hidden is None else hidden[row],
                None if P is None else P[row, 0].double().numpy(),
            )
            for row, (crop, one) in enumerate(zip(crops, located, strict=True))
        ]

    def _occlusion(self, P: Tensor, points_crop: Floats) -> Floats:
        """(B, L) 1 − P at the points, from maps (B, 1, h, w) over the network's input."""
        unit = to_unit(torch.from_numpy(points_crop), self.stored_px)
        at = (unit * (self.stored_px / self.input_px)).to(P.dtype)
        hidden: Floats = 1 - sampled(P, at[:, None])[:, 0, 0].double().numpy()
        return hidden


class TrainedPredictor(Predictor):
    """The network of a finished trial; it predicts as the trial does.

    A flip test is left out, and `notes` say so, where the network has learnt the offset of an
    annotation (engine/evaluate.py).
    """

    def __init__(
        self, trial: Trial, network: LandmarkNetwork, device: torch.device, registry: Registry
    ):
        self.trial, data = trial, trial.spec.data
        self.title, self.scheme, self.rule = trial.title, trial.scheme, trial.box
        self.stored_px, self.input_px = data.stored_size, data.input_size
        if device.type == "cpu":
            self.cores = torch.get_num_threads()
        self.network = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.flip_test = FlipTest.of(trial, registry)
        self.bf16 = use_bf16(trial.spec.train.precision, device)
        if self.flip_test is not None and self.flip_test.has_learnt_offset:
            self.flip_test = None
            self.notes = (
                "each face is predicted once, without the trial's flip test: how far its mirror "
                "image would be off is known for faces of the data set alone (annotation_offset)",
            )

    @classmethod
    def load(cls, folder: TrialFolder, registry: Registry) -> "TrainedPredictor":
        """The network of a finished trial, on the GPU of this machine if there is one.

        Raises OdnbenchError for a folder that holds no finished trial, and for one whose weights
        are gone or damaged.
        """
        if not folder.marked:
            raise OdnbenchError(
                f"{folder.path} holds no finished trial; the command that began it goes on with it"
            )
        if not folder.checkpoint.is_file():
            raise OdnbenchError(
                f"{folder.checkpoint} is gone; remove {folder.path} to have it trained again"
            )
        trial = folder.trial
        network = load_network(trial, folder, registry)
        return cls(trial, network, own_device(), registry)

    def predict_crops(self, crops: Bytes) -> Predicted:
        """See Predictor."""
        return predict_crops(
            self.network,
            torch.from_numpy(crops),
            self.input_px,
            self.bf16,
            self.flip_test,
            batch_size=len(crops),
        )


def _moved(points: Floats, crop: Crop) -> Floats:
    """(K, 2) in pixels of a crop → pixels of the picture."""
    A, t = crop.crop_to_image[:, :2], crop.crop_to_image[:, 2]
    moved: Floats = points @ A.T + t
    return moved


def _box_of(located: Located, rule: BoxRule) -> Floats:
    """(4,) the box of a face that `rule` starts from."""
    face = located.face
    if rule.source == "landmarks":
        return np.concatenate([face.points.min(axis=0), face.points.max(axis=0)])
    box = face.box if rule.source == "annotated" else face.detector_box
    assert box is not None  # or the face would not have been cropped
    return box
