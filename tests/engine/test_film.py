"""The film of overlays."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from odnbench.engine.film import Film

GREYS = (40, 80, 120, 160)


@pytest.mark.parametrize(
    ("is_live", "seconds", "shown", "rate"),
    [
        # When its frames were predicted does not matter.
        (False, (0.0, 3.0, 3.1), [40, 80, 120], 10.0),
        (True, (0.0, 0.3, 1.0), [40] * 3 + [80] * 7 + [120], 2.0),
        # More frames than the film has room for.
        (True, (0.0, 0.01, 0.02, 0.2), [40, 120, 160], 15.0),
    ],
)
def test_a_live_film_runs_as_time_did(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_live: bool,
    seconds: tuple[float, ...],
    shown: list[int],
    rate: float,
) -> None:
    film = Film(tmp_path / "a" / "film.mp4", 10.0, is_live=is_live)
    for grey, moment in zip(GREYS, seconds, strict=False):
        monkeypatch.setattr(time, "perf_counter", lambda moment=moment: moment)
        film.add(np.full((48, 64, 3), grey, np.uint8))
    assert film.rate == pytest.approx(rate)
    path = film.close()
    if path is None:
        pytest.skip("this OpenCV writes no videos")
    written, found = cv2.VideoCapture(str(path)), []
    while (frame := written.read()[1]) is not None:
        found.append(frame.mean())
    np.testing.assert_allclose(found, shown, atol=8)  # compression changes them a little


def test_a_film_without_frames_is_none(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("of a run before")
    for frames in ([], [None, None]):
        film = Film(path, 10.0, is_live=False)
        for frame in frames:
            film.add(frame)
        assert film.close() is None and film.rate == 10.0
