"""What β weighs in the place of the nuclear norm, against autograd, the SVD and numbers by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from odnbench.engine.fit import spectrum
from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.losses.nuclear import NuclearNorm
from odnbench.losses.objective import Objective, build_objective
from odnbench.losses.smooth_rank import LogDet, SchattenNorm, _power
from odnbench.losses.spectral import PENALTIES, Spectral, build_spectral
from odnbench.networks.base import Prediction, SpectralPenalty
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.specs import LossSpec

REGISTRY = Registry.load()
OF_SIGMA: list[tuple[Spectral, Callable[[Tensor], Tensor]]] = [
    (NuclearNorm(), lambda sigma: sigma),
    (LogDet(1e-4), lambda sigma: torch.log(sigma**2 + 1e-4) - math.log(1e-4)),
    (LogDet(0.3), lambda sigma: torch.log(sigma**2 + 0.3) - math.log(0.3)),
    (SchattenNorm(0.5, 1e-4), lambda sigma: (sigma**2 + 1e-4) ** 0.25 - 1e-4**0.25),
    (SchattenNorm(0.1, 1e-6), lambda sigma: (sigma**2 + 1e-6) ** 0.05 - 1e-6**0.05),
    (SchattenNorm(0.9, 1e-3), lambda sigma: (sigma**2 + 1e-3) ** 0.45 - 1e-3**0.45),
]


def matrix(d: int, k: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(d, k, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("penalty", "of_sigma"), OF_SIGMA, ids=lambda x: str(x)[:22])
@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (9, 9)], ids=["tall", "wide", "square"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_every_penalty_has_the_gradient_of_its_formula(
    penalty: Spectral, of_sigma: Callable[[Tensor], Tensor], shape: tuple[int, int], scale: float
) -> None:
    M = matrix(*shape, scale).requires_grad_()
    sigma = torch.linalg.svdvals(M)
    value = of_sigma(sigma).sum()
    (expected,) = torch.autograd.grad(value, M)
    assert penalty.value(sigma.detach().numpy()) == pytest.approx(float(value.detach()))
    start = torch.ones_like(M)
    gradient = start.clone()
    penalty.add_gradient(gradient, M.detach(), 0.5)
    assert (gradient - start - 0.5 * expected).norm() <= 1e-5 * expected.norm()


def test_values_are_those_of_a_hand_calculation() -> None:
    sigma = np.array([2.0, 1.0, 0.0])
    assert NuclearNorm().value(sigma) == 3.0
    assert LogDet(1.0).value(sigma) == pytest.approx(math.log(5) + math.log(2))  # det diag(5, 2, 1)
    assert SchattenNorm(0.5, 1e-8).value(sigma) == pytest.approx(math.sqrt(2) + 1, abs=0.03)
    assert SchattenNorm(0.5, 9.0).value(np.array([4.0])) == pytest.approx(5**0.5 - 3**0.5)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_matrix_of_zeros_costs_nothing_and_is_not_pulled(name: str) -> None:
    penalty = next(p for p, _ in OF_SIGMA if isinstance(p, PENALTIES[name]))
    gradient = torch.zeros(5, 3)
    penalty.add_gradient(gradient, torch.zeros(5, 3), 1.0)
    assert not gradient.any() and penalty.value(np.zeros(3)) == 0.0


@pytest.mark.parametrize(("penalty", "of_sigma"), OF_SIGMA[1:], ids=lambda x: str(x)[:22])
def test_a_penalty_near_the_rank_pulls_small_values_more_than_large_ones(
    penalty: Spectral, of_sigma: Callable[[Tensor], Tensor]
) -> None:
    M = torch.diag(torch.tensor([2.0, 1.0]))
    gradient = torch.zeros(2, 2)
    penalty.add_gradient(gradient, M, 1.0)
    assert gradient[1, 1] > gradient[0, 0] > 0
    assert torch.allclose(gradient, torch.diag(gradient.diagonal()), atol=1e-6)


@pytest.mark.parametrize("delta", [1e-6, 1e-4, 1.0])
@pytest.mark.parametrize("a", [0.505, 0.75, 0.995])
def test_the_power_of_a_gram_matrix_is_that_of_its_eigenvalues(delta: float, a: float) -> None:
    M = matrix(40, 12)
    M[:, 3] = 0
    eigenvalues, V = torch.linalg.eigh(M.T @ M + delta * torch.eye(12, dtype=torch.float64))
    ratio = (V.T @ _power(M.T @ M, delta, a) @ V).diagonal() * eigenvalues**a
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-6, atol=0)


def objective_of(variant: str) -> Objective:
    torch.manual_seed(3)
    overrides = [f"variant={variant}", "backbone=resnet18-slim", "pretrained=none", "input_size=64"]
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    loss = LossSpec(alpha=0.0, beta=1e-2, gamma=1e-2, lambda_=0.0, eta=0.0)
    return build_objective(loss, build_network(spec, REGISTRY, 68).double(), REGISTRY, 64)


@pytest.mark.parametrize(
    ("variant", "of_sigma"), [("odn-log-det", OF_SIGMA[1][1]), ("odn-schatten", OF_SIGMA[3][1])]
)
def test_beta_weighs_what_the_module_names(
    variant: str, of_sigma: Callable[[Tensor], Tensor]
) -> None:
    objective = objective_of(variant)
    M = objective.network.structural_matrix
    assert isinstance(M, torch.nn.Parameter)
    value = 1e-2 * of_sigma(torch.linalg.svdvals(M)).sum()
    (expected,) = torch.autograd.grad(value, M)
    penalties = objective.penalties(spectrum(objective.network))
    assert penalties["beta"] == pytest.approx(float(value.detach()))
    assert penalties["gamma"] == pytest.approx(1e-2 * float(M.detach().square().sum()))
    objective.add_spectral_gradient()
    assert M.grad is not None
    assert (M.grad - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("variant", ["odn-factorised", "odn-linear"])
def test_nothing_weighs_a_matrix_without_penalty_and_that_is_told(variant: str) -> None:
    objective = objective_of(variant)
    network = objective.network
    prediction: Prediction = network(torch.randn(2, 3, 64, 64, dtype=torch.float64))
    assert objective.idle_weights(prediction, None) == {"beta", "gamma", "zeta"}
    sigma, M = spectrum(network), network.structural_matrix
    assert sigma is not None and M is not None and len(sigma) == 128
    np.testing.assert_allclose(sigma, torch.linalg.svdvals(M.detach()).numpy(), atol=1e-12)
    assert (sigma > 1e-9).sum() == (32 if variant == "odn-factorised" else 128)
    assert set(objective.penalties(sigma).values()) == {0.0}
    objective.add_spectral_gradient()
    assert all(p.grad is None for p in network.parameters())
    (group,) = objective.parameter_groups()
    assert group["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("penalty", "told"),
    [
        (SpectralPenalty("nucelar"), "did you mean 'nuclear'"),  # type: ignore[arg-type]
        (SpectralPenalty("log-det", {"dleta": 1.0}), "did you mean 'delta'"),
        (SpectralPenalty("log-det"), "missing key 'delta'"),
        (SpectralPenalty("schatten", {"p": 1.5, "delta": 1.0}), "p must be between 0.01 and 0.99"),
        (SpectralPenalty("schatten", {"p": 0.5, "delta": 0.0}), "delta must be at least 1e-08"),
    ],
)
def test_a_penalty_that_cannot_be_is_told(penalty: SpectralPenalty, told: str) -> None:
    with pytest.raises(OdnbenchError, match=told):
        build_spectral(penalty)
