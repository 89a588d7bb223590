"""Backbones of timm: maps, weights by the names of whole models, and what is told."""

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.networks.backbones import timm_backbone
from odnbench.plan.entries import Backbone
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.testing import check_entry
from odnbench.testing.networks import check_backbone

timm = pytest.importorskip("timm", reason="timm is not installed (pip install 'odnbench[timm]')")
REGISTRY = Registry.load()
# Small members of twenty families.
FAMILIES = (
    "resnet10t", "mobilenetv3_small_050", "tf_efficientnet_lite0", "hrnet_w18_small",
    "mobilenetv4_conv_small", "vit_tiny_patch16_224", "convnext_atto", "regnety_002",
    "ghostnet_100", "repvgg_a0", "mixnet_s", "dla34", "edgenext_xx_small", "mobileone_s0",
    "lcnet_050", "tinynet_e", "densenet121", "mobilevit_xxs", "fbnetc_100", "semnasnet_075",
)  # fmt: skip
# One of each way in which timm makes a model give maps.
WAYS = (
    "resnet10t", "convnext_atto", "mobilenetv3_small_050", "vit_tiny_patch16_224",
    "hrnet_w18_small",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in WAYS[:4] else [pytest.mark.slow]) for n in FAMILIES]
)
def test_a_model_of_timm_keeps_the_contract_and_carries_odn(name: str) -> None:
    torch.manual_seed(0)
    assert check_backbone(REGISTRY, f"timm:{name}") == ""
    overrides = [f"backbone=timm:{name}", "variant=odn", "pretrained=none", "input_size=64"]
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    network = build_network(spec, REGISTRY, 19)
    assert network(torch.randn(2, 3, 64, 64)).points.shape == (2, 19, 2)


@pytest.mark.parametrize("name", WAYS)
def test_a_file_of_the_whole_model_gives_its_features(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    whole = timm.create_model(name).eval()
    path = tmp_path / "whole.safetensors"
    save_file(whole.state_dict(), path)
    torch.manual_seed(2)
    backbone = timm_backbone("whole", str(path), name=name).eval()
    size = 224 if name.startswith("vit") else 64
    images = torch.randn(1, 3, size, size)
    with torch.no_grad():
        wanted = whole.forward_intermediates(images, intermediates_only=True)[-1]
        torch.testing.assert_close(backbone(images), wanted)


def test_real_weights_load_by_the_names_of_the_whole_model(shared_data: Path) -> None:
    from safetensors.torch import load_file

    path = shared_data / "weights" / "efficientnet-lite0-imagenet.safetensors"
    name = "timm:tf_efficientnet_lite0"
    backbone = REGISTRY.build(Backbone, name, attach="whole", pretrained=str(path))
    stored, own = load_file(path), backbone.features.state_dict()
    named = [tensor for tensor in own if not tensor.endswith("num_batches_tracked")]
    assert all(torch.equal(own[tensor], stored[tensor]) for tensor in named)
    assert backbone.input_mean == backbone.input_std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "channels", "stride", "blocks"),
    [
        ("tf_efficientnet_lite0", 192, 32, "blocks.5.3"),  # blocks.6 widens to 320 channels
        ("vit_tiny_patch16_224", 192, 16, "blocks.11"),
        ("regnety_002", 152, 16, "s4"),  # timm does not list the blocks of a stage
    ],
)
def test_the_last_unit_is_left_out(name: str, channels: int, stride: int, blocks: str) -> None:
    backbone = timm_backbone("last-unit", "none", name=name)
    assert (backbone.out_channels, backbone.stride) == (channels, stride)
    assert not any(blocks in parameter for parameter, _ in backbone.named_parameters())


def test_layers_behind_a_map_are_left_out() -> None:
    backbone = timm_backbone("stride-8", "none", name="tf_efficientnet_lite0")
    names = {name.split(".")[2] for name, _ in backbone.named_parameters() if "blocks" in name}
    assert names == {"0", "1", "2"}  # the third stage is the last of stride 8


@pytest.mark.parametrize(
    ("name", "attach", "pretrained", "told"),
    [
        ("resnet10tt", "whole", "none", "no model 'resnet10tt'; did you mean 'timm:resnet10t"),
        ("resnet10t", "stride-7", "none", "no map for 'stride-7'; choose one of whole"),
        ("vit_tiny_patch16_224", "stride-8", "none", "whole, last-unit, stride-16"),
        ("resnet10t", "whole", "c4_in1k", r"unknown weights of timm:resnet10t 'c4_in1k'; did you"),
    ],
)
def test_mistakes_are_told(name: str, attach: str, pretrained: str, told: str) -> None:
    with pytest.raises(OdnbenchError, match=told) as caught:
        timm_backbone(attach, pretrained, name=name)
    assert "\n" not in str(caught.value)


def test_weights_that_want_other_inputs_than_the_model_are_refused() -> None:
    """The network of a finished trial is built without them, and must normalise as in training."""
    with pytest.raises(OdnbenchError, match=r"-s backbone=timm:efficientnet_b0\.ra4_e3600"):
        timm_backbone("whole", "ra4_e3600_r224_in1k", name="efficientnet_b0")


def test_weights_that_cannot_be_downloaded_are_told_with_the_cures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(OdnbenchError, match=r"\(no network\); give a local file with -s") as caught:
        timm_backbone("whole", "imagenet", name="resnet10t")
    assert "timm:resnet10t" in str(caught.value)


def test_without_timm_the_cure_is_told_and_the_contract_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_timm(name: str, *rest: Any) -> Any:
        if name == "timm":
            raise ModuleNotFoundError("No module named 'timm'")
        return import_module(name, *rest)

    import_module = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(OdnbenchError, match=r"pip install 'odnbench\[timm\]'"):
        timm_backbone("whole", "none", name="resnet10t")
    assert check_entry(REGISTRY, "backbones", "timm") == "not tried: No module named 'timm'"
