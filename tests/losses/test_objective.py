"""Eq. (3) and its gradient, against autograd and SVD."""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from odnbench.engine.build import build_network
from odnbench.engine.fit import spectrum
from odnbench.engine.optimisation import build_optimizer, clip_gradient
from odnbench.losses.nuclear import _inverse_root, add_nuclear_subgradient, singular_values
from odnbench.losses.objective import Objective, build_objective
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.entries import Criterion
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.specs import LossSpec, TrainSpec

REGISTRY = Registry.load()
ON_POINTS = [c.name for c in REGISTRY.all(Criterion).values() if "points" in c.on]
SLOW = pytest.mark.slow
SIZE = 64
ZERO = LossSpec(alpha=0.0, beta=0.0, gamma=0.0, lambda_=0.0, eta=0.0)
LARGE = {"alpha": 1e-3, "beta": 1e-2, "gamma": 1e-2, "lambda_": 1e-1, "eta": 1e-2}


def network_of(variant: str) -> LandmarkNetwork:
    torch.manual_seed(3)
    overrides = [f"variant={variant}", "backbone=resnet18-slim", "pretrained=none", "input_size=64"]
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    return build_network(spec, REGISTRY, 68).double()


def naive(network: LandmarkNetwork, spec: LossSpec, images: Tensor, true: Tensor) -> Tensor:
    """Eq. (3), written down term by term for autograd."""
    points, P, _ = network(images)
    unit = SIZE / 2 if spec.unit == "pixels" else 1.0
    value = ((points - true) * unit).pow(2).sum() / len(images)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4 and not name.endswith("bias"):
            value = value + spec.alpha * parameter.pow(2).sum()
    value = value + spec.lambda_ * network.get_parameter("regression.weight").pow(2).sum()
    if network.structural_matrix is not None:
        M = network.structural_matrix
        value = value + spec.beta * torch.linalg.matrix_norm(M, "nuc") + spec.gamma * M.pow(2).sum()
    if P is not None:
        value = value + spec.eta * P.abs().sum() / len(images)
    return value


@pytest.mark.parametrize("unit", ["crop", "pixels"])
@pytest.mark.parametrize("term", [*LARGE, "data", "all"])
@pytest.mark.parametrize(
    "variant", ["odn", "brnet", *(pytest.param(v, marks=SLOW) for v in ("gm-dm", "dm-lm", "gm-lm"))]
)
def test_objective_and_gradient_equal_autograd(variant: str, term: str, unit: str) -> None:
    weights = LARGE if term == "all" else {k: v for k, v in LARGE.items() if k == term}
    spec = dataclasses.replace(ZERO, unit=unit, **weights)
    network = network_of(variant)
    images = torch.randn(3, 3, SIZE, SIZE, dtype=torch.float64)
    true = torch.rand(3, 68, 2, dtype=torch.float64)

    expected = naive(network, spec, images, true)
    expected.backward()
    gradients = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}

    network.zero_grad(set_to_none=True)
    objective = build_objective(spec, network, REGISTRY, SIZE)
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    penalties = objective.penalties(spectrum(network))
    terms = objective(network(images), true)
    sum(terms.values()).backward()  # type: ignore[union-attr]
    objective.add_spectral_gradient()
    torch.optim.SGD(objective.parameter_groups(), lr=1.0).step()  # moves by the gradient it sees
    value = float(sum(terms.values()).detach()) + sum(penalties.values())

    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, parameter in network.named_parameters():
        gradient = before[name] - parameter.detach()
        scale = gradients[name].norm()
        assert (gradient - gradients[name]).norm() <= 1e-5 * scale + 1e-12, name


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_minimises_equation_3(optimizer: Literal["adam", "sgd"]) -> None:
    """Steps of our optimiser are those of torch's on Eq. (3) written down for autograd."""
    spec = dataclasses.replace(ZERO, **LARGE)
    ours, theirs = network_of("odn"), network_of("odn")
    objective = build_objective(spec, ours, REGISTRY, SIZE)
    train = TrainSpec(optimizer=optimizer, learning_rate=1e-3, schedule="constant")
    own, _ = build_optimizer(objective, train, 1)
    plain = (
        torch.optim.Adam(theirs.parameters(), 1e-3)
        if optimizer == "adam"
        else torch.optim.SGD(theirs.parameters(), 1e-3, momentum=0.9, nesterov=True)
    )
    for _ in range(3):
        images = torch.randn(3, 3, SIZE, SIZE, dtype=torch.float64)
        true = torch.rand(3, 68, 2, dtype=torch.float64)
        own.zero_grad()
        sum(objective(ours(images), true).values()).backward()  # type: ignore[union-attr]
        objective.add_spectral_gradient()
        own.step()
        plain.zero_grad()
        naive(theirs, spec, images, true).backward()
        plain.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize("share", [0.01, 2.0])
