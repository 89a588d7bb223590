"""Eq. (3) in every precision: what each weight adds to the gradient, against float64."""

import copy
import math

import pytest
import torch
from torch import Tensor

from odnbench.engine.training import build_network
from odnbench.losses.objective import build_objective
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.conversion import from_mapping
from odnbench.plan.entries import LossWeight
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.specs import LossSpec

REGISTRY = Registry.load()
SIZE, BATCH = 64, 8
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# The tensors that each weight acts on; P is made by pathway D.
ACTS_ON = {
    "alpha": ".weight",
    "beta": "low_rank.M",
    "gamma": "low_rank.M",
    "lambda": "regression.weight",
    "eta": "distillation.pathway_d",
    "zeta": "distillation.pathway_d",
}


def spec_of(**weights: float) -> LossSpec:
    return from_mapping(LossSpec, dict.fromkeys(ACTS_ON, 0.0) | weights, "test")


@pytest.fixture(scope="module")
def trained() -> LandmarkNetwork:
    """A network after some steps: its data gradient is that of training, not of the first step."""
    torch.manual_seed(3)
    overrides = ["variant=odn", "backbone=resnet18-slim", "pretrained=none", f"input_size={SIZE}"]
    (spec,) = resolve(
        load_pipeline("ablation"), REGISTRY, overrides=[*overrides, "attach=stride-16"]
    )
    network = build_network(spec, REGISTRY, 68).to(DEVICE)
    objective = build_objective(spec_of(eta=1e-6), network, REGISTRY, SIZE)
    optimizer = torch.optim.Adam(objective.parameter_groups(), 1e-3)
    images, true, _ = batch()
    for _ in range(10):
        optimizer.zero_grad()
        sum(objective(network(images), true).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    return network


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator)
    shape = torch.rand(1, 68, 2, generator=generator) - 0.5
    true = shape + 0.1 * torch.randn(BATCH, 1, 2, generator=generator)
    covered = (torch.rand(BATCH, 1, 4, 4, generator=generator) < 0.3).float()
    covered = torch.nn.functional.interpolate(covered, (SIZE, SIZE))
    return images.to(DEVICE), true.to(DEVICE), covered.to(DEVICE)


def gradients(network: LandmarkNetwork, spec: LossSpec, precision: str) -> dict[str, Tensor]:
    """The gradient that an optimiser sees: name → that of the parameter, weight decay included."""
    network = copy.deepcopy(network).train()
    images, true, covered = batch()
    if precision == "float64":
        network, images, true = network.double(), images.double(), true.double()
    objective = build_objective(spec, network, REGISTRY, SIZE)
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bf16"):
        prediction = network(images)
    sum(objective(prediction, true, covered).values()).backward()  # type: ignore[union-attr]
    objective.add_spectral_gradient()
    decay = {p: g["weight_decay"] for g in objective.parameter_groups() for p in g["params"]}
    return {
        name: p.grad.add(p.detach(), alpha=decay[p])
        for name, p in network.named_parameters()
        if p.grad is not None
    }


@pytest.fixture(scope="module")
def without(trained: LandmarkNetwork) -> dict[str, dict[str, Tensor]]:
    """Precision → gradients of the data term alone."""
    return {p: gradients(trained, spec_of(), p) for p in ("float64", "float32", "bf16")}


def effect(
    with_weight: dict[str, Tensor], without_weight: dict[str, Tensor], tensors: str
) -> Tensor:
    """What a weight adds to the gradients of the tensors whose name contains `tensors`."""
    return torch.cat(
        [
            (with_weight[name].double() - without_weight[name].double()).flatten()
            for name in without_weight
            if tensors in name and (tensors != ".weight" or with_weight[name].ndim == 4)
        ]
    )


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("name", ACTS_ON)
def test_a_weight_adds_its_own_gradient_in_every_precision(
    trained: LandmarkNetwork,
    without: dict[str, dict[str, Tensor]],
    name: str,
    place: float,
    precision: str,
) -> None:
    """Over the whole search range; place 0 is its lower end, 1 its upper end."""
    weight = REGISTRY.get(LossWeight, name)
    value = math.exp((1 - place) * math.log(weight.low) + place * math.log(weight.high))
    spec = spec_of(**{name: value})
    wanted, found = (
        effect(gradients(trained, spec, p), without[p], ACTS_ON[name])
        for p in ("float64", precision)
    )
    cosine = float(torch.nn.functional.cosine_similarity(wanted, found, dim=0))
    assert cosine >= 0.99
    assert float(found.norm() / wanted.norm()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("variant", ["odn", "gm-dm", "cut", "brnet"])
def test_gradient_shares_are_ratios_of_gradients(variant: str) -> None:
    """Against autograd of each term on its own."""
    overrides = [f"variant={variant}", "backbone=resnet18-slim", "pretrained=none", "input_size=64"]
    (trial,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    torch.manual_seed(3)
    network = build_network(trial, REGISTRY, 68).double()
    weights = {"alpha": 1e-3, "beta": 1e-2, "gamma": 1e-2, "lambda": 1e-1, "eta": 1e-2, "zeta": 0.3}
    objective = build_objective(spec_of(**weights), network, REGISTRY, SIZE)
    images, true, covered = (tensor.cpu().double() for tensor in batch())
    prediction = network(images)
    terms = objective(prediction, true, covered)
    if (P := prediction.occlusion_map) is not None:
        P.retain_grad()
    sum(terms.values()).backward()  # type: ignore[union-attr]
    found = objective.gradient_shares(prediction, covered)

    def ratio(penalty: Tensor, on: list[Tensor], data: Tensor) -> float:
        norms = [
            torch.cat([g.flatten() for g in torch.autograd.grad(value, on, retain_graph=True)])
            for value in (penalty, data)
        ]
        return float(norms[0].norm() / norms[1].norm())

    expected = {}
    prediction = network.train()(images)
    data, P = ((prediction.points - true) ** 2).sum(dim=(1, 2)).mean(), prediction.occlusion_map
    reaching_W_c, M = data, network.structural_matrix
    if P is not None:
        visible = 1 - torch.nn.functional.adaptive_avg_pool2d(covered, P.shape[-2:])
        entropy = -(visible * P.log() + (1 - visible) * (1 - P).log()).mean()
        expected["eta"] = ratio(1e-2 * P.sum() / BATCH, [P], data)
        expected["zeta"] = ratio(0.3 * entropy, [P], data)
        reaching_W_c = data + 1e-2 * P.sum() / BATCH + 0.3 * entropy
    W_c, W_fc = network.convolution_weights, network.get_parameter("regression.weight")
    squares = torch.stack([w.square().sum() for w in W_c]).sum()
    expected["alpha"] = ratio(1e-3 * squares, list(W_c), reaching_W_c)
    expected["lambda"] = ratio(1e-1 * W_fc.square().sum(), [W_fc], data)
    if M is not None:
        expected["beta"] = ratio(1e-2 * torch.linalg.matrix_norm(M, "nuc"), [M], data)
        expected["gamma"] = ratio(1e-2 * M.square().sum(), [M], data)
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_weight_of_zero_has_no_gradient_share() -> None:
    overrides = ["variant=odn", "backbone=resnet18-slim", "pretrained=none", "input_size=64"]
    (trial,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    network = build_network(trial, REGISTRY, 68)
    objective = build_objective(spec_of(gamma=1e-3), network, REGISTRY, SIZE)
    images, true, _ = (tensor.cpu() for tensor in batch())
    prediction = network(images)
    prediction.occlusion_map.retain_grad()
    terms = objective(prediction, true)
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert objective.gradient_shares(prediction, None).keys() == {"gamma"}
