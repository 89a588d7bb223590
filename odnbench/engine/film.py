"""The overlays of a video, written as a film."""

import time
from pathlib import Path

import cv2

from odnbench.arrays import Bytes

_CODE = "mp4v"


class Film:
    """A film at `path`, made with its first frame. A live one shows each frame for as long as it
    was the newest.

    frames_per_second: of the film, and of the video, unless that is live.
    """

    def __init__(self, path: Path, frames_per_second: float, *, is_live: bool):
        self.path, self.frames_per_second, self.is_live = path, frames_per_second, is_live
        self._writer: cv2.VideoWriter | None = None
        self._began = self._last = 0.0  # seconds, of the first and of the newest frame
        self._added = self._shown = 0  # frames of the video, of the film
        self._newest: Bytes | None = None

    def add(self, frame: Bytes | None) -> None:
        """Adds the frame (H, W, 3) RGB, or None where there is to be no film. All frames have one
        size.
        """
        self._last = time.perf_counter()
        if not self._added:
            self._began = self._last
        self._added += 1
        if frame is None:
            return
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*_CODE)
            self._writer = cv2.VideoWriter(str(self.path), code, self.frames_per_second, size)
        until = self._added
        if self.is_live:
            until = 1 + round((self._last - self._began) * self.frames_per_second)
        for _ in range(self._shown, until - 1):
            assert self._newest is not None
            self._writer.write(self._newest)
        if until > self._shown:
            self._writer.write(picture)
            self._shown = until
        self._newest = picture  # type: ignore[assignment]

    @property
    def rate(self) -> float:
        """The video's frames per second; of a live one the mean of those that were added."""
        if not self.is_live or self._last == self._began:
            return self.frames_per_second
        return (self._added - 1) / (self._last - self._began)

    def close(self) -> Path | None:
        """Ends the film. Returns where it is; None where there is none, as without an encoder."""
        if self._writer is None:
            return None
        self._writer.release()
        return self.path if self.path.is_file() else None