def test_a_gradient_is_shortened_as_that_of_equation_3_is(share: float) -> None:
    """With all penalties in it: the direction stays that of Eq. (3)."""
    spec = dataclasses.replace(ZERO, **LARGE)
    ours, theirs = network_of("odn"), network_of("odn")
    images = torch.randn(3, 3, SIZE, SIZE, dtype=torch.float64)
    true = torch.rand(3, 68, 2, dtype=torch.float64)
    naive(theirs, spec, images, true).backward()
    gradients = [p.grad for p in theirs.parameters() if p.grad is not None]
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())

    objective = build_objective(spec, ours, REGISTRY, SIZE)
    train = TrainSpec(optimizer="sgd", schedule="constant", clip=share * norm)
    optimizer, _ = build_optimizer(objective, train, 1)
    sum(objective(ours(images), true).values()).backward()  # type: ignore[union-attr]
    objective.add_spectral_gradient()
    clip_gradient(optimizer, train.clip)
    found = [p.grad for p in ours.parameters() if p.grad is not None]
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a, min(1.0, share) * b, rtol=1e-4, atol=1e-7)
    assert all(group["weight_decay"] == 0 for group in optimizer.param_groups)


def matrix(d: int, k: int, singular_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """M = U Σ Vᵀ with the given singular values, and U and V."""
    generator = torch.Generator().manual_seed(5)
    r = len(singular_values)
    U = torch.linalg.qr(torch.randn(d, r, generator=generator, dtype=torch.float64)).Q
    V = torch.linalg.qr(torch.randn(k, r, generator=generator, dtype=torch.float64)).Q
    return (U * singular_values) @ V.T, U, V


def nuclear_subgradient(M: Tensor) -> Tensor:
    subgradient = torch.zeros_like(M)
    add_nuclear_subgradient(subgradient, M, 1.0)
    return subgradient


def by_iteration(M: Tensor) -> Tensor:
    """What `add_nuclear_subgradient` does on a GPU."""
    if M.shape[0] < M.shape[1]:
        return by_iteration(M.T).T
    wide = M.double()
    return (wide @ _inverse_root(wide.T @ wide)).to(M.dtype)


@pytest.mark.parametrize("way", [nuclear_subgradient, by_iteration])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("d", "k", "values"),
    [
        (40, 12, torch.linspace(0.5, 3, 12)),
        (12, 40, torch.linspace(0.5, 3, 12)),
        (20, 20, torch.linspace(0.5, 3, 20)),
        (300, 60, torch.linspace(0.19, 3, 60)),  # just well enough conditioned for one Gram matrix
        (40, 12, torch.logspace(-2, 2, 12)),  # badly scaled
        (40, 12, 1e-9 * torch.logspace(0, 4, 12)),  # tiny
        (40, 12, torch.cat([torch.ones(11), torch.tensor([1e4])])),  # one direction of its own
        (2048, 256, torch.linspace(0.6, 1.7, 256)),
    ],
    ids=["tall", "wide", "square", "moderate", "bad", "tiny", "one", "registry"],
)
def test_the_subgradient_of_the_nuclear_norm_is_that_of_the_svd(
    d: int, k: int, values: Tensor, dtype: torch.dtype, way: Callable[[Tensor], Tensor]
) -> None:
    M = matrix(d, k, values.double())[0].to(dtype)
    U, sigma, Vh = torch.linalg.svd(M.double(), full_matrices=False)
    subgradient = way(M)
    assert subgradient.dtype == dtype
    assert torch.linalg.matrix_norm(subgradient.double() - U @ Vh, 2) < 1e-4
    assert float(singular_values(M).sum()) == pytest.approx(float(sigma.sum()), rel=1e-6)


