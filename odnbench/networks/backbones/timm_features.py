"""Backbones of timm (Wightman, github.com/huggingface/pytorch-image-models), by timm's names.

timm gives feature maps itself (`features_only`), under names of its own for what it wraps; files
hold the names of the whole model.
"""

# B images, C channels, H×W pixels of the image, s stride of the feature map

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from odnbench.errors import OdnbenchError, unknown
from odnbench.networks.backbones.trunk import FeatureMap, last_unit, layers_of, small_image
from odnbench.networks.backbones.weights import load_weights, not_downloaded
from odnbench.networks.torchvision_import import torchvision  # noqa: F401  timm imports it as well
from odnbench.plan.weights import weights_file

# What makes models of one input size take others; a model knows one of these arguments, or none.
_ANY_SIZE: tuple[dict[str, bool], ...] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)


class TimmFeatures(nn.Module):
    """The last feature map of a timm model: (B, 3, H, W) → Z (B, out_channels, H/stride, W/stride).

    features: a model that gives a list of maps. input_mean, input_std: what it wants its inputs
    normalised by. picture: height and width of an image that it takes.
    """

    def __init__(self, features: nn.Module, picture: tuple[int, int]):
        super().__init__()
        self.features = features
        settings: Any = features.pretrained_cfg
        self.input_mean, self.input_std = tuple(settings["mean"]), tuple(settings["std"])
        with torch.no_grad():
            found = FeatureMap.of(features(small_image(picture))[-1], picture)
        if found is None:
            raise OdnbenchError(
                "model.backbone: it gives no feature map; choose another model of timm"
            )
        self.out_channels, self.stride = found.channels, found.stride
        self.channels_last = found.channels_last

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        Z: Tensor = self.features(images)[-1]
        return Z.permute(0, 3, 1, 2) if self.channels_last else Z


def timm_backbone(attach: str, pretrained: str, *, name: str) -> TimmFeatures:
    """timm's model `name` up to `attach`, a word of ATTACH_WORDS or the name that timm's feature
    information has for a map.

    "stride-N" is the last of timm's maps of that stride. "last-unit": see trunk.last_unit; the
    stages of a model whose blocks timm does not list are taken as units.
    pretrained: "none", "imagenet" (timm's default weights of `name`), a tag of other weights, or a
    local file with the tensors of the whole model, by timm's names. Inputs are normalised as `name`
    wants it, whatever the weights. Layers that do not lead to Z are left out; parameters within a
    layer that do not, as those of HRNet's other branches, are not trained. Raises OdnbenchError for
    an unknown name, `attach` or tag, for weights that cannot be had, and where timm is not
    installed.
    """
    timm = _timm(name)
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models() + timm.list_pretrained(), n=1)
        hint = f"; did you mean 'timm:{near[0]}'?" if near else ""
        raise OdnbenchError(
            f"model.backbone: timm {timm.__version__} has no model '{name}'{hint} "
            "timm.list_models() lists them"
        )
    file = weights_file(pretrained)
    index = _index(name, attach)
    if file is not None or pretrained == "none":
        features = _features(name, out_indices=(index,))
    else:
        whole_name = name if pretrained == "imagenet" else _tagged(timm, name, pretrained)
        try:
            features = _features(whole_name, out_indices=(index,), pretrained=True)
        except Exception as error:  # the hub's client has its own, for each way to fail
            raise not_downloaded(f"timm:{whole_name}", error) from error
    if file is not None:
        load_weights(features, file, _name_in_file)
    features.eval()
    picture = _picture_for(features)
    if attach == "last-unit":
        _leave_out_last_unit(features, picture)
    _leave_out_unused(features, picture)
    return TimmFeatures(features, picture).train()


