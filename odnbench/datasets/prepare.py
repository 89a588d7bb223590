"""Preparing: crop and resize each face once, and keep the set in a folder that is mapped to memory.

    recipe = Recipe(rule, margin=1.25, size=280)
    face_set = prepare(archive.faces(…), name, recipe, cache / key, rendered=False, faults=[])

Pictures are decoded in parallel and written straight to `images.npy`, so that a set may be larger
than memory. A folder of the cache is whole or not there: it is written under another name and then
renamed, under a lock that the system releases when a process is killed. So two processes that want
the same set prepare it once, and the next process removes what a killed one left behind.
"""

# N faces, L landmarks, S side of a prepared picture in pixels

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, local
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy
from numpy.typing import NDArray

from odnbench.arrays import Bytes
from odnbench.datasets.crop import THUMBNAIL_PX, Window, thumbnail_of, window_of
from odnbench.datasets.decoders import listening
from odnbench.datasets.faces import Face, FaceSet
from odnbench.datasets.parallel import in_order
from odnbench.datasets.pictures import damage_of, read_picture
from odnbench.datasets.rendering.render import RENDERER_VERSION
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule

# Bytes of images.npy before the first picture.
_HEADER = 128
# Faces that a thread takes at once, so that threads seldom wait for Python's global lock.
_BATCH = 8
# Faces of which annotations are read before their pictures are decoded.
_READ_AHEAD = 512
# Cells of an occlusion mask along a side of the prepared picture.
_MASK_CELLS = 64

