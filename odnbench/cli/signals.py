"""Signals that end a command: Ctrl-C, SIGTERM as `docker stop` sends it, SIGHUP of a terminal that
is closed, and SIGUSR1, by which a batch system such as Slurm warns a job before its time is over.

The first raises KeyboardInterrupt, at which a sweep marks what it broke off and leaves nothing
running. A second one ends the process at once.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Interruption:
    """Whether a signal has asked the command to end. number: of that signal; 0: none has."""

    number = 0

    @property
    def status(self) -> int:
        """The exit status of a command that a signal ended, as shells have it: 130 after Ctrl-C,
        143 after SIGTERM, 138 after SIGUSR1; 0 where there was none.
        """
        return 128 + self.number if self.number else 0

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Takes the signals while the context lasts. One that the process was started to ignore,
        as by nohup, stays ignored.
        """
        self.number = 0
        before = {number: signal.getsignal(number) for number in _ENDING}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            os._exit(128 + number)
        self.number = number
        raise KeyboardInterrupt


interruption = Interruption()
