"""The film of overlays."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from odnbench.engine.film import Film

FRAME = np.full((48, 64, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("is_live", "seconds", "shown", "rate"),
    [
        (False, (0.0, 3.0, 3.1), 3, 10.0),  # when its frames were predicted does not matter
        (True, (0.0, 0.3, 1.0), 11, 2.0),
        (True, (0.0, 0.01, 0.02, 0.2), 3, 15.0),  # more frames than the film has room for
    ],
)
def test_a_live_film_runs_as_time_did(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_live: bool,
    seconds: tuple[float, ...],
    shown: int,
    rate: float,
) -> None:
    film = Film(tmp_path / "a" / "film.mp4", 10.0, is_live=is_live)
    for moment in seconds:
        monkeypatch.setattr(time, "perf_counter", lambda moment=moment: moment)
        film.add(FRAME)
    assert film.rate == pytest.approx(rate)
    path = film.close()
    if path is None:
        pytest.skip("this OpenCV writes no videos")
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == shown


def test_a_film_without_frames_is_none(tmp_path: Path) -> None:
    assert Film(tmp_path / "film.mp4", 10.0, is_live=False).close() is None
