"""ResNet backbones, He et al., CVPR 2016, cut where the modules of ODN take over.

"We modify the last residual unit of ResNet-18" (Zhu et al., CVPR 2019, Sec. 3): with
attach = "layer4.0", Z is the output of layer4.0 and our modules stand in the place of layer4.1.
Parameters keep torchvision's names, so that its weights and files of the same naming load by name.
"""

# B images, C channels, H×W pixels of the image, s stride of the feature map

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from odnbench.errors import OdnbenchError
from odnbench.networks.torchvision_import import torchvision

_BLOCK = torchvision.models.resnet.BasicBlock


class FeatureExtractor(nn.Sequential):
    """The first layers of a network: (B, 3, H, W) → Z (B, out_channels, H/stride, W/stride)."""

    def __init__(self, layers: "OrderedDict[str, nn.Module]", out_channels: int, stride: int):
        super().__init__(layers)
        self.out_channels = out_channels
        self.stride = stride


def resnet(attach: str, pretrained: str, *, name: str) -> FeatureExtractor:
    """torchvision's ResNet `name` up to and including block `attach` ("layer3", "layer4.0", …).

    pretrained: "none", "imagenet" (torchvision's own weights, downloaded once), or a local weights
    file (.npz, .safetensors, .pth). Raises OdnbenchError for an unknown `attach` and for weights
    that cannot be had.
    """
    model = torchvision.models.get_model(name, weights=None)
    if pretrained == "imagenet":
        model.load_state_dict(_imagenet_weights(name))
    backbone = _cut(model, attach)
    if pretrained not in ("none", "imagenet"):
        load_weights(backbone, Path(pretrained))
    return backbone


def slim_resnet18(attach: str, pretrained: str, *, width: int) -> FeatureExtractor:
    """ResNet-18 with `width` channels in its first stage instead of 64."""
    if pretrained == "imagenet":
        raise OdnbenchError(
            "model.pretrained: there are no ImageNet weights of the slim ResNet-18; "
            "use -s pretrained=none or -s backbone=resnet18"
        )
    model = torchvision.models.ResNet(_BLOCK, [2, 2, 2, 2])
    widths = (width, 2 * width, 4 * width, 8 * width)
    model.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(width)
    model.inplanes = width  # torchvision counts the channels reached so far here
    for stage, channels in enumerate(widths, start=1):
        layer = model._make_layer(_BLOCK, channels, blocks=2, stride=1 if stage == 1 else 2)
        setattr(model, f"layer{stage}", layer)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    backbone = _cut(model, attach)
    if pretrained != "none":
        load_weights(backbone, Path(pretrained))
    return backbone


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Loads the tensors of `path` that have names of `backbone`, and leaves its others as they are.

    Raises OdnbenchError if the file is absent or unreadable, a value is not finite, a shape
    differs, or no name matches.
    """
    stored = read_weights(path)
    own = backbone.state_dict()
    common = {name: tensor for name, tensor in stored.items() if name in own}
    if not common:
        raise OdnbenchError(
            f"{path}: none of its {len(stored)} names is one of the backbone's, "
            f"for example '{next(iter(own))}'"
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


def _cut(model: nn.Module, attach: str) -> FeatureExtractor:
    """The layers of a torchvision ResNet up to and including `attach`."""
    stage, _, block = attach.partition(".")
    stages = ("layer1", "layer2", "layer3", "layer4")
    available = [
        *stages,
        *(f"{name}.{index}" for name in stages for index in range(len(getattr(model, name)))),
    ]
    if attach not in available:
        raise OdnbenchError(
            f"model.attach: this backbone has no '{attach}'; it has {', '.join(available)}"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        (name, getattr(model, name)) for name in ("conv1", "bn1", "relu", "maxpool")
    )
    for name in stages[: stages.index(stage) + 1]:
        layers[name] = getattr(model, name)
    if block:
        layers[stage] = nn.Sequential(*list(layers[stage].children())[: int(block) + 1])
    last = list(layers[stage].children())[-1]
    norm = [module for module in last.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    out_channels = norm.num_features
    return FeatureExtractor(layers, out_channels, stride=2 ** (int(stage[-1]) + 1))


def _imagenet_weights(name: str) -> Mapping[str, Tensor]:
    try:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return state
    except OSError as error:
        raise OdnbenchError(
            f"model.pretrained: the ImageNet weights of {name} cannot be downloaded ({error}); "
            "give a local file with -s pretrained=FILE, or -s pretrained=none"
        ) from error
