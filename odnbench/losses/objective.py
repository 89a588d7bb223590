"""The objective, Eq. (3) of Zhu et al., CVPR 2019:

    1/N Σ_i ‖Ŝ_i − S_i‖²_F + β ‖M‖_* + γ ‖M‖²_F + α ‖W_c‖²_F + λ ‖W_fc‖²_F + η ‖P_i‖_1

The data term and the L1 norm of P go through the network and therefore through autograd. The other
four depend on parameters alone, and their gradients are known in closed form. Those of the
quadratic terms are weight decay as SGD and Adam define it: 2 · weight · W added to the gradient.
The nuclear norm's is added to the gradient of M after the backward pass. ‖P_i‖_1 carries the index
of the image, so its mean over the batch is taken, as for the data term.
"""

# B images, L landmarks

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odnbench.arrays import Floats
from odnbench.losses.nuclear import add_nuclear_subgradient
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.networks.heads.head import CoordinateLoss
from odnbench.plan.entries import Criterion
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.specs import LossSpec

Terms = dict[str, Tensor]
"""The terms of Eq. (3) that depend on the images, each a scalar: "data", and weighted penalties by
the names of their weights. The sum of the terms is differentiated.
"""


@dataclass
class Objective:
    """Eq. (3) for one network.

    criterion: (B, L, 2), (B, L, 2) → (B,). crop_size_px: side of the network's input, which turns
    the crop's [-1, 1] into pixels where `spec.unit` asks for them.
    """

    spec: LossSpec
    network: LandmarkNetwork
    criterion: CoordinateLoss
    crop_size_px: int

    def __call__(self, prediction: Prediction, true_points: Tensor) -> Terms:
        """The terms that go through the network. true_points (B, L, 2) in [-1, 1] over the crop."""
        unit = self.crop_size_px / 2 if self.spec.unit == "pixels" else 1.0

        def in_unit(predicted: Tensor, true: Tensor) -> Tensor:
            return self.criterion(predicted * unit, true * unit)

        data = self.network.data_term(prediction, true_points, in_unit).mean()
        P = prediction.occlusion_map
        # P is positive, so its L1 norm is its sum.
        norm = data.new_zeros(()) if P is None else P.float().sum(dim=(1, 2, 3)).mean()
        return {"data": data, "eta": self.spec.eta * norm}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters in groups of equal weight decay, as an optimiser takes them.

        The weight decay of a parameter is twice the sum of its weights in quadratic penalties.
        """
        spec, network = self.spec, self.network
        decay = dict.fromkeys(network.parameters(), 0.0)
        for weight in network.convolution_weights:
            decay[weight] += 2 * spec.alpha
        if network.structural_matrix is not None:
            decay[network.structural_matrix] += 2 * spec.gamma
        if network.regression_matrix is not None:
            decay[network.regression_matrix] += 2 * spec.lambda_
        return [
            {"params": [p for p in decay if decay[p] == value], "weight_decay": value}
            for value in sorted(set(decay.values()))
        ]

    @torch.no_grad()
    def add_nuclear_gradient(self) -> None:
        """Adds the gradient of β ‖M‖_* to that of M, after the backward pass."""
        M = self.network.structural_matrix
        if M is not None and self.spec.beta:
            if M.grad is None:
                M.grad = torch.zeros_like(M)
            add_nuclear_subgradient(M.grad, M, self.spec.beta)

    @torch.no_grad()
    def penalties(self, sigma: Floats | None) -> dict[str, float]:
        """Name of each weight of Eq. (3) → its penalty on parameters, weighted.

        sigma: (k,) singular values of M, where the network has one.
        """
        spec, network = self.spec, self.network
        M, W_fc = network.structural_matrix, network.regression_matrix
        convolutions = sum(float(weight.square().sum()) for weight in network.convolution_weights)
        return {
            "alpha": spec.alpha * convolutions,
            "beta": spec.beta * float(sigma.sum()) if sigma is not None else 0.0,
            "gamma": spec.gamma * float(M.square().sum()) if M is not None else 0.0,
            "lambda": spec.lambda_ * float(W_fc.square().sum()) if W_fc is not None else 0.0,
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
