"""The connection of this process to Ray: to a cluster, or to a Ray that is started here."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import ray
import ray.tune.tune
from ray.exceptions import RayError

from odnbench.errors import OdnbenchError
from odnbench.sweep.resources import Resources

# The longest path of a socket on Linux, and the longest that Ray makes below its folder; the number
# of a process has seven digits at most.
_LONGEST_SOCKET = 107
_SOCKET = "ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_USUAL = "/tmp"  # where Ray works without TMPDIR


@contextmanager
def connected(resources: Resources, tell: Callable[[str], None]) -> Iterator[None]:
    """Connects this process to Ray, and ends the connection after the `with` block.

    A connection that this process has already is used instead, and is left open. tell: takes a
    line for people. Raises OdnbenchError where no cluster answers, or none of its nodes has what a
    trial needs.
    """
    if ray.is_initialized():
        check_nodes(resources)
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = resources.address
    if address is None:
        # Without an address, Ray would look for a cluster, and wait for one that has died.
        address = "local"
        options |= {"include_dashboard": False, **_folder_of_ray(tell)}
    try:
        with _signals_wait(), _library_is_silent():
            _init(address, options)
        check_nodes(resources)
        yield
    finally:
        gc.collect()  # Ray's objects must not be freed by another thread after the shutdown
        ray.shutdown()


def _init(address: str, options: Mapping[str, Any]) -> None:
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RayError) as error:
        raise OdnbenchError(
            f"--address {address}: no Ray cluster can be reached there: {error}; docs/cluster.md "
            "says how to start one"
        ) from error


def check_nodes(resources: Resources) -> None:
    """Raises OdnbenchError where no node of the cluster has what a trial needs: Ray would wait for
    one. A cluster that starts nodes as they are needed may have it later, and is not looked at.
    """
    if ray._private.state.state.get_max_resources_from_cluster_config() is not None:
        return
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    sizes = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
    gpus = resources.gpus or 0.0
    if any(cpu >= resources.cpus and gpu >= gpus for cpu, gpu in sizes):
        return
    if gpus:  # of the nodes with the most GPUs, that with the most cores
        sizes = [size for size in sizes if size[1] == max(gpu for _, gpu in sizes)]
    cores, most = max(sizes, default=(0.0, 0.0))
    resources.check(cores, most, "the largest node of the Ray cluster has")


def _folder_of_ray(tell: Callable[[str], None]) -> dict[str, str]:
    """The option of `ray.init` for the folder in which Ray works: none where TMPDIR serves."""
    for name in ("RAY_TMPDIR", "TMPDIR"):
        if folder := os.environ.get(name):
            break
    else:
        return {}
    if not folder.isascii():
        fault = "has letters in it that Ray does not take"
    elif len(f"{folder.rstrip('/')}/{_SOCKET}") > _LONGEST_SOCKET:
        fault = f"is too long for Ray's sockets, whose paths have {_LONGEST_SOCKET} bytes at most"
    elif not (Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        fault = "is no folder that can be written"
    else:
        return {}
    tell(f"{name} {folder} {fault}: Ray works in {_USUAL}")
    return {"_temp_dir": f"{_USUAL}/ray"}


@contextmanager
def _signals_wait() -> Iterator[None]:
    """While the context lasts, a signal that a handler of this process takes waits for its end: Ray
    is not to be broken off while it starts, and may swallow what is raised then. A second one does
    not wait.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone has handlers
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    waiting: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        handler = handlers[signal.Signals(number)]
        if waiting and callable(handler):
            handler(number, frame)
        waiting.append(number)

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def _library_is_silent() -> Iterator[None]:
    """Keeps away what Ray's library writes to standard error by itself as it starts: that it has
    read RAY_BACKEND_LOG_LEVEL. What went wrong it raises.
    """
    try:
        kept = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _leave_sigterm(handler: object) -> None:
    """Takes the place of Ray's function that sets a handler of SIGTERM in this process."""


def _leave_signals() -> threading.Event:
    """Takes the place of Tune's function that sets a handler of SIGUSR1 in this process. Tune ends
    early when the event is set, which nothing does.
    """
    return threading.Event()


ray._private.utils.set_sigterm_handler = _leave_sigterm
ray.tune.tune._setup_signal_catching = _leave_signals
