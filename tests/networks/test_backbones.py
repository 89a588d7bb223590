"""Backbones of all families: where they are cut, what they are built into, and their weights."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from odnbench.engine.augment import normalise
from odnbench.engine.export import ServedNetwork
from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.networks.backbones import torchvision_backbone
from odnbench.networks.base import IMAGENET, Normalisation
from odnbench.networks.torchvision_import import torchvision
from odnbench.plan.entries import Backbone
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
SCHEMES = (19, 98)  # numbers of points
SMALL = ("resnet18-slim", "mobilenet-v3-small", "shufflenet-v2-0.5", "regnet-y-400mf")
BACKBONES = [name for name, entry in REGISTRY.all(Backbone).items() if not entry.member]


class Building(Registry):
    """A registry that builds a backbone once for all the networks of a test."""

    def build(self, kind: Any, name: str, **arguments: Any) -> Any:
        if kind is not Backbone:
            return super().build(kind, name, **arguments)
        key = (name, *arguments.values())
        if key not in BUILT:
            BUILT.clear()  # some take a quarter of a gigabyte
            BUILT[key] = super().build(kind, name, **arguments)
        return BUILT[key]


BUILT: dict[Any, nn.Module] = {}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SMALL else [pytest.mark.slow]) for n in BACKBONES]
)
def test_every_backbone_carries_networks_of_any_number_of_points(name: str) -> None:
    torch.manual_seed(0)
    registry = Building(REGISTRY.entries)
    for variant in ("cut", "odn"):
        overrides = [f"variant={variant}", f"backbone={name}", "pretrained=none", "input_size=64"]
        overrides += ["attach=stride-16"]  # modules of 2048 channels take seconds
        (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
        for landmarks in SCHEMES:
            network = build_network(spec, registry, landmarks)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            prediction = network(torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last))
            assert prediction.points.shape == (2, landmarks, 2)
            assert prediction.points.isfinite().all()
    prediction.points.square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} does not learn"
        assert parameter.grad.isfinite().all()


# By hand, from the code of torchvision: the layer after which the network is cut.
@pytest.mark.parametrize(
    ("name", "attach", "layer", "channels", "stride"),
    [
        ("resnet18", "last-unit", "layer4.0", 512, 32),
        ("resnet18", "stride-16", "layer3", 256, 16),
        ("mobilenet_v2", "last-unit", "features.15", 160, 32),
        ("mobilenet_v2", "whole", "features.18", 1280, 32),
        ("mobilenet_v3_small", "last-unit", "features.10", 96, 32),
        ("mobilenet_v3_small", "stride-16", "features.8", 48, 16),
        ("mobilenet_v3_small", "features.4", "features.4", 40, 16),
        ("efficientnet_b0", "last-unit", "features.6.2", 192, 32),
        ("efficientnet_b0", "stride-8", "features.3", 40, 8),
        ("regnet_y_400mf", "last-unit", "trunk_output.block4.block4-4", 440, 32),
        ("shufflenet_v2_x0_5", "last-unit", "stage4.2", 192, 32),
        ("shufflenet_v2_x0_5", "whole", "conv5", 1024, 32),
        ("swin_t", "last-unit", "features.7.0", 768, 32),
        pytest.param("swin_t", "stride-16", "features.5", 384, 16, marks=pytest.mark.slow),
        pytest.param("densenet121", "last-unit", "features.transition3", 512, 32,
                     marks=pytest.mark.slow),
        pytest.param("densenet121", "stride-8", "features.denseblock2", 512, 8,
                     marks=pytest.mark.slow),
        pytest.param("convnext_tiny", "last-unit", "features.7.1", 768, 32, marks=pytest.mark.slow),
        pytest.param("vgg16_bn", "last-unit", "features.39", 512, 16, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_network_is_cut_where_its_families_code_says(
    name: str, attach: str, layer: str, channels: int, stride: int
) -> None:
    torch.manual_seed(0)
    backbone = torchvision_backbone(attach, "none", name=name)
    assert (backbone.out_channels, backbone.stride) == (channels, stride)
    torch.manual_seed(0)
    whole = torchvision.models.get_model(name, weights=None)
    given: list[torch.Tensor] = []
    whole.get_submodule(layer).register_forward_hook(lambda _, __, Z: given.append(Z.clone()))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        Z = backbone.eval()(images)
        whole.eval()(images)
    assert Z.shape == (1, channels, 64 // stride, 64 // stride)
    assert torch.equal(Z, given[0].permute(0, 3, 1, 2) if name.startswith("swin") else given[0])
    assert backbone.trunk.state_dict().keys() <= whole.state_dict().keys()
    assert not any(key.startswith(("classifier", "head", "fc")) for key in backbone.state_dict())


def test_a_backbone_in_training_is_as_torchvision_made_it() -> None:
    backbone = torchvision_backbone("whole", "none", name="mobilenet_v3_small")
    assert all(module.training for module in backbone.modules())
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(not norm.running_mean.any() for norm in norms)  # type: ignore[union-attr]


def test_an_unknown_layer_and_an_unknown_model_are_told() -> None:
    with pytest.raises(OdnbenchError, match=r"unknown place 'features.99'; did you mean"):
        torchvision_backbone("features.99", "none", name="mobilenet_v3_small")
    with pytest.raises(OdnbenchError, match="'mobilenet_v4'; did you mean 'mobilenet_v"):
        torchvision_backbone("whole", "none", name="mobilenet_v4")


def test_an_unknown_name_of_weights_is_told_with_those_that_there_are() -> None:
    with pytest.raises(OdnbenchError, match=r"did you mean 'IMAGENET1K_V1'\? .* a weights file"):
        REGISTRY.build(Backbone, "resnet18", attach="layer4", pretrained="IMAGENET_V1")


class Coarse(nn.Module):
    """A backbone that rounds the side of its map down, and has inputs of its own scaling."""

    def __init__(self, attach: str, pretrained: str, *, stride: int, std: tuple[float, ...]):
        super().__init__()
        self.out_channels, self.stride = 16, stride
        self.input_mean, self.input_std = (0.5, 0.4, 0.3), std
        self.conv = nn.Conv2d(3, 16, stride, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)


def coarse(**options: Any) -> Registry:
    entry = dataclasses.replace(
        REGISTRY.get(Backbone, "resnet18"), name="coarse", target=f"{__name__}:Coarse", layers={},
        options={"stride": 12, "std": (0.5, 0.25, 0.2), **options},
    )  # fmt: skip
    return Registry({**REGISTRY.entries, "backbones": {"coarse": entry}})


def coarse_network(**options: Any) -> Any:
    registry = coarse(**options)
    overrides = ["variant=odn", "backbone=coarse", "pretrained=none", "input_size=64"]
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
    return build_network(spec, registry, 19)


def test_a_map_that_is_rounded_down_is_taken_as_it_is() -> None:
    network = coarse_network()
    assert network.feature_map == (5, 5)  # 64 / 12 = 5.3
    assert network(torch.randn(2, 3, 64, 64)).points.shape == (2, 19, 2)


def test_inputs_are_normalised_as_the_backbone_wants_it_where_it_is_exported_too() -> None:
    network = coarse_network().eval()
    assert network.normalisation == Normalisation((0.5, 0.4, 0.3), (0.5, 0.25, 0.2))
    torch.nn.init.normal_(network.get_parameter("regression.weight"))
    faces = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.5, 0.25, 0.2])
    inputs = ((faces / 255 - mean) / std).permute(0, 3, 1, 2)
    by_hand = ((network(inputs).points + 1) * 64 - 1) / 2
    served = ServedNetwork(network, 64)(faces)
    torch.testing.assert_close(served, by_hand, atol=1e-3, rtol=1e-4)
    as_imagenet = network(normalise(faces.permute(0, 3, 1, 2).float(), IMAGENET)).points
    assert not torch.allclose(((as_imagenet + 1) * 64 - 1) / 2, served, atol=1e-2)


@pytest.mark.parametrize("std", [(0.5, 0.5), (0.5, 0.5, 0.0), "grey"])
def test_a_scaling_that_is_none_is_told(std: Any) -> None:
    with pytest.raises(OdnbenchError, match="'coarse': input_mean and input_std must be three"):
        coarse_network(std=std)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """A few names in common, as of the first convolution, do not make it the same network."""
    trunk = torchvision_backbone("whole", "none", name="shufflenet_v2_x0_5").trunk
    path = tmp_path / "other.safetensors"
    save_file({"conv1.0.weight": trunk.state_dict()["conv1.0.weight"]}, path)
    with pytest.raises(OdnbenchError, match=r"only 1 of its 1 names .* of another network"):
        torchvision_backbone("whole", str(path), name="shufflenet_v2_x0_5")


def test_weights_of_a_whole_model_load_into_what_is_left_of_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = torchvision.models.get_model("mobilenet_v3_small", weights=None)
    path = tmp_path / "whole.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in whole.state_dict().items()})
    torch.manual_seed(2)
    backbone = torchvision_backbone("stride-16", str(path), name="mobilenet_v3_small")
    left = backbone.trunk.state_dict()
    assert 0 < len(left) < len(whole.state_dict())
    for name, tensor in left.items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-v3-small", "swin-t", "timm:resnet10t"])
def test_a_backbone_computes_in_bf16_and_is_compiled_as_one_graph(name: str) -> None:
    backbone = REGISTRY.build(Backbone, name, attach="stride-16", pretrained="none").eval()
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert backbone(images).isfinite().all()
    torch._dynamo.reset()
    graphs: list[Any] = []

    def count(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    with torch.no_grad():
        torch.compile(backbone, backend=count)(images)
    assert len(graphs) == 1
