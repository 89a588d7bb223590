"""Distillation: a trained network, whose predictions for training pictures are targets as well.

    data term + weight · criterion(points, the teacher's points)

as in Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, for points in
place of classes. The teacher sees the very batch that the network sees, in evaluation mode. The
term is none of Eq. (3)'s. It acts on points as heads decode them, and has no effect where a head's
decoding passes no gradient on.
"""

# B images, L landmarks, s side of the networks' input

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from odnbench.engine.augment import renormalise
from odnbench.engine.export import load_network
from odnbench.errors import OdnbenchError
from odnbench.losses.objective import Objective
from odnbench.networks.base import LandmarkNetwork, Normalisation
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.teachers import teacher_folder


@dataclass(frozen=True)
class Teacher:
    """The network of a finished trial, and the weight of its term."""

    network: LandmarkNetwork
    weight: float

    @classmethod
    def of(
        cls, trial: Trial, registry: Registry, device: torch.device, folder: Path | None = None
    ) -> "Teacher | None":
        """The teacher that the spec of `trial` names; None where it names none.

        folder: of the teacher's trial on this machine, if it differs from the spec's. Raises
        OdnbenchError where there is no network, or one for other inputs or landmarks.
        """
        found = teacher_folder(trial.spec) if folder is None else TrialFolder(folder)
        if found is None:
            return None
        other = found.trial
        for what, own, its in (
            ("data.input_size", trial.spec.data.input_size, other.spec.data.input_size),
            ("box rule", trial.box.describe(), other.box.describe()),
            ("point scheme", trial.scheme.name, other.scheme.name),
            ("number of points", trial.scheme.points, other.scheme.points),
        ):
            if own != its:
                raise OdnbenchError(
                    f"train.teacher {found.path}: its {what} is {its}, but this trial's is {own}; "
                    "a teacher sees the same pictures and predicts the same points"
                )
        network = load_network(other, found, registry).requires_grad_(requires_grad=False).eval()
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, trial.spec.train.teacher_weight)

    @torch.no_grad()
    def points(self, inputs: Tensor, normalisation: Normalisation, *, bf16: bool) -> Tensor:
        """(B, L, 2) in [-1, 1] over the inputs (B, 3, s, s), which are normalised by
        `normalisation`, that of another network maybe.
        """
        if normalisation != self.network.normalisation:
            inputs = renormalise(inputs, normalisation, self.network.normalisation)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            points: Tensor = self.network(inputs).points
        return points

    def term(self, objective: Objective, points: Tensor, taught: Tensor) -> Tensor:
        """The weighted distance of points (B, L, 2) from the teacher's, a scalar."""
        return self.weight * objective.distance(points, taught).mean()
