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
        self._times: list[float] = []  # of the frames, in seconds
        self._shown = 0

    def add(self, frame: Bytes) -> None:
        """Adds the frame (H, W, 3) RGB. All frames have one size."""
        self._times.append(time.perf_counter())
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*_CODE)
            self._writer = cv2.VideoWriter(str(self.path), code, self.frames_per_second, size)
        until = len(self._times)
        if self.is_live:
            until = 1 + round((self._times[-1] - self._times[0]) * self.frames_per_second)
        for _ in range(self._shown, until):
            self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._shown = max(self._shown, until)

    @property
    def rate(self) -> float:
        """The video's frames per second; of a live one the mean of those that were added."""
        if not self.is_live or len(self._times) < 2:
            return self.frames_per_second
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])

    def close(self) -> Path | None:
        """Ends the film. Returns where it is; None where there is none, as without an encoder."""
        if self._writer is not None:
            self._writer.release()
        return self.path if self.path.is_file() else None
