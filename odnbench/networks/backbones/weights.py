"""Weights that a backbone starts from: files, and those that libraries publish.

Nothing in a file is executed.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from odnbench.errors import OdnbenchError, unknown
from odnbench.networks.torchvision_import import torchvision

# Of a backbone's tensors, that a file must have: below it, the file is of another network.
_LEAST_SHARE = 0.5
# How many batches a batch norm has averaged: not every file has it, and nothing depends on it.
_COUNTER = "num_batches_tracked"


def as_it_is(name: str) -> str:
    """`name`: files call the tensors of most backbones as the backbones do."""
    return name


def load_weights(
    backbone: nn.Module, path: Path, name_in_file: Callable[[str], str] = as_it_is
) -> None:
    """Loads the tensors of `path` that have names of `backbone`.

    A tensor of `backbone` that the file does not have stays as it was initialised, at random; a
    tensor of the file that `backbone` does not have, as of a classifier, is left out.
    name_in_file: from the name of a tensor of `backbone` to the tensor's name in files.
    Raises OdnbenchError if the file is absent or unreadable, a value is not finite, a shape
    differs, or the file has less than half of the backbone's tensors.
    """
    stored = read_weights(path)
    own = backbone.state_dict()
    common = {name: stored[there] for name in own if (there := name_in_file(name)) in stored}
    wanted = [name for name in own if not name.endswith(_COUNTER)]
    found = sum(name in common for name in wanted)
    if not common or found < _LEAST_SHARE * len(wanted):
        number = "none" if not common else f"only {found}"
        raise OdnbenchError(
            f"{path}: {number} of its {len(stored)} names is one of the backbone's {len(wanted)}, "
            f"for example '{name_in_file(wanted[0])}': it holds weights of another network; choose "
            "the file of this backbone, or -s pretrained=none"
        )
    for name, tensor in common.items():
        if not tensor.isfinite().all():
            raise OdnbenchError(f"{path}: {name} holds values that are not finite")
        if tensor.shape != own[name].shape:
            raise OdnbenchError(
                f"{path}: {name} is {tuple(tensor.shape)}, "
                f"the backbone's is {tuple(own[name].shape)}"
            )
    backbone.load_state_dict(common, strict=False)


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Name → tensor of a .npz, .safetensors or .pth file; nothing in the file is executed."""
    if not path.is_file():
        raise OdnbenchError(
            f"model.pretrained: {path} is not there; give 'none', 'imagenet' or a weights file"
        )
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in (".pth", ".pt"):
            state = torch.load(path, map_location="cpu", weights_only=True)
            # Training tools store the weights below "state_dict", beside their own state.
            state = state.get("state_dict", state)
            return {name: value for name, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:  # each reader has its own exceptions for a broken file
        raise OdnbenchError(f"{path}: cannot be read as weights: {error}") from error
    raise OdnbenchError(f"{path}: weights files end in .npz, .safetensors or .pth")


def published_weights(name: str, pretrained: str) -> Mapping[str, Tensor]:
    """torchvision's weights of its model `name`, downloaded once.

    pretrained: "imagenet" for the default ones, or the name of a member of the model's enumeration
    of weights. Raises OdnbenchError for another name, and where they cannot be downloaded.
    """
    known = torchvision.models.get_model_weights(name)
    if pretrained != "imagenet" and pretrained not in known.__members__:
        reason = unknown(f"weights of {name}", pretrained, ["none", "imagenet", *known.__members__])
        raise OdnbenchError(f"model.pretrained: {reason}, or a weights file")
    weights = known.DEFAULT if pretrained == "imagenet" else known[pretrained]
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return state
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise not_downloaded(name, error) from error


def not_downloaded(name: str, error: Exception) -> OdnbenchError:
    """The error for published weights of the model `name` that cannot be had."""
    reason = " ".join(str(error).split())
    return OdnbenchError(
        f"model.pretrained: the weights of {name} cannot be downloaded ({reason}); "
        "give a local file with -s pretrained=FILE, or -s pretrained=none"
    )
