"""Landmarks of files: pictures are read and cropped in threads while the network predicts.

    for outcome in predict_pictures(predictor, sources, boxes, batch_size=32):
        …

A file that fails is an outcome with its reason; the others go on.
"""

# S side of a crop

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from odnbench.arrays import Bytes
from odnbench.datasets.boxes import Boxes, Located, follow
from odnbench.datasets.inputs import Look, Source, Video, look_at, look_at_frame
from odnbench.datasets.parallel import in_order
from odnbench.engine.check import in_threads
from odnbench.engine.overlays import draw_overlay, shrunk
from odnbench.engine.predictor import Crop, PredictedFace, Predictor
from odnbench.errors import OdnbenchError

_FEWEST = 8  # faces that are worth a batch of their own


@dataclass(frozen=True)
class Outcome:
    """What became of a picture, or of a frame of a video."""

    source: Source
    frame: int | None = None
    size: tuple[int, int] | None = None  # width, height; None where it cannot be read
    orientation: int = 1  # EXIF; the points are in the picture that was turned by it
    notes: tuple[str, ...] = ()
    error: str = ""
    faces: tuple[PredictedFace, ...] = ()
    overlay: Bytes | None = None  # RGB; None where none is asked for, or there is no face


@dataclass(frozen=True)
class _Cropped:
    """A picture that waits for the network."""

    look: Look
    crops: tuple[Crop, ...]
    outcome: Outcome
    shown: Bytes | None  # the picture for the overlay
    scale: float  # its pixels per pixel of the picture


def predict_pictures(
    predictor: Predictor,
    sources: Iterable[Source],
    boxes: Boxes,
    *,
    batch_size: int,
    overlays: bool = True,
) -> Iterator[Outcome]:
    """The outcome of each picture of `sources`, in their order.

    batch_size: how many faces the network predicts at once, at most.
    """

    def read(source: Source) -> _Cropped:
        return _cropped(look_at(source, boxes), predictor, overlays=overlays, at_most=True)

    yield from in_order(_drawn, _predicted(in_order(read, sources), predictor, batch_size))


@dataclass
class Smoothing:
    """Exponential smoothing of the points of each face from frame to frame.

    weight: of the past, from 0 for none to below 1. A face is followed by the overlap of its box.
    """

    weight: float = 0.0
    _before: tuple[PredictedFace, ...] = field(default=())

    def smoothed(self, faces: tuple[PredictedFace, ...]) -> tuple[PredictedFace, ...]:
        """The faces of the next frame: (1 − weight) · its points + weight · those of the last."""
        if self.weight:
            same = follow([face.box for face in self._before], [face.box for face in faces])
            faces = tuple(
                face if row is None else self._mean(face, self._before[row])
                for face, row in zip(faces, same, strict=True)
            )
        self._before = faces
        return faces

    def _mean(self, now: PredictedFace, before: PredictedFace) -> PredictedFace:
        return replace(now, points=(1 - self.weight) * now.points + self.weight * before.points)


def predict_video(
    predictor: Predictor,
    video: Video,
    boxes: Boxes,
    *,
    batch_size: int,
    smoothing: float = 0.0,
    overlays: bool = True,
) -> Iterator[Outcome]:
    """The outcome of each frame, in order, with its overlay in the size of the frame.

    batch_size: see `predict_pictures`. A live one is predicted frame by frame, so that none is
    waiting when the user stops it.
    """

    def read(item: tuple[int, Bytes]) -> _Cropped:
        look = look_at_frame(video.source, *item, boxes)
        return _cropped(look, predictor, overlays=overlays, at_most=False)

    smoother = Smoothing(smoothing)
    live = video.source.is_live
    frames = map(read, video) if live else in_order(read, video)
    for cropped, faces in _predicted(frames, predictor, 1 if live else batch_size):
        smoothed = smoother.smoothed(tuple(faces))
        yield _drawn((cropped, smoothed))


def _cropped(look: Look, predictor: Predictor, *, overlays: bool, at_most: bool) -> _Cropped:
    """The crops of the faces of `look`. at_most: whether a large picture is shown smaller."""
    outcome = Outcome(look.source, look.frame, None, look.orientation, look.notes, look.error)
    if look.picture is None:
        return _Cropped(look, (), outcome, None, 1.0)
    height, width = look.picture.shape[:2]
    outcome = replace(outcome, size=(width, height))
    crops: list[Crop] = []
    faces: list[Located] = []
    for located in look.faces:
        try:
            crops.append(predictor.crop(look.picture, located))
            faces.append(located)
        except OdnbenchError as error:
            outcome = replace(outcome, error=str(error).removeprefix("given, "))
    shown, scale = None, 1.0
    if overlays and (crops or not at_most):
        shown, scale = shrunk(look.picture) if at_most else (look.picture, 1.0)
    # The picture itself is not kept: dozens of them wait at a time.
    look = replace(look, picture=None, faces=faces)
    return _Cropped(look, tuple(crops), outcome, shown, scale)


def _predicted(
    pictures: Iterable[_Cropped], predictor: Predictor, batch_size: int
) -> Iterator[tuple[_Cropped, Sequence[PredictedFace]]]:
    """Each picture with its faces. The network predicts when `batch_size` faces wait, or as many
    pictures, which may have none.

    On several cores, parts of that batch are predicted side by side, each by its share of the
    cores: threads that work on one batch wait for each other at every layer, and so for each
    picture that is read meanwhile.
    """
    parts = max(1, min(predictor.cores, batch_size // _FEWEST))
    size = batch_size // parts
    groups = _groups(pictures, size)
    if parts == 1:
        for group in groups:
            yield from _answered(group, predictor, size)
        return

    def answered(group: list[_Cropped]) -> list[tuple[_Cropped, Sequence[PredictedFace]]]:
        return list(_answered(group, predictor, size))

    share = predictor.cores // parts
    begin = partial(torch.set_num_threads, share)  # of torch, each thread has a number of its own
    with in_threads(share):
        for pairs in in_order(answered, groups, threads=parts, ahead=1, begin=begin):
            yield from pairs


def _groups(pictures: Iterable[_Cropped], size: int) -> Iterator[list[_Cropped]]:
    """The pictures in groups of `size` faces or more, or of so many pictures."""
    group: list[_Cropped] = []
    for picture in pictures:
        group.append(picture)
        if max(len(group), sum(len(each.crops) for each in group)) >= size:
            yield group
            group = []
    yield group


def _answered(
    waiting: Sequence[_Cropped], predictor: Predictor, batch_size: int
) -> Iterator[tuple[_Cropped, Sequence[PredictedFace]]]:
    pairs = [
        pair
        for each in waiting
        if each.crops
        for pair in zip(each.crops, each.look.faces, strict=True)
    ]
    faces: list[PredictedFace] = []
    for start in range(0, len(pairs), batch_size):
        crops, located = zip(*pairs[start : start + batch_size], strict=True)
        faces += predictor.predict_located(crops, located)
    first = 0
    for each in waiting:
        yield each, faces[first : first + len(each.crops)]
        first += len(each.crops)


def _drawn(item: tuple[_Cropped, Sequence[PredictedFace]]) -> Outcome:
    cropped, faces = item
    finite = [face for face in faces if np.isfinite(face.points).all()]
    outcome = replace(cropped.outcome, faces=tuple(finite))
    if len(finite) < len(faces):
        outcome = replace(outcome, error="a predicted point is not finite")
    if cropped.shown is None:
        return outcome
    return replace(outcome, overlay=draw_overlay(cropped.shown, finite, cropped.scale))
