"""Weights of a trial as safetensors, and the progress of an unfinished trial.

Reading either file executes nothing that is in it.
"""

import dataclasses
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole

_TIME_SHARE = 0.02  # of a trial's time, which may be spent on saving its progress


def save_checkpoint(state: Mapping[str, Tensor], path: Path) -> None:
    """Writes a network's state dict."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Loads `path` into `network`; OdnbenchError if it is unreadable or of another network."""
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OdnbenchError(f"{path}: not a checkpoint of this network: {error}") from error


@dataclass(frozen=True)
class Progress:
    """All that the rest of a trial depends on, at the end of an epoch."""

    epoch: int = 0
    seconds: float = 0.0  # spent on the trial so far
    best_epoch: int = 0
    best_nme: float = float("inf")
    best_state: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    # From Training.state_dict.
    training: dict[str, Any] = dataclasses.field(default_factory=dict)


class ProgressFile:
    """The file of a trial's progress, saved as often as costs little of the trial's time."""

    def __init__(self, path: Path):
        self.path = path
        self._saved_at = time.perf_counter()
        self._cost = 0.0  # seconds that the last save took

    @property
    def due(self) -> bool:
        """Whether to save now."""
        return (time.perf_counter() - self._saved_at) * _TIME_SHARE >= self._cost

    def save(self, progress: Progress) -> None:
        """Replaces the saved progress; a kill or a power cut meanwhile leaves either file
        whole, old or new.
        """
        started = time.perf_counter()
        buffer = io.BytesIO()
        torch.save(vars(progress), buffer)
        write_whole(self.path, buffer.getbuffer())
        self._saved_at = time.perf_counter()
        self._cost = self._saved_at - started

    @property
    def is_torn(self) -> bool:
        """Whether the file is there and does not hold what was saved; torch would load zeros in the
        place of weights that a power cut has taken.
        """
        try:
            with ZipFile(self.path) as file:
                return file.testzip() is not None
        except FileNotFoundError:
            return False
        except Exception:  # a damaged file raises whatever its bytes lead to
            return True

    def load(self) -> Progress | None:
        """The saved progress; None if there is none, or if it cannot be read."""
        if self.is_torn:
            return None
        try:
            return Progress(**torch.load(self.path, map_location="cpu", weights_only=True))
        except Exception:  # a damaged file raises whatever its bytes lead to
            return None
