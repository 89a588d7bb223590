"""What networks, modules and backbones promise beyond the contracts of odnbench.testing."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.networks.backbones.weights import load_weights
from odnbench.networks.modules.geometry import PRODUCTS
from odnbench.networks.modules.layers import conv
from odnbench.plan.entries import Backbone, Head, Module, Variant
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec

REGISTRY = Registry.load()
LANDMARKS = 68
WITH_MAP = ("dm", "dm-normalised")


def spec_of(variant: str, backbone: str = "resnet18-slim", *more: str) -> TrialSpec:
    overrides = [f"variant={variant}", f"backbone={backbone}", "pretrained=none", "input_size=64"]
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=[*overrides, *more])
    return spec


def every_pair() -> Iterator[Any]:
    """Every variant on every ResNet of the paper's kind (test_backbones.py has the others); a large
    backbone takes a second to be initialised, so that the fast tests try one of them alone, with
    the variant that has all modules.
    """
    for variant in REGISTRY.all(Variant):
        for backbone in ("resnet18", "resnet34", "resnet50", "resnet18-slim"):
            large = backbone != "resnet18-slim" and (variant, backbone) != ("odn", "resnet18")
            yield pytest.param(variant, backbone, marks=[pytest.mark.slow] if large else [])


@pytest.mark.parametrize(("variant", "backbone"), list(every_pair()))
def test_every_variant_on_every_backbone_predicts_and_learns(variant: str, backbone: str) -> None:
    torch.manual_seed(0)
    spec = spec_of(variant, backbone)
    network = build_network(spec, REGISTRY, LANDMARKS)
    points, occlusion_map, _ = network(torch.randn(2, 3, 64, 64))
    assert points.shape == (2, LANDMARKS, 2)
    assert points.dtype == torch.float32
    assert points.isfinite().all()

    has_map = spec.model.module("distillation") in WITH_MAP and variant != "mean-shape"
    assert (occlusion_map is not None) == has_map
    if occlusion_map is not None:
        assert occlusion_map.shape == (2, 1, 2, 2)
        assert ((occlusion_map > 0) & (occlusion_map < 1)).all()

    parameters = dict(network.named_parameters())
    assert bool(parameters) == (variant != "mean-shape")
    if parameters:
        points.square().sum().backward()
        for name, parameter in parameters.items():
            assert parameter.grad is not None, f"{name} does not learn"
            assert parameter.grad.isfinite().all()
        assert any(parameter.grad.any() for parameter in parameters.values())


def test_the_mean_shape_is_predicted_whatever_the_picture() -> None:
    network = build_network(spec_of("mean-shape"), REGISTRY, LANDMARKS)
    network.mean_shape.copy_(torch.rand(LANDMARKS, 2))
    points = network(torch.randn(3, 3, 64, 64)).points
    assert torch.equal(points, network.mean_shape.expand(3, -1, -1))


@pytest.mark.parametrize(
    "name", [n for n, m in REGISTRY.all(Module).items() if m.slot == "low_rank"]
)
def test_low_rank_modules_multiply_by_their_matrix(name: str) -> None:
    module = REGISTRY.build(Module, name, in_features=12, landmarks=5)
    assert module.M.shape == (12, 8)  # 8 is the largest power of two in 10
    X = torch.randn(3, 12)
    expected = torch.stack([module.M.T @ x for x in X])  # S = W_fcᵀ Mᵀ X, for a column X
    torch.testing.assert_close(module(X), expected)
    assert module(X).shape == (3, module.out_features)


def test_an_unknown_place_to_attach_is_told() -> None:
    with pytest.raises(OdnbenchError, match=r"no 'layer9'; it has layer1"):
        REGISTRY.build(Backbone, "resnet18", attach="layer9", pretrained="none")


def test_products_of_the_geometry_module_equal_their_definitions() -> None:
    A, B = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    rows_and_columns = torch.einsum("bcik,bckj->bcij", A, B)
    torch.testing.assert_close(PRODUCTS["matmul"](A, B), rows_and_columns)
    outer = torch.einsum("bci,bcj->bcij", A.flatten(2), B.flatten(2))  # (B, C, HW, HW)
    torch.testing.assert_close(PRODUCTS["outer"](A, B), outer.mean(dim=3).unflatten(2, (4, 4)))
    torch.testing.assert_close(PRODUCTS["hadamard"](A, B), torch.einsum("bcij,bcij->bcij", A, B))


@pytest.fixture
def small() -> nn.Module:
    return REGISTRY.build(Backbone, "resnet18-slim", attach="layer1", pretrained="none")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_weights_load_by_name_from_a_local_file(
    small: nn.Module, tmp_path: Path, suffix: str
) -> None:
    stored = {name: torch.full_like(own, 0.5) for name, own in small.named_parameters()}
    stored["fc.weight"] = torch.zeros(3)  # of no use here
    path = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in stored.items()})
    elif suffix == ".safetensors":
        save_file(stored, path)
    else:
        torch.save(stored, path)
    load_weights(small, path)
    assert all((own == 0.5).all() for own in small.parameters())


def test_faulty_weights_files_are_named(small: nn.Module, tmp_path: Path) -> None:
    def write(name: str, **arrays: np.ndarray) -> Path:  # type: ignore[type-arg]
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    good = write("good.npz", **{"conv1.weight": np.zeros((16, 3, 7, 7), np.float32)})
    cut, text = tmp_path / "cut.npz", tmp_path / "weights.txt"
    cut.write_bytes(good.read_bytes()[:100])
    text.write_text("weights")
    cases = {
        write("shape.npz", **{"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}): "conv1.weight",
        write("names.npz", other=np.zeros(1, np.float32)): "none of its 1 names",
        tmp_path / "absent.npz": "not there",
        cut: "cannot be read as weights",
        text: "end in .npz",
    }
    for path, told in cases.items():
        with pytest.raises(OdnbenchError, match=told) as caught:
            load_weights(small, path)
        assert str(path) in str(caught.value)


def test_real_imagenet_weights_load(shared_data: Path) -> None:
    path = shared_data / "weights" / "resnet18-imagenet-conv1-layer3.npz"
    backbone = REGISTRY.build(Backbone, "resnet18", attach="layer4.0", pretrained=str(path))
    with np.load(path) as stored:
        np.testing.assert_array_equal(backbone.state_dict()["conv1.weight"], stored["conv1.weight"])


def test_a_variant_overrides_what_the_pipeline_says() -> None:
    spec = spec_of("odn-without-l1", "resnet18-slim")
    assert spec.loss.eta == 0.0
    assert dataclasses.replace(spec, variant="odn").model == spec_of("odn").model


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_weights_that_were_cut_off_are_named(
    small: nn.Module, tmp_path: Path, suffix: str, share: float
) -> None:
    path = tmp_path / f"cut{suffix}"
    state = small.state_dict()
    if suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    elif suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(OdnbenchError, match=f"cut{suffix}: cannot be read as weights"):
        load_weights(small, path)


class Harmful:
    """Unpickled, it would leave a file behind."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_nothing_in_a_weights_file_is_executed(
    small: nn.Module, tmp_path: Path, suffix: str
) -> None:
    path, mark = tmp_path / f"harmful{suffix}", tmp_path / "executed"
    if suffix == ".npz":
        np.savez(path, allow_pickle=True, x=np.array([Harmful(mark)], dtype=object))
    else:
        torch.save({"conv1.weight": Harmful(mark)}, path)
    with pytest.raises(OdnbenchError, match=f"harmful{suffix}"):
        load_weights(small, path)
    assert not mark.exists()


