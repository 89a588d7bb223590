"""The processes that work on one study, each of which knows which of the others are alive.

A driver holds a lock in the search's folder, which the system gives back where the process is
killed. Drivers on other machines, whose folders are others, tell by the study that they are alive.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import optuna
from optuna.exceptions import StorageInternalError

from odnbench.results.plans import at_work_as, is_driver_at_work

_ALIVE = "odnbench.driver "  # and a driver's name: when the driver was alive, Unix time in s
_BEAT_SECONDS = 20.0
_DEAD_SECONDS = 120.0  # without a sign of life; the clocks of machines may differ a little
_SETTLE_SECONDS = 1.0  # in which what two drivers wrote at once has arrived


class Driver:
    """This process among the drivers of `study`. folder: of the search, on this machine."""

    def __init__(self, folder: Path, name: str, study: optuna.Study):
        self.folder, self.name, self._study = folder, name, study

    def beat(self, *, last: bool = False) -> None:
        """Tells the others that this driver is alive, or that it ends."""
        self._study.set_user_attr(_ALIVE + self.name, 0.0 if last else time.time())

    def is_alive(self, other: str) -> bool:
        """Whether the driver of the name `other` still works on the study."""
        if other == self.name:
            return True
        held = is_driver_at_work(self.folder, other)
        if held is not None:
            return held
        seen = float(self._study.user_attrs.get(_ALIVE + other, 0.0))
        return time.time() - seen < _DEAD_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether no other driver works on the study."""
        known = [
            key.removeprefix(_ALIVE) for key in self._study.user_attrs if key.startswith(_ALIVE)
        ]
        return not any(self.is_alive(name) for name in known if name != self.name)

    def settle(self) -> None:
        """Waits until what another driver has written at the same time would be seen."""
        if not self.is_alone:
            time.sleep(_SETTLE_SECONDS)


@contextmanager
def joined(folder: Path, study: optuna.Study, *, far: bool) -> Iterator[Driver]:
    """A driver of the search in `folder`, inside the `with` block.

    far: whether drivers whose folders are others may work on the study too.
    """
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    driver, over = Driver(folder, name, study), Event()

    def keep_beating() -> None:
        while not over.wait(_BEAT_SECONDS):
            with suppress(OSError, StorageInternalError):  # the next one may arrive
                driver.beat()

    with at_work_as(folder, name):
        driver.beat()
        if far:
            Thread(target=keep_beating, name="driver of the study", daemon=True).start()
        try:
            yield driver
        finally:
            over.set()
            with suppress(OSError, StorageInternalError):  # it is dead two minutes later then
                driver.beat(last=True)
