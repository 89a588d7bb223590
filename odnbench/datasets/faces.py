"""Faces as a loader yields them, and the prepared set that trials train and test on.

A loader reads files; a trial reads arrays. `prepare` turns the former into the latter: each face
is cropped by the protocol's box rule with a margin for augmentation, resized once, and kept as
uint8. Errors are computed in the image frame, to which `crop_to_image` maps predicted points.
"""

# N faces, L landmarks, S side of a prepared picture in pixels, M cells along that side,
# T side of a thumbnail in pixels

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from odnbench.arrays import Bytes, Flags, Floats, Rows

# A coordinate with a larger absolute value comes from a damaged file.
LARGEST_PX = 1e6


@dataclass(frozen=True)
class Face:
    """One annotated face. Coordinates are 0-based pixels of the image, pixel centres at
    integers; a box is left, top, right, bottom.
    """

    id: str  # the same on every machine: it holds no path of the machine
    part: str  # data set and part, such as "300w/helen-test"
    # A file, or (H, W, 3) RGB or (H, W) grey; None where the picture is missing.
    image: Path | Bytes | None
    points: Floats  # (L, 2)
    # (L,); None where the data set has no flags.
    occluded: Flags | None = None
    # (4,) of the annotation; None where the data set has none.
    box: Floats | None = None
    # (4,) of a face detector; None where the data set has none.
    detector_box: Floats | None = None
    # Subsets of the part that the face belongs to.
    labels: frozenset[str] = frozenset()
    # (H, W) where an occluder covers the face; None where that is not known.
    occlusion_mask: Flags | None = None
    # Pixels of this picture per pixel of the original one; 1 where the picture was not rescaled.
    scale: float = 1.0
    # The same for all faces that are in one photograph, as far as the data set's own names tell; ""
    # where they do not.
    group: str = ""


@dataclass(frozen=True)
class FaceSet:
    """Prepared faces of one split."""

    name: str  # data set and part, such as "300w/helen-train"; joined by "+" for several
    images: Bytes  # (N, S, S, 3) RGB
    points: Floats  # (N, L, 2), image frame
    crop_to_image: Floats  # (N, 2, 3), pixels of the prepared picture → pixels of the image
    occluded: Flags  # (N, L); all False where the data set has no flags
    boxes: Floats  # (N, 4) of the annotation; NaN where the data set has none
    # (N, M, M) share of each cell that occluders cover, from 0 to 255; M = 0 where not known.
    masks: Bytes
    scales: Floats  # (N,) pixels of the image per pixel of the original picture
    # (N, 2) image frame, px: how far right of and below the point that an annotator meant the
    # annotation lies; 0 where the registry states none, and for rendered faces.
    offsets: Floats
    # (N, T, T) grey, of the box of the landmarks, by which photographs are compared.
    thumbnails: Bytes
    ids: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]  # of each face: its photograph
    labels: tuple[str, ...]  # of each face: its labels in order, separated by blanks
    pictures: str  # hash of the sizes of the picture files and of the renderer's version
    rendered: bool  # whether any face is rendered

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: Rows) -> "FaceSet":
        """The faces at the indices `chosen`, in that order."""
        return dataclasses.replace(
            self,
            images=self.images[chosen],
            points=self.points[chosen],
            crop_to_image=self.crop_to_image[chosen],
            occluded=self.occluded[chosen],
            boxes=self.boxes[chosen],
            masks=self.masks[chosen],
            scales=self.scales[chosen],
            offsets=self.offsets[chosen],
            thumbnails=self.thumbnails[chosen],
            ids=tuple(self.ids[i] for i in chosen),
            parts=tuple(self.parts[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen),
            labels=tuple(self.labels[i] for i in chosen),
        )

    @classmethod
    def concatenate(cls, sets: "Sequence[FaceSet]") -> "FaceSet":
        """All faces of `sets`, one set after the other. A single set is returned as it is."""
        if len(sets) == 1:
            return sets[0]
        return cls(
            name="+".join(s.name for s in sets),
            images=np.concatenate([s.images for s in sets]),
            points=np.concatenate([s.points for s in sets]),
            crop_to_image=np.concatenate([s.crop_to_image for s in sets]),
            occluded=np.concatenate([s.occluded for s in sets]),
            boxes=np.concatenate([s.boxes for s in sets]),
            masks=_joined_masks([s.masks for s in sets]),
            scales=np.concatenate([s.scales for s in sets]),
            offsets=np.concatenate([s.offsets for s in sets]),
            thumbnails=np.concatenate([s.thumbnails for s in sets]),
            ids=tuple(i for s in sets for i in s.ids),
            parts=tuple(p for s in sets for p in s.parts),
            groups=tuple(g for s in sets for g in s.groups),
            labels=tuple(label for s in sets for label in s.labels),
            pictures=" ".join(s.pictures for s in sets),
            rendered=any(s.rendered for s in sets),
        )

    @property
    def points_crop(self) -> Floats:
        """`points` in pixels of the prepared pictures: (N, L, 2)."""
        return self.to_crop(self.points)

    @property
    def offsets_crop(self) -> Floats:
        """`offsets` in pixels of the prepared pictures: (N, 2)."""
        A = self.crop_to_image[:, :, :2]
        offsets: Floats = np.einsum("nij,nj->ni", np.linalg.inv(A), self.offsets)
        return offsets

    def to_crop(self, points_image: Floats) -> Floats:
        """(N, L, 2) in the image frame → pixels of the prepared pictures."""
        A, t = self.crop_to_image[:, :, :2], self.crop_to_image[:, :, 2]
        offsets = points_image - t[:, None]  # (N, L, 2)
        points: Floats = np.einsum("nij,nlj->nli", np.linalg.inv(A), offsets)
        return points

    def to_image(self, points_crop: Floats) -> Floats:
        """(N, L, 2) in pixels of the prepared pictures → image frame."""
        A, t = self.crop_to_image[:, :, :2], self.crop_to_image[:, :, 2]
        moved: Floats = np.einsum("nij,nlj->nli", A, points_crop) + t[:, None]
        return moved

    @property
    def fingerprint(self) -> str:
        """Hash of the faces and of the sizes of their picture files; part of a trial's content id.

        No pixel is in the hash, because another version of a decoder may give other pixels.
        """
        digest = hashlib.sha256()
        for text in (*self.ids, *self.parts, *self.groups, *self.labels, self.pictures):
            digest.update(text.encode(errors="surrogateescape") + b"\0")
        for numbers in (self.points, self.boxes, self.crop_to_image, self.offsets):
            digest.update(np.round(numbers, 3).tobytes())
        digest.update(self.occluded.tobytes())
        digest.update(repr((self.images.shape, self.rendered)).encode())
        return digest.hexdigest()[:16]


def _joined_masks(masks: Sequence[Bytes]) -> Bytes:
    """All masks (N, M, M), or (N, 0, 0) where the masks of one of the sets are not known."""
    if any(m.shape[1] == 0 for m in masks):
        return np.empty((sum(map(len, masks)), 0, 0), np.uint8)
    return np.concatenate(masks)
