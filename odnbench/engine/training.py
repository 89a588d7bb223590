"""Training of a network: its batches, its optimiser and a step.

Pictures stay uint8 until a step takes them: on the device where they fit, else in the host's
memory, from which batches are copied while the device computes. A step resamples its batch once,
and adds the closed-form gradients of the penalties to those of autograd. Nothing inside an epoch
waits for the device.
"""

# B images in a batch, N faces of which n are trained on, L landmarks, S side of a prepared picture,
# s of the network's input

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

# Read by torch at its first allocation: large blocks come in large pages, which spares a step
# hundreds of thousands of page faults on the CPU.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from odnbench.arrays import Bytes, Rows
from odnbench.datasets.faces import FaceSet
from odnbench.engine.augment import normalise, resample, sample_transforms, to_unit
from odnbench.engine.averaging import Average
from odnbench.engine.build import build_network
from odnbench.engine.effects.apply import Effect, effects_of
from odnbench.engine.occluders import TRAINING_SEED, Occluders
from odnbench.engine.optimisation import build_optimizer, clip_gradient
from odnbench.engine.teacher import Teacher
from odnbench.engine.transfer import move
from odnbench.losses.objective import Objective, Terms, build_objective
from odnbench.networks.base import IMAGENET, LandmarkNetwork, Normalisation, Prediction
from odnbench.plan.conversion import replace_at
from odnbench.plan.effects import resolved
from odnbench.plan.registry import Registry
from odnbench.plan.specs import AugmentSpec
from odnbench.plan.trials import Trial

_DEVICE_SHARE = 0.25  # of a GPU's free memory, up to which pictures are kept on it


class Batch(NamedTuple):
    """What a step trains on."""

    inputs: Tensor  # (B, 3, s, s), normalised
    targets: Tensor  # (B, L, 2) in [-1, 1] over the input
    covered: Tensor | None = None  # (B, 1, s, s), 1 where an occluder was pasted, if any are


class Step(NamedTuple):
    """What is known of a step of the optimiser."""

    terms: Terms  # before the step, detached
    # Of the objective's weights (`Objective.gradient_shares`); empty where they were not measured.
    gradient_shares: dict[str, float]


