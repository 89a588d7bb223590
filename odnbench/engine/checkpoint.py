"""Weights of a trial as safetensors, and the progress of an unfinished one: nothing in either file
is ever executed.
"""

import dataclasses
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from odnbench.errors import OdnbenchError
from odnbench.files import write_whole

_SHARE = 0.02  # of a trial's time may go into keeping its progress


def save_checkpoint(state: Mapping[str, Tensor], path: Path) -> None:
    """Writes a network's state dict."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Loads `path` into `network`. Raises OdnbenchError if it is unreadable or of another
    network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OdnbenchError(f"{path}: not a checkpoint of this network: {error}") from error


@dataclass(frozen=True)
class Progress:
    """All that the rest of a trial depends on, at the end of an epoch."""

    epoch: int = 0
    seconds: float = 0.0  # that it has taken so far
    best_epoch: int = 0
    best_nme: float = float("inf")
    best_state: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    training: dict[str, Any] = dataclasses.field(default_factory=dict)  # of Training.state_dict


class ProgressFile:
    """Where a trial's progress is kept, as often as costs little of its time."""

    def __init__(self, path: Path):
        self.path = path
        self._saved_at = time.perf_counter()
        self._cost = 0.0  # seconds of the last time

    @property
    def due(self) -> bool:
        """Whether to save now."""
        return (time.perf_counter() - self._saved_at) * _SHARE >= self._cost

    def save(self, progress: Progress) -> None:
        """Replaces what was saved; a kill leaves the old file or the new one."""
        started = time.perf_counter()
        buffer = io.BytesIO()
        torch.save(vars(progress), buffer)
        write_whole(self.path, buffer.getbuffer())
        self._saved_at = time.perf_counter()
        self._cost = self._saved_at - started

    def load(self) -> Progress | None:
        """What was saved; None if nothing was, or nothing that can be read."""
        try:
            return Progress(**torch.load(self.path, map_location="cpu", weights_only=True))
        except Exception:  # a damaged file raises whatever its bytes lead to
            return None
