"""Frames of a video on their way through the network."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from odnbench.arrays import Bytes
from odnbench.datasets.boxes import Located, with_box
from odnbench.datasets.inputs import Source, Video
from odnbench.engine.predict_files import predict_video
from odnbench.engine.predictor import Crop, PredictedFace, Predictor
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

FRAMES = 100 + 10 * (os.cpu_count() or 1)  # more than are read ahead


class Film:
    """A capture that counts what was read of it."""

    frames_read = 0

    def read(self) -> tuple[bool, Bytes]:
        self.frames_read += 1
        return self.frames_read <= FRAMES, np.zeros((8, 8, 3), np.uint8)


class NoBoxes:
    def describe(self) -> str:
        return "none"

    def annotated(self, path: Path) -> None:
        return None

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        return []


class NoFaces:
    cores = 1

    def predict_located(self, crops: Sequence[Any], faces: Sequence[Any]) -> list[Any]:
        raise AssertionError("there is no face")


class ManyBoxes(NoBoxes):
    def __init__(self, rule: BoxRule):
        self.rule = rule

    def of(self, path: Path, frame: int | None, picture: Bytes) -> Sequence[Located]:
        return [with_box("", np.array([0.0, 0, 5, 5 + i]), self.rule) for i in range(7)]


class Counts:
    """A predictor that notes how many faces it is given at once."""

    def __init__(self, cores: int = 1) -> None:
        self.cores = cores
        self.given: list[int] = []

    def crop(self, picture: Bytes, located: Located) -> Crop:
        return Crop(picture, np.eye(2, 3))

    def predict_located(
        self, crops: Sequence[Crop], faces: Sequence[Located]
    ) -> list[PredictedFace]:
        self.given.append(len(crops))
        return [
            PredictedFace(face.face.points.ravel(), face.face.points.ravel(), face.face.points)
            for face in faces
        ]


def test_frames_do_not_wait_for_a_face() -> None:
    """A film in which nobody is seen would fill the memory."""
    film = Film()
    video = Video(Source("film.avi", Path("film.avi"), "video"), cast(Any, film), 25.0, FRAMES)
    outcomes = predict_video(cast(Predictor, NoFaces()), video, NoBoxes(), batch_size=8)
    assert next(outcomes).frame == 0
    assert film.frames_read < FRAMES
    assert [outcome.frame for outcome in outcomes] == list(range(1, FRAMES))


@pytest.mark.parametrize(("cores", "batch_size", "most"), [(1, 3, 3), (2, 3, 3), (2, 17, 8)])
def test_no_more_faces_are_predicted_at_once_than_asked_for(
    registry: Registry, cores: int, batch_size: int, most: int
) -> None:
    film, counts, threads = Film(), Counts(cores), torch.get_num_threads()
    video = Video(Source("film.avi", Path("film.avi"), "video"), cast(Any, film), 25.0, FRAMES)
    boxes = ManyBoxes(registry.get(BoxRule, "landmarks"))
    outcomes = list(predict_video(cast(Predictor, counts), video, boxes, batch_size=batch_size))
    assert torch.get_num_threads() == threads
    assert max(counts.given) == most and sum(counts.given) == 7 * FRAMES
    for outcome in outcomes:
        assert [face.box[3] for face in outcome.faces] == [5 + i for i in range(7)]
