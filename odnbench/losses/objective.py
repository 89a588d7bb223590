"""The objective, Eq. (3) of Zhu et al., CVPR 2019:

    1/N Σ_i ‖Ŝ_i − S_i‖²_F + β ‖M‖_* + γ ‖M‖²_F + α ‖W_c‖²_F + λ ‖W_fc‖²_F + η ‖P_i‖_1

The data term and the L1 norm of P go through the network and therefore through autograd; so does a
term of our own, which the paper does not have:

    ζ · mean over positions of the cross-entropy between 1 − P and the share covered by an occluder

for the occluders that augmentation pastes, whose masks are known. The other four depend on
parameters alone, and their gradients are known in closed form. Those of the quadratic terms are
weight decay as SGD and Adam define it: 2 · weight · W added to the gradient. An optimiser with
decoupled weight decay would minimise something else.
The nuclear norm's is added to the gradient of M after the backward pass; a module may name another
function of M's singular values for β to weigh, or none (losses/spectral.py). ‖P_i‖_1 carries the
index of the image, so its mean over the batch is taken, as for the data term.
"""

# B images, L landmarks

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.arrays import Floats
from odnbench.losses.spectral import Spectral, build_spectral
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.networks.heads.head import CriterionFunction
from odnbench.plan.conversion import get_at
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

    criterion: points (B, L, 2), or maps (B, L, h, w), as the network's head compares, twice → (B,).
    crop_size_px: side of the network's input, which turns the crop's [-1, 1] into pixels where
    `spec.unit` asks for them; maps have no unit.
    """

    spec: LossSpec
    network: LandmarkNetwork
    criterion: CriterionFunction
    crop_size_px: int

    def __call__(
        self, prediction: Prediction, true_points: Tensor, covered: Tensor | None = None
    ) -> Terms:
        """The terms that go through the network.

        true_points (B, L, 2) in [-1, 1] over the crop. covered (B, 1, s, s), 1 where an occluder
        was pasted on the input and else 0; None where none were.
        """
        data = self.network.data_term(prediction, true_points, self.distance).mean()
        P = prediction.occlusion_map
        return {"data": data} | ({} if P is None else self._penalties_of(P, covered))

    def distance(self, predicted: Tensor, true: Tensor) -> Tensor:
        """(B,) the criterion of shapes (B, L, 2) in [-1, 1] over the crop, in the spec's unit, or
        of maps (B, L, h, w), which have none.
        """
        if self.spec.unit == "pixels":
            predicted, true = (one * (self.crop_size_px / 2) for one in (predicted, true))
        return self.criterion(predicted, true)

    def _penalties_of(self, P: Tensor, covered: Tensor | None) -> Terms:
        """The penalties of P (B, 1, h, w), weighted. covered: see __call__."""
        # P is positive, so its L1 norm is its sum.
        terms = {"eta": self.spec.eta * P.sum(dim=(1, 2, 3)).mean()}
        if self.spec.zeta and covered is not None:
            h, w = P.shape[-2:]
            visible = 1 - functional.adaptive_avg_pool2d(covered, (h, w))
            terms["zeta"] = self.spec.zeta * functional.binary_cross_entropy(P, visible.to(P))
        return terms

    def gradient_shares(self, prediction: Prediction, covered: Tensor | None) -> dict[str, float]:
        """Name of each weight above 0 → the norm of its penalty's gradient over that of the data
        term's gradient, on the tensors that the weight acts on: α on W_c, β and γ on M, λ on W_fc,
        η and ζ on P.

        To be called between the backward pass and `add_spectral_gradient`, with the gradient of P
        retained. On W_c the gradient that comes from the penalties of P counts as the data term's;
        so does that of a teacher's term everywhere (engine/teacher.py).
        A weight whose data gradient is zero is left out.
        """
        spec, network, W_fc = self.spec, self.network, self.network.regression_matrix
        norms: dict[str, tuple[Tensor, Tensor]] = {}  # name → of the penalty, of the data term
        pairs = [(w, w.grad) for w in network.convolution_weights if w.grad is not None]
        if pairs:
            W_c, gradients = map(list, zip(*pairs, strict=True))
            norms["alpha"] = 2 * spec.alpha * _norm(W_c), _norm(gradients)
        if (found := self._penalised) is not None and (M := found[0]).grad is not None:
            gradient = torch.zeros_like(M)
            found[1].add_gradient(gradient, M, spec.beta)
            norms["beta"] = _norm([gradient]), _norm([M.grad])
            norms["gamma"] = 2 * spec.gamma * _norm([M]), _norm([M.grad])
        if W_fc is not None and W_fc.grad is not None:
            norms["lambda"] = 2 * spec.lambda_ * _norm([W_fc]), _norm([W_fc.grad])
        if (P := prediction.occlusion_map) is not None and P.grad is not None:
            again = P.detach().requires_grad_()
            own = {
                name: torch.autograd.grad(term, again)[0]
                for name, term in self._penalties_of(again, covered).items()
            }
            data = _norm([P.grad - sum(own.values(), torch.zeros_like(P))])
            norms |= {name: (_norm([gradient]), data) for name, gradient in own.items()}
        return {
            name: float(penalty / data)
            for name, (penalty, data) in norms.items()
            if float(data) > 0 and get_at(spec, name) > 0
        }

    def idle_weights(self, prediction: Prediction, covered: Tensor | None) -> frozenset[str]:
        """The names of the weights that have nothing to act on in this network. See __call__."""
        network, idle = self.network, set[str]()
        if not list(network.convolution_weights):
            idle |= {"alpha"}
        if network.penalised_matrix is None:
            idle |= {"beta", "gamma"}
        if network.regression_matrix is None:
            idle |= {"lambda"}
        if prediction.occlusion_map is None:
            idle |= {"eta", "zeta"}
        if covered is None:
            idle |= {"zeta"}
        return frozenset(idle)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters in groups of equal weight decay, as an optimiser takes them.

        The weight decay of a parameter is twice the sum of its weights in quadratic penalties.
        """
        spec, network = self.spec, self.network
        decay = dict.fromkeys(network.parameters(), 0.0)
        for weight in network.convolution_weights:
            decay[weight] += 2 * spec.alpha
        if (found := network.penalised_matrix) is not None:
            decay[found[0]] += 2 * spec.gamma
        if network.regression_matrix is not None:
            decay[network.regression_matrix] += 2 * spec.lambda_
        return [
            {"params": [p for p in decay if decay[p] == value], "weight_decay": value}
            for value in sorted(set(decay.values()))
        ]

    @torch.no_grad()
    def add_spectral_gradient(self) -> None:
        """Adds the gradient of β ‖M‖_*, or of what stands in its place, to that of M, after the
        backward pass.
        """
        if (found := self._penalised) is not None and self.spec.beta:
            M, penalty = found
            if M.grad is None:
                M.grad = torch.zeros_like(M)
            penalty.add_gradient(M.grad, M, self.spec.beta)

    @torch.no_grad()
    def penalties(self, sigma: Floats | None) -> dict[str, float]:
        """Name of each weight of Eq. (3) → its penalty on parameters, weighted.

        sigma: (k,) singular values of M, where the network has one.
        """
        spec, network, W_fc = self.spec, self.network, self.network.regression_matrix
        convolutions = sum(float(weight.square().sum()) for weight in network.convolution_weights)
        spectral = squares = 0.0
        if sigma is not None and (found := self._penalised) is not None:
            M, penalty = found
            spectral, squares = penalty.value(sigma), float(M.square().sum())
        return {
            "alpha": spec.alpha * convolutions,
            "beta": spec.beta * spectral,
            "gamma": spec.gamma * squares,
            "lambda": spec.lambda_ * float(W_fc.square().sum()) if W_fc is not None else 0.0,
        }

    @property
    def _penalised(self) -> tuple[nn.Parameter, Spectral] | None:
        """M and what β weighs, where β and γ act on M."""
        found = self.network.penalised_matrix
        return None if found is None else (found[0], build_spectral(found[1]))


def _norm(tensors: list[Tensor]) -> Tensor:
    """The 2-norm of all values of `tensors` together."""
    norm: Tensor = torch.nn.utils.get_total_norm([tensor.detach() for tensor in tensors])
    return norm


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
