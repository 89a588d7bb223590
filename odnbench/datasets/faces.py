"""Faces as a loader yields them, and the prepared set that trials train and test on.

A loader knows files; a trial knows arrays. Between them stands `prepare`: each face is cropped by
the protocol's box rule with a margin for augmentation, resized once, and kept as uint8. Errors are
computed in the image frame, into which `crop_to_image` leads back.
"""

# N faces, L landmarks, S side of a prepared picture in pixels

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.errors import OdnbenchError
from odnbench.specs import Protocol

# RGB without the rotation that a camera may have noted: landmarks refer to the pixels as stored.
_AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Face:
    """One annotated face. Coordinates are 0-based pixels of the image, pixel centres at
    integers.
    """

    id: str  # stable, without any path of the machine
    part: str  # "300w/helen-test"
    image: Path | Bytes  # a file, or (H, W, 3) RGB
    points: Floats  # (L, 2)
    occluded: Flags | None = None  # (L,)


@dataclass(frozen=True)
class FaceSet:
    """Prepared faces of one split."""

    name: str  # "300w/train"
    images: Bytes  # (N, S, S, 3) RGB
    points: Floats  # (N, L, 2), image frame
    crop_to_image: Floats  # (N, 2, 3), pixels of the prepared picture → pixels of the image
    occluded: Flags  # (N, L); all False where the data set has no flags
    ids: tuple[str, ...]
    parts: tuple[str, ...]
    rendered: bool

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.intp]) -> "FaceSet":
        """The faces at the indices `chosen`, in that order."""
        return dataclasses.replace(
            self,
            images=self.images[chosen],
            points=self.points[chosen],
            crop_to_image=self.crop_to_image[chosen],
            occluded=self.occluded[chosen],
            ids=tuple(self.ids[i] for i in chosen),
            parts=tuple(self.parts[i] for i in chosen),
        )

    @property
    def points_crop(self) -> Floats:
        """(N, L, 2): the points in pixels of the prepared pictures."""
        return self.to_crop(self.points)

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
        """Hash of the face list: ids, points and size. Part of a trial's content id."""
        digest = hashlib.sha256()
        for text in self.ids:
            digest.update(text.encode() + b"\0")
        digest.update(np.round(self.points, 3).tobytes())
        digest.update(repr((self.images.shape, self.rendered)).encode())
        return digest.hexdigest()[:16]


def prepare(
    name: str, faces: list[Face], protocol: Protocol, margin: float, size: int, *, rendered: bool
) -> FaceSet:
    """Crops and resizes `faces`, decoding in parallel.

    margin: side of the prepared picture over that of the protocol's crop. size: S.
    Raises OdnbenchError that lists every picture that is unreadable or does not fit its landmarks.
    """
    maps = np.stack([crop_map(face.points, protocol, margin, size) for face in faces])  # (N, 2, 3)
    images = np.empty((len(faces), size, size, 3), np.uint8)

    def crop(index: int) -> str:
        try:
            picture = read_picture(faces[index].image)
        except OdnbenchError as error:
            return str(error)
        height, width = picture.shape[:2]
        outside = (faces[index].points < -0.5) | (faces[index].points > (width - 0.5, height - 0.5))
        if outside.any(axis=1).mean() > 0.5:
            return (
                f"{faces[index].image}: the picture has {width} × {height} px, "
                "and most of its landmarks are outside"
            )
        images[index] = resample(picture, maps[index], size)
        return ""

    with ThreadPoolExecutor() as pool:
        faults = [fault for fault in pool.map(crop, range(len(faces))) if fault]
    if faults:
        raise OdnbenchError("\n  ".join([f"{name}: faulty pictures:", *faults]))
    no_flags = np.zeros(len(faces[0].points), np.bool_)
    return FaceSet(
        name=name,
        images=images,
        points=np.stack([face.points for face in faces]),
        crop_to_image=maps,
        occluded=np.stack([no_flags if f.occluded is None else f.occluded for f in faces]),
        ids=tuple(face.id for face in faces),
        parts=tuple(face.part for face in faces),
        rendered=rendered,
    )


def crop_map(points: Floats, protocol: Protocol, margin: float, size: int) -> Floats:
    """(2, 3): pixels of the prepared picture → pixels of the image, for a square crop around
    `points`.

    The crop's centre is that of the landmarks' tight box; its side is the longer side of the box
    times the protocol's crop factor and `margin`. Pixel centres are at integers in both frames.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) * protocol.crop_factor * margin
    if not np.isfinite(side) or side <= 0:
        raise OdnbenchError(f"landmarks span no area: box {low} to {high}")
    scale = side / size
    corner = (low + high) / 2 - side / 2  # upper left corner of the upper left pixel
    offset = corner + scale / 2
    return np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])


def resample(picture: Bytes, crop_to_image: Floats, size: int) -> Bytes:
    """(H, W, 3) → (size, size, 3); outside of the picture is black.

    Where the crop is much larger than `size`, the picture is averaged first: a bilinear sample sees
    only four pixels.
    """
    shrink = min(int(crop_to_image[0, 0]), *picture.shape[:2])
    if shrink >= 2:
        height, width = picture.shape[0] // shrink, picture.shape[1] // shrink
        picture = cv2.resize(  # type: ignore[assignment]
            picture[: height * shrink, : width * shrink],
            (width, height),
            interpolation=cv2.INTER_AREA,
        )
        to_small = np.array(
            [[1 / shrink, 0, (1 / shrink - 1) / 2], [0, 1 / shrink, (1 / shrink - 1) / 2]]
        )
        crop_to_image = to_small @ np.vstack([crop_to_image, [0, 0, 1]])
    warped = cv2.warpAffine(
        picture, crop_to_image, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return warped  # type: ignore[return-value]


def read_picture(image: Path | Bytes) -> Bytes:
    """(H, W, 3) RGB. Raises OdnbenchError naming a file that is missing, truncated or no
    picture.
    """
    if not isinstance(image, Path):
        return image
    try:
        data = image.read_bytes()
    except OSError as error:
        raise OdnbenchError(f"{image}: {error.strerror}") from error
    # OpenCV returns what it could decode of a truncated file, so the file's end is looked at first.
    jpeg_cut = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    png_cut = data[:4] == b"\x89PNG" and b"IEND" not in data[-64:]
    if jpeg_cut or png_cut:
        raise OdnbenchError(f"{image}: the picture is truncated")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED) if data else None
    if decoded is None:
        raise OdnbenchError(f"{image}: not a picture that OpenCV can read")
    return decoded  # type: ignore[return-value]
