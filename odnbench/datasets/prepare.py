"""Preparing: crop and resize each face once, and keep the set in a folder that is mapped to memory.

    faces = prepare(archive.faces(…), name, Recipe(rule, margin=1.25, size=280), cache / key)

Faces stream through: pictures are decoded in parallel and written straight to `images.npy`, so that
a set may be larger than memory. A folder is complete or not there: it is written beside its place
and renamed into it under a lock, which a killed process gives up. So two processes that want the
same set do the work once, and what a killed one left behind is removed by the next.
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
from odnbench.datasets.crop import Window, window_of
from odnbench.datasets.faces import Face, FaceSet
from odnbench.datasets.parallel import in_order
from odnbench.datasets.pictures import read_picture
from odnbench.datasets.rendering.render import RENDERER_VERSION
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import BoxRule

_HEADER = 128  # bytes of images.npy before the first picture
_BATCH = 8  # faces that a thread takes at once: threads seldom meet at Python's lock
_MOST_OUTSIDE = 4  # a window larger than this many pictures belongs to another picture
_READ_AHEAD = 512  # faces
_MASK_CELLS = 64  # along a side of the prepared picture

Framed = tuple[Face, Window]


@dataclass(frozen=True)
class Recipe:
    """What a prepared picture is."""

    rule: BoxRule
    margin: float  # side of the prepared picture over that of the rule's crop
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
    """The prepared set of `faces`, from `folder` if it is there, else made and kept in it.

    A face whose picture is not there is left out. `advance` is called after each face. Raises
    OdnbenchError for a folder that cannot be written, and one that lists every picture that is
    unreadable or does not fit its landmarks, after what the loader of `faces` put into `faults`.
    """
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                if not folder.is_dir():  # another process may have been first
                    half = folder.with_name(f"{folder.name}.part")
                    shutil.rmtree(half, ignore_errors=True)  # of a process that was killed
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
    """The set that `prepare` kept in `folder`; its pictures are mapped to memory.

    Raises OdnbenchError for a folder that is not whole.
    """
    try:
        with (
            (folder / "rest.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as rest,
        ):
            faces = FaceSet(
                name=str(rest["name"]),
                images=np.load(folder / "images.npy", mmap_mode="r"),
                points=rest["points"],
                crop_to_image=rest["crop_to_image"],
                occluded=rest["occluded"],
                boxes=rest["boxes"],
                masks=rest["masks"],
                ids=tuple(map(str, rest["ids"])),
                parts=tuple(map(str, rest["parts"])),
                labels=tuple(map(str, rest["labels"])),
                pictures=str(rest["pictures"]),
                rendered=bool(rest["rendered"]),
            )
        _check_shapes(faces)
    except Exception as error:  # NumPy and zipfile raise almost anything on a damaged file
        raise OdnbenchError(f"{folder}: cannot be read ({error}); remove the folder") from error
    return faces


def _check_shapes(faces: FaceSet) -> None:
    """Raises ValueError for arrays that do not belong together."""
    N, S, L = len(faces), faces.images.shape[1], faces.points.shape[1]
    arrays: dict[str, tuple[NDArray[Any], str, tuple[int, ...]]] = {
        "images": (faces.images, "u1", (N, S, S, 3)),
        "points": (faces.points, "f8", (N, L, 2)),
        "crop_to_image": (faces.crop_to_image, "f8", (N, 2, 3)),
        "occluded": (faces.occluded, "?", (N, L)),
        "boxes": (faces.boxes, "f8", (N, 4)),
        "masks": (faces.masks, "u1", (N, *faces.masks.shape[1:2] * 2)),
    }
    for name, (array, dtype, shape) in arrays.items():
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} has {array.dtype} {array.shape} in place of {shape}")
    if not (np.isfinite(faces.points).all() and np.isfinite(faces.crop_to_image).all()):
        raise ValueError("a number is not finite")
    if not len(faces.parts) == len(faces.labels) == N:
        raise ValueError(f"{N} ids, {len(faces.parts)} parts, {len(faces.labels)} labels")


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
    kept = _Kept()
    buffers, lock = local(), Lock()

    def put(item: tuple[int, list[Framed]]) -> list[str]:
        """Writes crops to their place in the file; returns what is wrong with each picture."""
        first, batch = item
        if not hasattr(buffers, "crops"):
            buffers.crops = np.empty((_BATCH, size, size, 3), np.uint8)  # one for each thread
        crops = buffers.crops[: len(batch)]
        found = [_crop(*framed, crop) for framed, crop in zip(batch, crops, strict=True)]
        with lock:
            file.seek(_HEADER + first * size * size * 3)
            if file.write(crops) != crops.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return found

    with (folder / "images.npy").open("wb", buffering=0) as file:
        for found in in_order(put, _batches(faces, recipe, kept, faults)):
            for fault in found:
                faults += [fault] if fault else []
                advance()
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
class _Kept:
    """What is known of the faces of a set, beside their pictures."""

    faces: list[Face] = field(default_factory=list)  # without pictures
    windows: list[Window] = field(default_factory=list)
    masks: list[Bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # of pictures, in bytes

    def add(self, face: Face, window: Window) -> None:
        """Keeps a face, without an array that would keep its picture in memory."""
        if isinstance(face.image, Path):
            self.faces.append(face)
            with suppress(OSError):  # told when it is read
                self.sizes.append(os.stat(face.image).st_size)  # noqa: PTH116  thrice as fast
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
            "ids": np.array([face.id for face in self.faces], np.str_),
            "parts": np.array([face.part for face in self.faces], np.str_),
            "labels": np.array([" ".join(sorted(face.labels)) for face in self.faces], np.str_),
        }


def _batches(
    faces: Iterable[Face], recipe: Recipe, kept: _Kept, faults: list[str]
) -> Iterator[tuple[int, list[Framed]]]:
    """Faces with their windows, and the index of the first of them in the set."""
    batch: list[Framed] = []
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
    """`faces`, those with picture files many at a time: reading annotations is Python's work, and
    would hold up the threads that decode.
    """
    ahead: list[Face] = []
    for face in faces:
        ahead.append(face)
        if len(ahead) == _READ_AHEAD or not isinstance(face.image, Path):
            yield from ahead
            ahead = []
    yield from ahead


def _crop(face: Face, window: Window, out: Bytes) -> str:
    """Writes the crop of `face` to `out` (S, S, 3); returns what is wrong with its picture, or
    "".
    """
    assert face.image is not None
    try:
        picture = read_picture(face.image)
    except OdnbenchError as error:
        return str(error)
    height, width = picture.shape[:2]
    x, y = face.points.T
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    too_large = max(window.width, window.height) > _MOST_OUTSIDE * max(width, height)
    if too_large or outside.mean() > 0.5:
        where = face.image if isinstance(face.image, Path) else f"{face.part}, {face.id}"
        return (
            f"{where}: the picture has {width} × {height} px, and most of its landmarks are outside"
        )
    window.cut(picture, out)
    return ""
