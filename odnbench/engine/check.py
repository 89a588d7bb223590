"""Checks before the first trial runs: can every trial be trained, and how much memory does it take?

Each network is built as for training, and two pictures of noise go through the network and its
objective, forward and backward. That happens on the CPU and in float32 whatever the trial asks for,
so that a plan is checked on any machine, without taking a GPU from a trial.

The memory that training takes is estimated, not measured: weights, gradients, moments of the
optimiser, an average of the weights, the weights of a teacher, and what autograd keeps for the
backward pass. Memory that is soon freed, as gradients of features and scratch space of
convolutions, comes on top: on the CPU the peak of a step was 1.1 to 1.4 times the estimate at 224
pixels, and about 30 MB above it for small networks.
"""

# B images, L landmarks, h×w occlusion map

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from odnbench.engine.build import build_network
from odnbench.engine.effects.apply import RANDOM
from odnbench.engine.fit import shapes_of
from odnbench.engine.optimisation import build_optimizer
from odnbench.engine.teacher import Teacher
from odnbench.engine.training import own_device, use_bf16
from odnbench.errors import OdnbenchError
from odnbench.losses.objective import build_objective
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.effects import resolved
from odnbench.plan.entries import Augmentation, Module, Variant
from odnbench.plan.registry import Registry
from odnbench.plan.specs import ModelSpec
from odnbench.plan.trials import Trial
from odnbench.results.shapes import Shapes

_IMAGES = 2  # the least that batch norm takes at every size of map
_COPIES = {"adam": 4, "sgd": 3}  # per weight: weight, gradient, moments


@dataclass(frozen=True)
class Footprint:
    """The size of a network, and the bytes that training it takes, estimated."""

    parameters: int
    training_bytes: int
    shapes: Shapes
    # The names of the loss weights that have nothing to act on.
    idle_weights: frozenset[str] = frozenset()


def check_trials(
    trials: Iterable[Trial], registry: Registry, memory_bytes: int | None = None
) -> dict[str, Footprint]:
    """Trial id → footprint, where all trials can be trained.

    Trials that are alike (`kind_of`) are checked once. memory_bytes: memory of the machine that the
    trials are to run on, if known. Raises one OdnbenchError with a line for each fault.
    """
    known: dict[tuple[Any, ...], Footprint | None] = {}
    footprints: dict[str, Footprint] = {}
    faults = []
    with in_threads(1):  # two pictures gain nothing from more, and other processes may be busy
        for trial in trials:
            kind = kind_of(trial)
            if kind not in known:
                known[kind] = None
                try:
                    known[kind] = check_trial(trial, registry)
                    _check_memory(trial, known[kind], memory_bytes)
                except OdnbenchError as error:
                    faults.append(str(error))
            if (footprint := known[kind]) is not None:
                footprints[trial.id] = footprint
    if faults:
        raise OdnbenchError("\n".join(dict.fromkeys(faults)))
    return footprints


def kind_of(trial: Trial) -> tuple[Any, ...]:
    """A key that is equal for trials of one network that train equally fast, in equal memory."""
    spec, train = trial.spec, trial.spec.train
    how = (train.batch_size, train.optimizer, train.precision, train.compile, train.epochs > 0)
    augment = (spec.augment.occluders > 0, spec.augment.strength > 0)
    recipe = (train.ema > 0, train.clip > 0, train.backbone_rate, train.teacher)
    effects = tuple(sorted((name, amount > 0) for name, amount in spec.augment.effects.items()))
    data = (spec.data.input_size, spec.data.flip_test, trial.scheme.name, trial.box)
    return spec.variant, spec.model, spec.loss.criterion, effects, *augment, *data, *how, *recipe