@dataclass(frozen=True)
class Batches:
    """The training faces, from which batches are made on the device."""

    images: Tensor  # (N, S, S, 3) uint8, on the device or the host
    points: Tensor  # (N, L, 2), pixels of the prepared pictures, on the device
    offsets: Tensor  # (N, 2), how far the annotation lies off, in pixels of the prepared pictures
    rows: Tensor  # (n,) indices of the faces that are trained on
    flip: Tensor  # (L,)
    augment: AugmentSpec  # resolved
    input_size: int  # s
    size: int  # B
    occluders: Occluders | None  # that are pasted on the faces
    effects: tuple[Effect, ...]  # on the pictures, with the occluders on them
    normalisation: Normalisation = IMAGENET  # of the network that is trained

    @classmethod
    def of(
        cls, faces: FaceSet, rows: Rows, trial: Trial, registry: Registry, device: torch.device
    ) -> "Batches":
        """Batches of the faces at `rows` of `faces`."""
        augment = resolved(trial.spec.augment, registry)
        offsets = faces.offsets_crop if augment.annotation_offset else np.zeros((len(faces), 2))
        return cls(
            images=on_device(faces.images, device),
            points=torch.from_numpy(faces.points_crop).float().to(device),
            offsets=torch.from_numpy(offsets).float().to(device),
            rows=torch.from_numpy(rows),
            flip=torch.tensor(trial.scheme.flip, device=device),
            augment=augment,
            input_size=trial.spec.data.input_size,
            size=min(trial.spec.train.batch_size, len(rows)),
            occluders=Occluders.of(TRAINING_SEED, augment.occluders, device)
            if augment.occluders
            else None,
            effects=effects_of(augment.effects, registry),
        )

    def __len__(self) -> int:
        """Batches in an epoch; the last faces of its order, too few for a batch, are left out."""
        return len(self.rows) // self.size

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every batch of an epoch, in a new order."""
        order = self.rows[torch.randperm(len(self.rows), generator=generator)]
        for rows in order[: len(self) * self.size].split(self.size):
            transforms, mirrored = sample_transforms(self.size, self.augment, generator)
            yield self.batch(rows, transforms, mirrored, generator)

    def batch(
        self, rows: Tensor, transforms: Tensor, mirrored: Tensor, generator: torch.Generator
    ) -> Batch:
        """The faces at `rows` (B,), moved by `transforms` and `mirrored` of `sample_transforms`.

        generator: of the occluders and the effects.
        """
        device = self.points.device
        there = move(rows, device)
        inputs, targets = resample(
            move(self.images.index_select(0, move(rows, self.images.device)), device),
            self.points.index_select(0, there),
            self.offsets.index_select(0, there),
            move(transforms, device),
            move(mirrored, device),
            self.flip,
            self.input_size,
        )
        covered = None
        if self.occluders is not None:
            inputs, covered = self.occluders.paste(inputs, targets, generator)
        for effect in self.effects:
            effect(inputs, covered, generator)
        return Batch(normalise(inputs, self.normalisation), targets, covered)

    def mean_shape(self) -> Tensor:
        """(L, 2): mean of the points in [-1, 1] over the crop."""
        stored = self.images.shape[1]
        points = self.points[self.rows.to(self.points.device)]
        return to_unit(points, stored).mean(dim=0) * (stored / self.input_size)


@dataclass(frozen=True)
class Training:
    """A network, and all that it is trained with."""

    network: LandmarkNetwork
    forward: Callable[[Tensor], Prediction]  # the network, compiled where the spec asks for it
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    batches: Batches
    generator: torch.Generator  # of batches and transforms
    bf16: bool
    clip: float = 0.0  # largest norm of the gradient; 0: no limit
    average: Average | None = None  # of the network's weights, where the spec asks for it
    teacher: Teacher | None = None  # whose predictions are targets too, where the spec names one

    @classmethod
    def of(
        cls,
        trial: Trial,
        faces: FaceSet,
        rows: Rows,
        registry: Registry,
        device: torch.device,
        weights: Path | None = None,
        teacher: Path | None = None,
    ) -> "Training":
        """The training of `trial` on the faces at `rows` of `faces`, before the first step.

        weights, teacher: paths of the spec's weights file and of its teacher's folder on this
        machine, if they differ from the spec's. Raises OdnbenchError for a teacher that cannot
        teach this network.
        """
        spec = trial.spec
        if weights is not None:
            spec = replace_at(spec, "model.pretrained", str(weights))
        torch.manual_seed(spec.seed)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # inputs are of one size
        batches = Batches.of(faces, rows, trial, registry, device)
        network = build_network(spec, registry, trial.scheme.points)
        batches = replace(batches, normalisation=network.normalisation)
        network.set_mean_shape(batches.mean_shape())
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        objective = build_objective(spec.loss, network, registry, spec.data.input_size)
        optimizer, schedule = build_optimizer(objective, spec.train, len(batches))
        forward: Callable[[Tensor], Prediction] = network
        if spec.train.compile != "none":
            forward = torch.compile(network, mode=spec.train.compile, dynamic=False)
        return cls(
            network,
            forward,
            objective,
            optimizer,
            schedule,
            batches,
            torch.Generator().manual_seed(spec.seed),
            use_bf16(spec.train.precision, device),
            spec.train.clip,
            Average(network, spec.train.ema) if spec.train.ema else None,
            Teacher.of(trial, registry, device, teacher),
        )

    @property
    def kept(self) -> LandmarkNetwork:
        """The network that is validated, kept and tested: the average where there is one."""
        return self.network if self.average is None else self.average.network

    def epoch(self) -> tuple[dict[str, float], dict[str, float]]:
        """Trains on every batch once.

        Returns the mean of each of the objective's terms over the epoch, and the gradient shares of
        the objective's weights in the last batch (`Objective.gradient_shares`).
        """
        self.network.train()
        sums: dict[str, Tensor] = {}
        shares: dict[str, float] = {}
        for index, batch in enumerate(self.batches.epoch(self.generator), start=1):
            terms, shares = self.step(batch, measure=index == len(self.batches))
            for name, value in terms.items():
                sums[name] = sums[name] + value if name in sums else value
        means = (torch.stack(list(sums.values())) / len(self.batches)).tolist()
        return dict(zip(sums, means, strict=True)), shares

    def step(self, batch: Batch, *, measure: bool = False) -> Step:
        """One step of the optimiser on a batch. measure: whether to measure gradient shares, for
        which a GPU is waited for.
        """
        # In a compiled network, the gradient of the data term does not pass by the P that is seen.
        forward = self.network if measure else self.forward
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=self.bf16):
            prediction = forward(batch.inputs)
        terms = self.objective(prediction, batch.targets, batch.covered)
        if self.teacher is not None:
            normalisation = self.network.normalisation
            taught = self.teacher.points(batch.inputs, normalisation, bf16=self.bf16)
            terms["teacher"] = self.teacher.term(self.objective, prediction.points, taught)
        if measure and prediction.occlusion_map is not None:
            prediction.occlusion_map.retain_grad()
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        shares = self.objective.gradient_shares(prediction, batch.covered) if measure else {}
        self.objective.add_spectral_gradient()
        if self.clip:
            clip_gradient(self.optimizer, self.clip)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network)
        return Step({name: value.detach() for name, value in terms.items()}, shares)

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on, so that they are the same after `load_state_dict`."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the training as it was when `state_dict` was called."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def own_device() -> torch.device:
    """Where trials of this process compute: on its GPU, or on the CPU where it has none. Sets how
    exact float32 is on a GPU, for whatever is computed there.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # TF32 has the ten binary digits that would round small terms of Eq. (3) away. What is slow
    # without it is in bf16.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: where asked for, and under "auto" where the processor has it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def on_device(images: Bytes, device: torch.device) -> Tensor:
    """The pictures on `device`, or in the host's memory where they would take too much of a GPU's.

    On the CPU they are not copied: trials share the pages of a mapped file.
    """
    with warnings.catch_warnings():
        # The array of a mapped file is read-only, and nothing writes to the tensor.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        tensor = torch.from_numpy(images)
    if device.type == "cuda" and tensor.nbytes > _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return tensor
    return tensor.to(device)