_NO_THUMBNAIL = np.zeros((THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)

FaceInWindow = tuple[Face, Window]


@dataclass(frozen=True)
class Recipe:
    """How a face becomes a prepared picture."""

    rule: BoxRule
    margin: float  # side of the prepared picture over the side of the rule's crop, both in image px
    size: int  # S


def prepare(
    faces: Iterable[Face],
    name: str,
    recipe: Recipe,
    folder: Path,
    *,
    rendered: bool,
    faults: list[str],
    advance: Callable[[], None] = lambda: None,
) -> FaceSet:
    """The prepared set of `faces`, read from `folder`, or written to it where it does not exist.

    A face without a picture is left out. `advance` is called after each face. While `faces` is
    read, its loader adds a line to `faults` for each faulty file. Raises OdnbenchError for a folder
    that cannot be written, and for faults: it lists them all, those of the loader and pictures that
    are unreadable or do not fit their landmarks.
    """
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                if not folder.is_dir():  # another process may have written it meanwhile
                    half = folder.with_name(f"{folder.name}.part")
                    shutil.rmtree(half, ignore_errors=True)  # left by a killed process
                    half.mkdir()
                    try:
                        _write(faces, name, recipe, half, rendered, faults, advance)
                        half.rename(folder)
                    finally:
                        shutil.rmtree(half, ignore_errors=True)
        except OSError as error:
            raise OdnbenchError(f"{folder}: cannot be written: {error}") from error
    return load(folder)


def load(folder: Path) -> FaceSet:
    """The set that `prepare` wrote to `folder`; its pictures are mapped to memory.

    The set's `offsets` are 0: they are the registry's, not the folder's. Raises OdnbenchError for a
    folder that is not whole.
    """
    try:
        with (
            (folder / "rest.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as rest,
        ):
            face_set = FaceSet(
                name=str(rest["name"]),
                images=np.load(folder / "images.npy", mmap_mode="r"),
                points=rest["points"],
                crop_to_image=rest["crop_to_image"],
                occluded=rest["occluded"],
                boxes=rest["boxes"],
                masks=rest["masks"],
                scales=rest["scales"],
                offsets=np.zeros((len(rest["scales"]), 2)),
                thumbnails=rest["thumbnails"],
                ids=tuple(map(str, rest["ids"])),
                parts=tuple(map(str, rest["parts"])),
                groups=tuple(map(str, rest["groups"])),
                labels=tuple(map(str, rest["labels"])),
                pictures=str(rest["pictures"]),
                rendered=bool(rest["rendered"]),
            )
        _check_shapes(face_set)
    except Exception as error:  # NumPy and zipfile raise almost anything on a damaged file
        raise OdnbenchError(f"{folder}: cannot be read ({error}); remove the folder") from error
    return face_set


def _check_shapes(face_set: FaceSet) -> None:
    """Raises ValueError for arrays of wrong types, of shapes that do not agree, or not finite."""
    N, S, L = len(face_set), face_set.images.shape[1], face_set.points.shape[1]
    arrays: dict[str, tuple[NDArray[Any], str, tuple[int, ...]]] = {
        "images": (face_set.images, "u1", (N, S, S, 3)),
        "points": (face_set.points, "f8", (N, L, 2)),
        "crop_to_image": (face_set.crop_to_image, "f8", (N, 2, 3)),
        "occluded": (face_set.occluded, "?", (N, L)),
        "boxes": (face_set.boxes, "f8", (N, 4)),
        "masks": (face_set.masks, "u1", (N, *face_set.masks.shape[1:2] * 2)),
        "scales": (face_set.scales, "f8", (N,)),
        "thumbnails": (face_set.thumbnails, "u1", (N, *_NO_THUMBNAIL.shape)),
    }
    for name, (array, dtype, shape) in arrays.items():
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} has {array.dtype} {array.shape} in place of {shape}")
    if not (np.isfinite(face_set.points).all() and np.isfinite(face_set.crop_to_image).all()):
        raise ValueError("a number is not finite")
    texts = {name: len(getattr(face_set, name)) for name in ("ids", "parts", "groups", "labels")}
    if set(texts.values()) != {N}:
        raise ValueError(", ".join(f"{count} {name}" for name, count in texts.items()))


def _write(
    faces: Iterable[Face],
    name: str,
    recipe: Recipe,
    folder: Path,
    rendered: bool,
    faults: list[str],
    advance: Callable[[], None],
) -> None:
    """Writes images.npy and rest.npz; raises OdnbenchError that lists all `faults`."""
    size = recipe.size
    kept = _Annotations()
    buffers, lock = local(), Lock()

    def put(item: tuple[int, list[FaceInWindow]]) -> list[tuple[str, Bytes]]:
        """Writes the crops of a batch to their places in the file; returns a fault, or "", and the
        thumbnail of each picture.
        """
        first, batch = item
        if not hasattr(buffers, "crops"):
            buffers.crops = np.empty((_BATCH, size, size, 3), np.uint8)  # one for each thread
        crops = buffers.crops[: len(batch)]
        found = [_crop(*pair, crop) for pair, crop in zip(batch, crops, strict=True)]
        with lock:
            file.seek(_HEADER + first * size * size * 3)
            if file.write(crops) != crops.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return found

    with (folder / "images.npy").open("wb", buffering=0) as file:
        with listening() as suspects:
            for found in in_order(put, _batches(faces, recipe, kept, faults)):
                for fault, thumbnail in found:
                    faults += [fault] if fault else []
                    kept.thumbnails.append(thumbnail)
                    advance()
        faults += [fault for fault, whole in map(damage_of, suspects) if not whole]
        if faults:
            raise OdnbenchError("\n  ".join([f"{name}: faulty files:", *faults]))
        file.seek(0)
        header = {
            "descr": "|u1", "fortran_order": False, "shape": (len(kept.faces), size, size, 3),
        }  # fmt: skip
        npy.write_array_header_1_0(file, header)
        assert file.tell() == _HEADER
    version = f"renderer {RENDERER_VERSION}" if rendered else ""
    pictures = hashlib.sha256(repr((version, kept.sizes)).encode()).hexdigest()[:16]
    arrays = {
        "name": np.array(name),
        "rendered": np.array(rendered),
        "pictures": np.array(pictures),
        **kept.arrays(size),
    }
    np.savez(folder / "rest.npz", allow_pickle=False, **arrays)


@dataclass
class _Annotations:
    """All that a prepared set keeps of its faces, except their pictures."""

    faces: list[Face] = field(default_factory=list)  # without pictures
    windows: list[Window] = field(default_factory=list)
    masks: list[Bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # of the picture files, in bytes
    thumbnails: list[Bytes] = field(default_factory=list)

    def add(self, face: Face, window: Window) -> None:
        """Adds a face, without the array of its picture, which would fill the memory."""
        if isinstance(face.image, Path):
            self.faces.append(face)
            with suppress(OSError):  # reading the picture reports the error
                self.sizes.append(os.stat(face.image).st_size)  # noqa: PTH116  Path.stat takes three times as long
        else:
            self.faces.append(replace(face, image=None, occlusion_mask=None))
            self.sizes.append(0 if face.image is None else face.image.size)
        self.windows.append(window)
        if face.occlusion_mask is not None:
            share = face.occlusion_mask.astype(np.uint8) * np.uint8(255)
            self.masks.append(window.cut(share, np.empty((_MASK_CELLS, _MASK_CELLS), np.uint8)))

    def arrays(self, size: int) -> dict[str, NDArray[Any]]:
        """The arrays of rest.npz, for pictures of side `size`."""
        N, L = len(self.faces), len(self.faces[0].points) if self.faces else 0
        no_flags, no_box, no_masks = np.zeros(L), np.full(4, np.nan), np.empty((N, 0, 0), np.uint8)
        flags = [no_flags if face.occluded is None else face.occluded for face in self.faces]
        boxes = [no_box if face.box is None else face.box for face in self.faces]
        maps = [window.crop_to_image(size) for window in self.windows]
        return {
            "points": np.array([face.points for face in self.faces]).reshape(N, L, 2),
            "crop_to_image": np.array(maps).reshape(N, 2, 3),
            "occluded": np.array(flags, np.bool_).reshape(N, L),
            "boxes": np.array(boxes).reshape(N, 4),
            "masks": np.array(self.masks) if N and len(self.masks) == N else no_masks,
            "thumbnails": np.array(self.thumbnails, np.uint8).reshape(N, *_NO_THUMBNAIL.shape),
            "scales": np.array([face.scale for face in self.faces], np.float64),
            "ids": np.array([face.id for face in self.faces], np.str_),
            "parts": np.array([face.part for face in self.faces], np.str_),
            "groups": np.array([face.group or face.id for face in self.faces], np.str_),
            "labels": np.array([" ".join(sorted(face.labels)) for face in self.faces], np.str_),
        }


def _batches(
    faces: Iterable[Face], recipe: Recipe, kept: _Annotations, faults: list[str]
) -> Iterator[tuple[int, list[FaceInWindow]]]:
    """Batches of faces with their windows, each with the index of its first face in the set.

    Adds the faces to `kept`, and a line to `faults` for a face without a window.
    """
    batch: list[FaceInWindow] = []
    for face in _read_ahead(faces):
        if face.image is None:
            continue
        try:
            window = window_of(face, recipe.rule, recipe.margin)
        except OdnbenchError as error:
            faults.append(str(error))
            continue
        kept.add(face, window)
        batch.append((face, window))
        if len(batch) == _BATCH:
            yield len(kept.faces) - len(batch), batch
            batch = []
    yield len(kept.faces) - len(batch), batch


def _read_ahead(faces: Iterable[Face]) -> Iterator[Face]:
    """`faces`. Up to _READ_AHEAD of those with picture files are read before one is passed on.

    Reading annotations holds Python's global lock and would slow down the threads that decode.
    """
    ahead: list[Face] = []
    for face in faces:
        ahead.append(face)
        if len(ahead) == _READ_AHEAD or not isinstance(face.image, Path):
            yield from ahead
            ahead = []
    yield from ahead


def _crop(face: Face, window: Window, out: Bytes) -> tuple[str, Bytes]:
    """Writes the crop of `face` to `out` (S, S, 3).

    Returns "" and the thumbnail, or what is wrong with the picture, and then writes nothing.
    """
    assert face.image is not None
    try:
        picture = read_picture(face.image, face.points)
    except OdnbenchError as error:
        return str(error), _NO_THUMBNAIL
    height, width = picture.shape[:2]
    x, y = face.points.T
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    if window.is_too_large_for(picture) or outside.mean() > 0.5:
        where = face.image if isinstance(face.image, Path) else f"{face.part}, {face.id}"
        return (
            f"{where}: the picture has {width} × {height} px, and most of its landmarks are outside"
        ), _NO_THUMBNAIL
    window.cut(picture, out)
    return "", thumbnail_of(out, window.to_crop(face.points, len(out)))
