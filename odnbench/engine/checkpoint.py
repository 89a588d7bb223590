"""Weights of a trial as safetensors: nothing in the file is ever executed."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from odnbench.errors import OdnbenchError


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