def check_trial(trial: Trial, registry: Registry) -> Footprint:
    """Builds the network of `trial`, and has it predict and learn from two pictures of noise.

    Raises OdnbenchError that names the variant and its faulty part: for a part that cannot be built
    or raises any exception, for points that are not (B, L, 2), for an occlusion map that is not
    (B, 1, h, w), and for values that are not finite.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            return _check(trial, registry)
    except OdnbenchError as error:
        raise OdnbenchError(f"variant {trial.spec.variant}: {error}") from error


@contextmanager
def in_threads(count: int) -> Iterator[None]:
    """Lets torch compute in `count` threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine_memory() -> int:
    """Bytes of memory of the GPU that trials run on, or of a machine without GPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _check(trial: Trial, registry: Registry) -> Footprint:
    spec, landmarks, size = trial.spec, trial.scheme.points, trial.spec.data.input_size
    torch.manual_seed(spec.seed)
    with _errors_at(lambda: f"network {registry.get(Variant, spec.variant).network}"):
        network = build_network(spec, _KeyNamingRegistry(registry.entries), landmarks)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    images = torch.randn(_IMAGES, 3, size, size).contiguous(memory_format=torch.channels_last)
    points = torch.rand(_IMAGES, landmarks, 2) - 0.5
    with _errors_at(lambda: "its objective"):
        objective = build_objective(spec.loss, network, registry, size)
        build_optimizer(objective, spec.train, steps_per_epoch=1)

    _check_effects(resolved(spec.augment, registry).effects, registry, size)
    # No occluder on either picture, where some are pasted.
    covered = torch.zeros(_IMAGES, 1, size, size) if spec.augment.occluders else None
    prediction = _valid(_predict(network, images, spec.model), landmarks)
    idle = objective.idle_weights(prediction, covered)
    if not spec.train.epochs:
        return Footprint(network.parameter_count, 0, shapes_of(network), idle)
    with _errors_at(lambda: f"loss.criterion '{spec.loss.criterion}'"):
        terms = objective(prediction, points, covered)
    if not torch.stack(list(terms.values())).isfinite().all():
        raise OdnbenchError(
            f"loss.criterion '{spec.loss.criterion}' gives {terms['data'].detach():g}"
        )
    teacher = Teacher.of(trial, registry, torch.device("cpu"))
    if teacher is not None and not prediction.points.requires_grad:
        raise OdnbenchError(
            f"train.teacher: head '{spec.model.head}' decodes points without a gradient, by which "
            "a teacher could teach it; take a head that is trained on coordinates, or leave out "
            "train.teacher"
        )
    with _errors_at(lambda: "backward pass"):
        torch.stack(list(terms.values())).sum().backward()
        objective.add_spectral_gradient()

    def forward() -> Tensor:
        terms = objective(network(images), points, covered)
        return sum(terms.values(), torch.zeros(()))

    kept = images.nbytes + _kept_bytes(forward, [images, *network.parameters(), *network.buffers()])
    weights = sum(p.nbytes for p in network.parameters())
    needed = (_COPIES[spec.train.optimizer] + (spec.train.ema > 0)) * weights
    needed += sum(p.nbytes for p in teacher.network.parameters()) if teacher is not None else 0
    if use_bf16(spec.train.precision, own_device()):
        kept, needed = kept // 2, needed + weights // 2  # the weights are kept in bf16 as well
    batch = min(spec.train.batch_size, trial.coverage[0].faces)  # no larger than there are faces
    training_bytes = needed + kept * batch // _IMAGES
    return Footprint(network.parameter_count, training_bytes, shapes_of(network), idle)


def _check_effects(names: Iterable[str], registry: Registry, size: int) -> None:
    """Each effect takes its options, and gives pictures of the shape that it gets."""
    images, random = torch.full((_IMAGES, 3, size, size), 128.0), torch.rand(_IMAGES, RANDOM)
    for name in names:
        with _errors_at(partial("augment.{}".format, name)):
            changed = registry.build(
                Augmentation, name, images=images, amounts=torch.ones(_IMAGES), random=random
            )
            if changed.shape != images.shape:
                raise OdnbenchError(
                    f"augment.{name}: its pictures must have the shape (n, 3, s, s), here "
                    f"{tuple(images.shape)}, got {tuple(changed.shape)}"
                )


def _check_memory(trial: Trial, footprint: Footprint | None, memory_bytes: int | None) -> None:
    if footprint is None or memory_bytes is None or footprint.training_bytes <= memory_bytes:
        return
    spec = trial.spec
    where = "this machine's GPU" if own_device().type == "cuda" else "this machine"
    raise OdnbenchError(
        f"variant {spec.variant}: training takes about {footprint.training_bytes / 1e9:.1f} GB, "
        f"{where} has {memory_bytes / 1e9:.1f} GB; lower train.batch_size (now "
        f"{spec.train.batch_size}) or data.input_size (now {spec.data.input_size})"
    )


def _valid(prediction: object, landmarks: int) -> Prediction:
    """`prediction`, if it has the type, shapes and finite values that it must have."""
    if not isinstance(prediction, Prediction):
        raise OdnbenchError(
            f"its network must return a Prediction, got {type(prediction).__name__}"
        )
    points, P = prediction.points, prediction.occlusion_map
    wanted = (_IMAGES, landmarks, 2)
    if points.shape != wanted:
        raise OdnbenchError(
            f"its network must give points of shape (B, L, 2), here {wanted}, got "
            f"{tuple(points.shape)}"
        )
    if P is not None and (P.ndim != 4 or P.shape[:2] != (_IMAGES, 1)):
        raise OdnbenchError(
            f"its network must give an occlusion map of shape (B, 1, h, w), here "
            f"({_IMAGES}, 1, h, w), got {tuple(P.shape)}"
        )
    for what, values in (("points", points), ("an occlusion map", P)):
        if values is not None and not values.isfinite().all():
            raise OdnbenchError(f"its network gives {what} that are not finite")
    return prediction


def _predict(network: LandmarkNetwork, images: Tensor, model: ModelSpec) -> object:
    """What `network` returns; an exception becomes an OdnbenchError that names its module."""
    entered: list[str] = []  # names of the modules that are at work, the innermost last
    handles = []

    def leave(*_: Any) -> None:
        entered.pop()

    for name, module in network.named_modules():
        handles += [
            module.register_forward_pre_hook(lambda *_, name=name: entered.append(name)),
            module.register_forward_hook(leave),
        ]

    def where() -> str:
        path = entered[-1] if entered else ""
        part, _, inner = path.partition(".")
        names = {"backbone": model.backbone, **model.modules}
        if part == model.head:
            return f"model.head '{part}'" + (f", its {inner}" if inner else "")
        if part in names:
            return f"model.{part} '{names[part]}'" + (f", its {inner}" if inner else "")
        return path or type(network).__name__

    with _errors_at(where):
        prediction: object = network(images)
    for handle in handles:
        handle.remove()
    return prediction


def _kept_bytes(forward: Callable[[], Tensor], known: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps of `forward` for the backward pass, without those of `known`.

    Tensors that share a storage are counted once.
    """
    # Address of a storage → bytes. No storage is freed meanwhile, so that no address comes twice.
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    own = {tensor.untyped_storage().data_ptr() for tensor in known}
    total = sum(size for address, size in kept.items() if address not in own)
    del result
    return total


class _KeyNamingRegistry(Registry):
    """A registry whose errors name the key of the spec for which an entry was built."""

    def build(self, kind: Any, name: str, **arguments: Any) -> Any:
        """See Registry."""
        entry = self.get(kind, name)
        key = entry.slot if isinstance(entry, Module) else kind.__name__.lower()
        with _errors_at(lambda: f"model.{key} '{name}' ({entry.target})"):
            return super().build(kind, name, **arguments)


@contextmanager
def _errors_at(where: Callable[[], str]) -> Iterator[None]:
    """Turns any exception into an OdnbenchError that begins with the place `where`."""
    try:
        yield
    except OdnbenchError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())  # a fault is one line
        raise OdnbenchError(f"{where()}: {type(error).__name__}: {reason}") from error