def test_the_penalty_on_the_occlusion_map_reaches_the_pathway_that_infers_it() -> None:
    network = build_network(spec_of("odn"), REGISTRY, LANDMARKS)
    network(torch.randn(2, 3, 64, 64)).occlusion_map.sum().backward()
    pathway = network.get_submodule("distillation.pathway_d")
    for name, parameter in pathway.named_parameters():
        assert parameter.grad is not None, name
    assert any(parameter.grad.any() for parameter in pathway.parameters())


@pytest.mark.parametrize("head", [n for n, h in REGISTRY.all(Head).items() if h.takes == "map"])
def test_brnet_has_no_map_for_a_head(head: str) -> None:
    with pytest.raises(OdnbenchError, match=f"head '{head}' takes a map of features"):
        build_network(spec_of("brnet", "resnet18-slim", f"head={head}"), REGISTRY, LANDMARKS)


def test_a_module_in_the_trunk_leaves_the_pooling_of_brnet_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "slots.toml").write_text('[before]\ntitle = "Before"\nplace = "trunk"\n')
    (tmp_path / "modules.toml").write_text(
        '[before-gm]\ntitle = "GM in the trunk"\nslot = "before"\n'
        'target = "odnbench.networks.modules.geometry:GeometryModule"\n'
        'options = { product = "hadamard", hidden = 0.25, out = 1.0 }\n'
    )
    registry = Registry.load([tmp_path])
    overrides = [
        "variant=brnet", "backbone=resnet18-slim", "pretrained=none", "input_size=128",  # Z is 4×4
        "before=before-gm",
    ]  # fmt: skip
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
    network = build_network(spec, registry, LANDMARKS)
    plain = build_network(spec_of("brnet", "resnet18-slim", "input_size=128"), REGISTRY, LANDMARKS)
    assert network.regression_matrix is not None and plain.regression_matrix is not None
    assert network.regression_matrix.shape == plain.regression_matrix.shape
    assert network(torch.randn(2, 3, 128, 128)).points.shape == (2, LANDMARKS, 2)