@pytest.mark.parametrize("way", [nuclear_subgradient, by_iteration])
@pytest.mark.parametrize(("d", "k"), [(40, 12), (12, 40)])
def test_directions_without_singular_value_get_no_subgradient(
    d: int, k: int, way: Callable[[Tensor], Tensor]
) -> None:
    M, U, V = matrix(d, k, torch.linspace(1e4, 3e4, 4).double())  # rank 4, large
    assert torch.linalg.matrix_norm(way(M) - U @ V.T, 2) < 1e-4
    zero = torch.zeros(d, k)
    assert not way(zero).any()
    assert float(singular_values(zero).sum()) == 0.0


@pytest.mark.parametrize("name", ON_POINTS)
def test_every_criterion_is_zero_at_the_truth_and_grows_from_there(name: str) -> None:
    entry = REGISTRY.get(Criterion, name)
    function = import_target(entry.target)
    true = torch.rand(4, 7, 2, dtype=torch.float64) * 2 - 1
    assert function(true, true, **entry.options).tolist() == pytest.approx([0.0] * 4)
    previous = torch.zeros(4, dtype=torch.float64)
    for step in (0.01, 0.1, 0.4, 0.6, 1.0, 9.0, 11.0, 40.0):
        predicted = (true + step).requires_grad_()
        value = function(predicted, true, **entry.options)
        assert value.shape == (4,)
        assert (value > previous).all()
        value.sum().backward()
        assert predicted.grad is not None and predicted.grad.isfinite().all()
        previous = value.detach()


def scalar(name: str, error: float, y: float) -> float:
    """The published formula for one coordinate with error `error` and true value `y`."""
    x, options = abs(error), REGISTRY.get(Criterion, name).options
    if name == "l2":
        return x * x
    if name == "l1":
        return x
    if name == "smooth-l1":
        beta = options["beta"]
        return 0.5 * x * x / beta if x < beta else x - 0.5 * beta
    if name == "wing":
        w, epsilon = options["w"], options["epsilon"]
        inside = w * math.log(1 + x / epsilon)
        return inside if x < w else x - (w - w * math.log(1 + w / epsilon))
    if name == "soft-wing":
        omega_1, omega_2, epsilon = options["omega_1"], options["omega_2"], options["epsilon"]
        B = omega_1 - omega_2 * math.log(1 + omega_1 / epsilon)
        return x if x < omega_1 else omega_2 * math.log(1 + x / epsilon) + B
    omega, theta, epsilon = options["omega"], options["theta"], options["epsilon"]
    power = options["alpha"] - min(abs(y), 1.0)
    ratio = (theta / epsilon) ** power
    slope = omega / (1 + ratio) * power * (theta / epsilon) ** (power - 1) / epsilon
    offset = theta * slope - omega * math.log(1 + ratio)
    return omega * math.log(1 + (x / epsilon) ** power) if x < theta else slope * x - offset


@pytest.mark.parametrize("name", ON_POINTS)
def test_criteria_sum_the_published_formula_over_the_coordinates(name: str) -> None:
    entry = REGISTRY.get(Criterion, name)
    true = torch.tensor([[[0.1, -0.7], [0.0, 0.9]]], dtype=torch.float64)
    error = torch.tensor([[[0.005, -0.3], [0.8, 12.0]]], dtype=torch.float64)
    value = import_target(entry.target)(true + error, true, **entry.options)
    pairs = zip(error.flatten().tolist(), true.flatten().tolist(), strict=True)
    assert float(value) == pytest.approx(sum(scalar(name, e, y) for e, y in pairs), rel=1e-9)


