"""The objective, Eq. (3) of Zhu et al., CVPR 2019:

    1/N Σ_i ‖Ŝ_i − S_i‖²_F + β ‖M‖_* + γ ‖M‖²_F + α ‖W_c‖²_F + λ ‖W_fc‖²_F + η ‖P_i‖_1

The data term and the L1 norm of P go through the network and therefore through autograd. The other
four depend on parameters alone: their gradients are known in closed form and are added to the
parameters' gradients after the backward pass, which is exact for every optimiser and costs no
graph. ‖P_i‖_1 carries the index of the image, so its mean over the batch is taken, as for the data
term.
"""

# B images, L landmarks

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from odnbench.losses.nuclear import nuclear_norm
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.registry import Criterion, Registry, import_target
from odnbench.specs import LossSpec


class Terms(NamedTuple):
    """The terms of Eq. (3) that depend on the images; `sum(terms)` is what to differentiate."""

    data: Tensor
    occlusion: Tensor  # η ‖P‖_1


@dataclass
class Objective:
    """Eq. (3) for one network.

    criterion: (B, L, 2), (B, L, 2) → (B,). crop_size_px: side of the network's input, which turns
    the crop's [-1, 1] into pixels where `spec.unit` asks for them.
    """

    spec: LossSpec
    network: LandmarkNetwork
    criterion: Callable[[Tensor, Tensor], Tensor]
    crop_size_px: int

    def __call__(self, prediction: Prediction, true_points: Tensor) -> Terms:
        """The terms that go through the network. true_points (B, L, 2) in [-1, 1] over the crop."""
        unit = self.crop_size_px / 2 if self.spec.unit == "pixels" else 1.0
        data = self.criterion(prediction.points * unit, true_points * unit).mean()
        if prediction.occlusion_map is None:
            return Terms(data, data.new_zeros(()))
        # P is positive, so its L1 norm is its sum.
        norm = prediction.occlusion_map.float().sum(dim=(1, 2, 3)).mean()
        return Terms(data, self.spec.eta * norm)

    @torch.no_grad()
    def add_penalty_gradients(self) -> None:
        """Adds the gradients of the four penalties on parameters to the parameters' `.grad`."""
        M, W_fc = self.network.structural_matrix, self.network.regression_matrix
        _add_quadratic(self.network.convolution_weights, self.spec.alpha)
        if W_fc is not None:
            _add_quadratic([W_fc], self.spec.lambda_)
        if M is not None:
            _add_quadratic([M], self.spec.gamma)
            if self.spec.beta:
                _gradient(M).add_(nuclear_norm(M)[1], alpha=self.spec.beta)

    @torch.no_grad()
    def penalties(self) -> dict[str, float]:
        """Value of each weighted penalty on parameters, by the name of its weight's field."""
        spec, network = self.spec, self.network
        M, W_fc = network.structural_matrix, network.regression_matrix
        convolutions = sum(float(weight.square().sum()) for weight in network.convolution_weights)
        return {
            "alpha": spec.alpha * convolutions,
            "beta": spec.beta * float(nuclear_norm(M)[0]) if M is not None else 0.0,
            "gamma": spec.gamma * float(M.square().sum()) if M is not None else 0.0,
            "lambda_": spec.lambda_ * float(W_fc.square().sum()) if W_fc is not None else 0.0,
        }


def build_objective(
    spec: LossSpec, network: LandmarkNetwork, registry: Registry, crop_size_px: int
) -> Objective:
    """The objective of `spec` for `network`."""
    entry = registry.get(Criterion, spec.criterion)
    function = import_target(entry.target)
    options = dict(entry.options)

    def criterion(predicted: Tensor, true: Tensor) -> Tensor:
        values: Tensor = function(predicted, true, **options)
        return values

    return Objective(spec, network, criterion, crop_size_px)


def _add_quadratic(parameters: list[nn.Parameter], weight: float) -> None:
    """Adds the gradient of weight · ‖·‖²_F."""
    if weight and parameters:
        gradients = [_gradient(p) for p in parameters]
        torch._foreach_add_(gradients, list(parameters), alpha=2 * weight)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