def test_all_cells_of_the_factorial_share_one_backbone() -> None:
    cells = [v for v in REGISTRY.all(Variant).values() if v.factors is not None]
    assert len(cells) == len({frozenset(v.factors or ()) for v in cells}) == 8
    backbones = {
        str(build_network(spec_of(v.name), REGISTRY, LANDMARKS).get_submodule("backbone"))
        for v in cells
    }
    assert len(backbones) == 1 and all(not v.options for v in cells)
    without = REGISTRY.get(Variant, "brnet"), REGISTRY.get(Variant, "lm")
    assert [v.factors for v in without] == [None, None]


def test_the_cut_backbone_flattens_what_the_modules_would_have_seen() -> None:
    images = torch.randn(2, 3, 64, 64)
    network = build_network(spec_of("cut", "resnet18-slim", "attach=stride-16"), REGISTRY, 68)
    Z = network.eval().get_submodule("backbone")(images)
    X = torch.nn.functional.avg_pool2d(Z, 2).flatten(1)
    offsets = (X @ network.get_parameter("regression.weight").T).unflatten(1, (-1, 2))
    torch.testing.assert_close(network(images).points, network.mean_shape + offsets)


@pytest.mark.parametrize(("name", "free"), [("dm", True), ("dm-normalised", False)])
def test_only_a_normalised_pathway_leaves_all_weighing_to_the_map(name: str, free: bool) -> None:
    """A pathway C of ten times the scale gives ten times the features, or the same ones."""
    torch.manual_seed(0)
    module = REGISTRY.build(Module, name, in_channels=16)
    Z = torch.randn(2, 16, 5, 5)
    clean, P = module(Z)
    with torch.no_grad():
        for norm in (module.pathway_c.body[1][1], module.pathway_c.shortcut[1]):
            norm.weight.mul_(10)
            norm.bias.mul_(10)
    scaled, same = module(Z)
    torch.testing.assert_close(same, P)
    torch.testing.assert_close(scaled, clean * (10 if free else 1), atol=1e-3, rtol=1e-3)
    if not free:
        squares = clean.square().mean(dim=1, keepdim=True)
        torch.testing.assert_close(squares.sqrt(), P, atol=1e-3, rtol=1e-3)


def test_the_map_the_matrix_and_the_shape_are_float32_under_bf16() -> None:
    network = build_network(spec_of("odn"), REGISTRY, LANDMARKS)
    seen = {}
    for name in ("distillation.pathway_d", "low_rank", "regression", "distillation.pathway_c"):
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: output.dtype})
        )
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(2, 3, 64, 64))
    assert seen.pop("distillation.pathway_c") == torch.bfloat16
    assert set(seen.values()) == {torch.float32} and len(seen) == 3


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_kernel_beyond_a_single_cell_has_no_gradient_in_bf16(kernel: int) -> None:
    """Where memory that was not written is read, it is made to hold nan."""
    torch.manual_seed(0)
    for channels in (512, 128) * 30:
        layer = conv(channels, 128, kernel)[0].to(memory_format=torch.channels_last)
        Z = torch.randn(8, channels, 1, 1)
        size = layer.weight.numel()
        freed = [torch.full((size,), torch.nan, dtype=t) for t in (torch.float32, torch.bfloat16)]
        del freed
        with torch.autocast("cpu", torch.bfloat16):
            features = layer(Z)
        features.float().square().sum().backward()
        gradient = layer.weight.grad.clone()
        middle = kernel // 2
        assert gradient[:, :, middle, middle].abs().sum() > 0
        gradient[:, :, middle, middle] = 0
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_a_single_cell_is_convolved_as_any_map_is() -> None:
    layer = conv(16, 8, 5)[0]
    Z = torch.randn(4, 16, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        expected = torch.nn.functional.conv2d(Z, layer.weight, padding=2)
        assert torch.equal(layer(Z), expected)