@pytest.mark.parametrize("name", ["l2", "adaptive-wing-maps"])
def test_criteria_on_maps_sum_the_published_formula_over_the_cells(name: str) -> None:
    """The target of one cell of height 1 has the 3×3 cells around it as its dilation."""
    entry = REGISTRY.get(Criterion, name)
    rng = np.random.default_rng(0)
    true, error = np.zeros((2, 1, 5, 6)), rng.uniform(-0.9, 0.9, (2, 1, 5, 6))
    true[0, 0, 1, 4] = 1.0
    true[1, 0, 3, 2] = 0.15  # less than 0.2: no cell of this map is one of a peak
    expected = [0.0, 0.0]
    for face, row, column in np.ndindex(2, 5, 6):
        near = abs(row - 1) <= 1 and abs(column - 4) <= 1
        weight = 11 if name != "l2" and face == 0 and near else 1
        formula = "l2" if name == "l2" else "adaptive-wing"
        value = scalar(formula, error[face, 0, row, column], true[face, 0, row, column])
        expected[face] += weight * value
    predicted = torch.from_numpy(true + error)
    value = import_target(entry.target)(predicted, torch.from_numpy(true), **entry.options)
    assert value.tolist() == pytest.approx(expected, rel=1e-9)


def test_wing_is_continuous_where_it_turns_linear() -> None:
    assert scalar("wing", 10 - 1e-9, 0) == pytest.approx(scalar("wing", 10 + 1e-9, 0), abs=1e-7)


def test_an_objective_of_zero_weights_leaves_gradients_alone() -> None:
    network = network_of("odn")
    objective = Objective(ZERO, network, torch.nn.functional.mse_loss, SIZE)
    objective.add_spectral_gradient()
    assert all(p.grad is None for p in network.parameters())
    (group,) = objective.parameter_groups()
    assert group["weight_decay"] == 0.0
    assert len(group["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("name", ON_POINTS)
def test_gradients_of_criteria_are_finite_at_the_truth_and_vanish_or_are_bounded_there(
    name: str,
) -> None:
    entry = REGISTRY.get(Criterion, name)
    true = torch.tensor([[[0.0, 1.0], [-1.0, 0.3]]], dtype=torch.float64)
    predicted = true.clone().requires_grad_()
    import_target(entry.target)(predicted, true, **entry.options).sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize("rank", [0, 2, 6], ids=lambda r: f"rank {r}")
def test_the_subgradient_supports_the_nuclear_norm_from_below(rank: int) -> None:
    """Its definition: ‖N‖_* ≥ ‖M‖_* + ⟨G, N − M⟩ for every N."""
    M, _, _ = matrix(9, 6, torch.linspace(1, 2, rank, dtype=torch.float64))
    norm, G = singular_values(M).sum(), nuclear_subgradient(M)
    generator = torch.Generator().manual_seed(8)
    for step in (1e-3, 0.1, 10.0):
        N = M + step * torch.randn(9, 6, generator=generator, dtype=torch.float64)
        below = norm + (G * (N - M)).sum()
        assert torch.linalg.matrix_norm(N, "nuc") >= below - 1e-6


def test_alpha_weighs_no_convolution_that_is_not_trained() -> None:
    spec = dataclasses.replace(ZERO, alpha=0.5)
    network = network_of("odn")
    frozen, *others = network.convolution_weights
    frozen.requires_grad_(requires_grad=False)
    objective = build_objective(spec, network, REGISTRY, SIZE)
    expected = 0.5 * sum(float(weight.detach().square().sum()) for weight in others)
    assert objective.penalties(None)["alpha"] == pytest.approx(expected)
    of_frozen = (
        group["weight_decay"]
        for group in objective.parameter_groups()
        if any(parameter is frozen for parameter in group["params"])
    )
    assert list(of_frozen) == [0.0]
