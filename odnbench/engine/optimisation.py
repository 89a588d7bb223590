"""The optimiser of a network, the schedule of its learning rate, and the limit of its gradient.

None of them changes what is minimised. The only weight decay is that of Eq. (3), which enters the
gradient; a learning rate of the backbone's own scales steps, not terms; and the gradient is
shortened as a whole, closed-form penalties included, so that it keeps the direction of Eq. (3)'s.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
)

from odnbench.errors import OdnbenchError
from odnbench.losses.objective import Objective
from odnbench.plan.specs import TrainSpec

_BACKBONE = "backbone."  # how the names of the backbone's parameters begin
# The key of a parameter group for the weight decay that `clip_gradient` adds, in the place of the
# optimiser.
_DECAY = "decay_before_clipping"


def build_optimizer(
    objective: Objective, train: TrainSpec, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Optimiser and per-step schedule.

    The schedule changes the learning rate alone: momentum and Adam's betas stay at 0.9 and
    (0.9, 0.999). The first parameter group has the learning rate of the spec.
    """
    groups = _groups(objective, train)
    total = max(1, train.epochs * steps_per_epoch)
    rate = train.learning_rate
    optimizer: torch.optim.Optimizer
    if train.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True, fused=True)
    else:
        optimizer = torch.optim.Adam(groups, rate, fused=True)
    if train.schedule == "one-cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer, OneCycleLR(optimizer, rates, total, cycle_momentum=False)
    if train.warmup_epochs:
        return optimizer, _warmed_up(optimizer, train, steps_per_epoch, total)
    if train.schedule == "cosine":
        return optimizer, CosineAnnealingLR(optimizer, total)
    return optimizer, ConstantLR(optimizer, factor=1.0)


@torch.no_grad()
def clip_gradient(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Shortens the gradient of all parameters together to a norm of at most `largest`.

    optimizer: from `build_optimizer`, of a spec that asks for it. Its weight decay is added here,
    before the norm is taken. A GPU is not waited for.
    """
    every: list[Tensor] = []
    for group in optimizer.param_groups:
        trained = [p for p in group["params"] if p.grad is not None]
        every += trained
        if trained and group[_DECAY]:
            gradients = [p.grad for p in trained]
            torch._foreach_add_(gradients, trained, alpha=group[_DECAY])
    norm = torch.nn.utils.get_total_norm([p.grad for p in every if p.grad is not None])
    torch.nn.utils.clip_grads_with_norm_(every, largest, norm)


def _groups(objective: Objective, train: TrainSpec) -> list[dict[str, Any]]:
    """The parameters in groups of equal weight decay and learning rate."""
    groups = objective.parameter_groups()
    if train.backbone_rate != 1:
        named = objective.network.named_parameters()
        backbone = {parameter for name, parameter in named if name.startswith(_BACKBONE)}
        rate = train.backbone_rate * train.learning_rate
        slowed = [{**group, "lr": rate} for group in _within(groups, backbone.__contains__)]
        if groups and not slowed:
            raise OdnbenchError(
                f"train.backbone_rate is {train.backbone_rate:g}, but the network has no part "
                "named 'backbone' that has parameters; leave out train.backbone_rate"
            )
        groups = _within(groups, lambda parameter: parameter not in backbone) + slowed
    if train.clip:
        for group in groups:
            group[_DECAY] = group.pop("weight_decay")
    # An optimiser refuses to be without parameters.
    return groups or [{"params": [torch.nn.Parameter(torch.zeros(0))]}]


def _within(
    groups: list[dict[str, Any]], belongs: Callable[[Tensor], bool]
) -> list[dict[str, Any]]:
    """The groups with those of their parameters alone that belong; none of them is empty."""
    chosen = [{**group, "params": [*filter(belongs, group["params"])]} for group in groups]
    return [group for group in chosen if group["params"]]


def _warmed_up(
    optimizer: torch.optim.Optimizer, train: TrainSpec, steps_per_epoch: int, total: int
) -> LambdaLR:
    """The constant or cosine schedule after a linear rise of the learning rate.

    The rise takes w steps: step t, counted from 1, has the share t / (w + 1) of the full rate. The
    schedule begins at step w + 1, with the full rate, over the `total` - w steps that are left.
    """
    w = min(round(train.warmup_epochs * steps_per_epoch), total - 1)

    def share(step: int) -> float:
        """Of the full rate; `step` is counted from 0."""
        if step < w:
            return (step + 1) / (w + 1)
        if train.schedule == "constant":
            return 1.0
        return (1 + math.cos(math.pi * (step - w) / (total - w))) / 2

    return LambdaLR(optimizer, share)