def _timm(name: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise OdnbenchError(
            f"model.backbone 'timm:{name}' needs timm, which cannot be imported ({error}); "
            "pip install 'odnbench[timm]'"
        ) from error
    return timm


def _features(name: str, **arguments: Any) -> Any:
    """timm's model `name` as a module from images to a list of feature maps."""
    timm = _timm(name)
    refusal: Exception | None = None
    for any_size in _ANY_SIZE:
        try:
            return timm.create_model(name, features_only=True, **any_size, **arguments)
        except TypeError as error:
            refusal = error
        except (RuntimeError, AttributeError, AssertionError) as error:
            refusal = error
            break
    if arguments.get("pretrained"):
        raise refusal  # type: ignore[misc]
    reason = " ".join(str(refusal).split())
    raise OdnbenchError(
        f"model.backbone: timm gives no feature maps of '{name}' ({reason}); choose another model"
    ) from refusal


@cache
def _maps(name: str) -> tuple[tuple[int, str, int], ...]:
    """timm's index, name and stride of each feature map of its model `name`."""
    with torch.random.fork_rng(devices=[]):  # or the first network of a process had other weights
        found = _features(name).feature_info
    return tuple(zip(found.out_indices, found.module_name(), found.reduction(), strict=True))


def _index(name: str, attach: str) -> int:
    """timm's index of the feature map of its model `name` that `attach` means, or of the map that
    the last unit ends with.
    """
    maps = _maps(name)
    whole = ("whole", "last-unit")
    found = [i for i, own, stride in maps if attach in (own, f"stride-{stride}", *whole)]
    if not found:
        strides = dict.fromkeys(f"stride-{stride}" for _, _, stride in maps)
        known = [*whole, *strides, *(own for _, own, _ in maps)]
        raise OdnbenchError(
            f"model.attach: timm:{name} has no map for '{attach}'; choose one of {', '.join(known)}"
        )
    return found[-1]


def _tagged(timm: Any, name: str, tag: str) -> str:
    """The name of timm's model `name` with the weights `tag` in place of its own."""
    plain = name.partition(".")[0]
    known = timm.models.get_arch_pretrained_cfgs(plain)
    tagged = f"{plain}.{tag}"
    if tagged not in known:
        tags = ["none", "imagenet", *(one.partition(".")[2] for one in known)]
        reason = unknown(f"weights of timm:{plain}", tag, filter(None, tags))
        raise OdnbenchError(f"model.pretrained: {reason}, or a weights file")
    if any(_settings(timm, name)[key] != known[tagged].to_dict()[key] for key in ("mean", "std")):
        raise OdnbenchError(
            f"model.pretrained: the weights '{tag}' want inputs normalised in another way than "
            f"timm:{name}; use -s backbone=timm:{tagged} -s pretrained=imagenet"
        )
    return tagged


def _settings(timm: Any, name: str) -> dict[str, Any]:
    settings: dict[str, Any] = timm.get_pretrained_cfg(name).to_dict()
    return settings


def _name_in_file(name: str) -> str:
    """The whole model's name for a tensor of timm's `features_only` form."""
    name = name.removeprefix("model.")
    return re.sub(r"^(\w+)_(\d+)\.", r"\1.\2.", name)  # stages_0.… is stages.0.…


def _picture_for(features: Any) -> tuple[int, int]:
    """Height and width of a small image that `features` takes: of its own size where it takes no
    other.
    """
    picture = tuple(small_image().shape[2:])
    try:
        with torch.no_grad():
            features(small_image())
    except (RuntimeError, AssertionError, ValueError):
        picture = features.pretrained_cfg["input_size"][1:]
    height, width = picture
    return height, width


def _leave_out_last_unit(features: Any, picture: tuple[int, int]) -> None:
    """Puts nothing in the place of the last unit of `features` and of the layers behind it."""
    trunk = layers_of(features, small_image(picture), _root(features))
    place = last_unit(trunk)
    unit = trunk[place].name
    behind = [layer.name for layer in trunk[place:] if not unit.startswith(f"{layer.name}.")]
    _leave_out(features, behind)


def _leave_out_unused(features: Any, picture: tuple[int, int]) -> None:
    """Leaves out the layers that do not lead to Z, and has other parameters that do not lead there
    not trained.
    """
    parameters = list(features.parameters())
    Z = features(small_image(picture))[-1]
    gradients = torch.autograd.grad(Z.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)
    unused = [
        layer.name
        for layer in layers_of(features, small_image(picture), _root(features))
        if (own := list(layer.module.parameters())) and not any(p.requires_grad for p in own)
    ]
    _leave_out(features, unused)


def _leave_out(features: Any, names: Iterable[str]) -> None:
    """Puts layers that do nothing in the place of those at `names`."""
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(_root(features).get_submodule(parent), child, nn.Identity())


def _root(features: Any) -> nn.Module:
    """The model itself, behind timm's getter of intermediate features."""
    root: nn.Module = getattr(features, "model", features)
    return root
