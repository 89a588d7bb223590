"""The trunk of a network: its layers one after the other, and where feature maps leave it.

What is behind the words of `model.attach` is found by a forward pass of a small image, for any
network whose layers stand in containers.
"""

# B images, C channels, H×W pixels of the image, h×w cells of a feature map of stride s

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odnbench.errors import OdnbenchError, some, unknown
from odnbench.plan.entries import ATTACH_WORDS

# H and W of the image that a network is looked at with: unlike each other, so that a map is told
# from what is pooled, and the axis of channels from the other two.
_PICTURE = (64, 96)


@dataclass(frozen=True)
class FeatureMap:
    """What is known of a feature map from its shape."""

    channels: int
    stride: int
    channels_last: bool  # (B, h, w, C), as Swin Transformers give it

    @classmethod
    def of(cls, features: object, picture: tuple[int, int] = _PICTURE) -> "FeatureMap | None":
        """The map `features` of an image of height and width `picture`; None for what is none."""
        if not isinstance(features, Tensor) or features.ndim != 4:
            return None
        height, width = picture
        for channels_last, (h, w) in ((False, features.shape[2:]), (True, features.shape[1:3])):
            if h and h * width == w * height and height % h == 0:
                channels = int(features.shape[3 if channels_last else 1])
                return cls(channels, height // h, channels_last)
        return None


@dataclass(frozen=True)
class Layer:
    """A layer of a trunk, as it worked on one image."""

    name: str  # below the network, as "features.3"
    module: nn.Module
    takes: torch.Size | None  # shape of its input; None where that is no single tensor
    gives: object  # its output

    @property
    def map(self) -> FeatureMap | None:
        """Its output, if that is a feature map."""
        return FeatureMap.of(self.gives)

    @property
    def is_unit(self) -> bool:
        """Whether it has matrices or kernels, and is no container of such layers."""
        weights = any(parameter.ndim > 1 for parameter in self.module.parameters())
        return weights and not isinstance(self.module, nn.Sequential)

    @property
    def keeps_shape(self) -> bool:
        """Whether its output has the shape of its input."""
        return isinstance(self.gives, Tensor) and self.gives.shape == self.takes


def small_image(picture: tuple[int, int] = _PICTURE) -> Tensor:
    """(1, 3, H, W) noise, the same each time, drawn without touching torch's own generator."""
    return torch.rand(1, 3, *picture, generator=torch.Generator().manual_seed(0))


def layers_of(network: nn.Module, image: Tensor, inside: nn.Module | None = None) -> list[Layer]:
    """The layers of the trunk of `network`, in the order in which they end.

    inside: the part of `network` whose layers they are; None: `network` itself.

    They are its children, those of its containers, and those of a child named "blocks", as timm
    names what a stage consists of. Layers inside of other modules are not the trunk's.
    """
    found: list[Layer] = []
    handles = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Sequence[object], output: object) -> None:
            given = inputs[0] if len(inputs) == 1 else None
            takes = given.shape if isinstance(given, Tensor) else None
            # A later layer may work in place.
            gives = output.clone() if isinstance(output, Tensor) else output
            found.append(Layer(name, module, takes, gives))

        return hook

    for name, module in _trunk(inside or network, ""):
        handles.append(module.register_forward_hook(note(name)))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(image)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return found


def last_unit(layers: Sequence[Layer]) -> int:
    """The place in `layers` of the last unit: "we modify the last residual unit" (Zhu et al., CVPR
    2019, Sec. 3), for a network of any kind.

    It is the last block, or layer with weights that stands by itself, that keeps the shape of what
    it takes, as a residual unit does, among those with the stride of the last map; where none does,
    as in DenseNet, the last of all. What stands behind the unit, as the 1×1 convolution before
    MobileNet's classifier, is left out with it.
    """
    end = max((_stride(layer) for layer in layers), default=0)
    units = [index for index, layer in enumerate(layers) if layer.is_unit]
    # A transformer's tokens are no map, and have the stride of its only stage.
    at_end = [i for i in units if layers[i].keeps_shape and _stride(layers[i]) in (0, end)]
    return max(at_end or units)


def place_of(network: nn.Module, attach: str, name: str) -> tuple[str, FeatureMap]:
    """The layer of `network` that `attach` means, a word of ATTACH_WORDS or a layer's name, and the
    feature map that it gives.

    "whole" is the last feature map, before pooling and classifier. "stride-N" is the outermost
    layer that ends with a map of that stride, and of such layers the last: a stage rather than a
    layer within the next one, before that divides the map. "last-unit": see `last_unit`.
    name: of the network in messages. Raises OdnbenchError for an unknown `attach`.
    """
    maps = [(layer, found) for layer in layers_of(network, small_image()) if (found := layer.map)]
    if attach == "last-unit":
        chosen = maps[: last_unit([layer for layer, _ in maps])]
    elif attach in ATTACH_WORDS:
        of_stride = [one for one in maps if attach in ("whole", f"stride-{one[1].stride}")]
        depth = min((layer.name.count(".") for layer, _ in of_stride), default=0)
        chosen = [one for one in of_stride if one[0].name.count(".") == depth]
    else:
        chosen = [one for one in maps if one[0].name == attach]
    if not chosen:
        strides = {f"stride-{found.stride}" for _, found in maps} & set(ATTACH_WORDS)
        known = ["whole", "last-unit", *sorted(strides), *(layer.name for layer, _ in maps)]
        if attach not in ATTACH_WORDS:
            raise OdnbenchError(f"model.attach of {name}: {unknown('place', attach, known)}")
        raise OdnbenchError(f"model.attach: {name} has no '{attach}'; it has {some(known)}")
    layer, found = chosen[-1]
    return layer.name, found


def _stride(layer: Layer) -> int:
    return layer.map.stride if layer.map else 0


def _trunk(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        yield f"{prefix}{name}", child
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _trunk(child, f"{prefix}{name}.")
        elif isinstance(blocks := getattr(child, "blocks", None), nn.Module):
            yield from _trunk(blocks, f"{prefix}{name}.blocks.")
