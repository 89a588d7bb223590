"""Frames of a video on their way through the network."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from odnbench.arrays import Bytes
from odnbench.datasets.boxes import Located
from odnbench.datasets.inputs import Source, Video
from odnbench.engine.predict_files import predict_video
from odnbench.engine.predictor import Predictor

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
    def predict_located(self, crops: Sequence[Any], faces: Sequence[Any]) -> list[Any]:
        assert not crops
        return []


def test_frames_do_not_wait_for_a_face() -> None:
    """A film in which nobody is seen would fill the memory."""
    film = Film()
    video = Video(Source("film.avi", Path("film.avi"), "video"), cast(Any, film), 25.0, FRAMES)
    outcomes = predict_video(cast(Predictor, NoFaces()), video, NoBoxes(), batch_size=8)
    assert next(outcomes).frame == 0
    assert film.frames_read < FRAMES
    assert [outcome.frame for outcome in outcomes] == list(range(1, FRAMES))
