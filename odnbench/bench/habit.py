"""How trainers of this field feed their networks by habit: each sample is decoded, warped and
normalised by itself, in the worker processes of a DataLoader.

The public trainers of HRNet and PIPNet work so; `odnbench bench train` compares with them.
"""

# L landmarks, s side of the network's input

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from odnbench.datasets.crop import window_of
from odnbench.datasets.faces import Face
from odnbench.engine.augment import IMAGENET, to_unit
from odnbench.plan.trials import Trial


class PerSample(Dataset[tuple[Tensor, Tensor]]):
    """Picture files, one augmented sample at a time: (3, s, s) and (L, 2) in [-1, 1]."""

    def __init__(self, faces: Sequence[Face], trial: Trial):
        self.faces, self.augment = faces, trial.spec.augment
        self.size, self.flip = trial.spec.data.input_size, list(trial.scheme.flip)
        self.crop_to_image = [window_of(f, trial.box, 1.0).crop_to_image(self.size) for f in faces]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        face, size, augment = self.faces[index], self.size, self.augment
        random = np.random.default_rng(torch.initial_seed() + index)
        angle = np.deg2rad(random.uniform(-1, 1) * augment.rotation_deg)
        scale = 1 + random.uniform(-1, 1) * augment.scale
        shift = random.uniform(-1, 1, 2) * augment.translation * size
        mirrored = random.random() < augment.flip
        centre = (size - 1) / 2
        A = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        A[:, 0] *= -1 if mirrored else 1
        similarity = np.column_stack([A, centre + shift - A @ [centre, centre]])
        to_image = self.crop_to_image[index] @ np.vstack([similarity, [0, 0, 1]])

        picture = cv2.cvtColor(cv2.imread(str(face.image)), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(picture, to_image, (size, size), flags=flags)
        image = (crop.astype(np.float32) / 255 - IMAGENET.mean) / IMAGENET.std
        points = (face.points - to_image[:, 2]) @ np.linalg.inv(to_image[:, :2]).T
        points = points[self.flip] if mirrored else points
        return (
            torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)),
            to_unit(torch.from_numpy(points.astype(np.float32)), size),
        )
