"""Contracts of all that a network and its objective are made of."""

# B images, L landmarks, C channels, h×w feature map, d length of a feature vector

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from odnbench.engine.check import check_trial
from odnbench.errors import OdnbenchError, unknown
from odnbench.networks.heads.head import LandmarkHead
from odnbench.networks.odn import OcclusionAdaptiveNetwork, size_of
from odnbench.plan.conversion import field_types, public_name, replace_at
from odnbench.plan.entries import ATTACH_WORDS, Backbone, Criterion, Head, LossWeight, Module, Slot
from odnbench.plan.pipelines import Pipeline, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.searches import Search
from odnbench.plan.specs import NONE, LossSpec, ModelSpec
from odnbench.plan.trials import Coverage, Trial

_IMAGES, _SIDE_PX = 2, 64
_PICTURE = (64, 96)  # height and width, unlike each other so that they are not mixed up
_CHANNELS, _CELLS = 8, 5  # of a feature map, and along each of its sides
_FEATURES = 12  # of a vector
_LANDMARKS = 5
_SMALLEST = {
    "model.backbone": "resnet18-slim",
    "model.pretrained": "none",
    "data.input_size": _SIDE_PX,
    "train.batch_size": _IMAGES,
    "train.epochs": 1,
}


def check_backbone(registry: Registry, name: str) -> str:
    """Images (B, 3, H, W) become Z (B, out_channels, H/stride, W/stride) for every word of
    `model.attach` in the entry's layers; an entry without layers must know at least one word.
    """
    entry = registry.get(Backbone, name)
    words: dict[str, list[str]] = {}  # layer → the words that mean it
    for word in ATTACH_WORDS:
        words.setdefault(entry.layer(word), []).append(word)
    refusals: dict[str, Exception] = {}
    for layer, known_as in words.items():
        try:
            backbone = registry.build(Backbone, name, attach=layer, pretrained="none")
        except (OdnbenchError, ValueError, KeyError) as error:
            if any(word in entry.layers for word in known_as):
                raise OdnbenchError(f"attach = '{layer}': {error}") from error
            refusals[layer] = error
        else:
            _check_features(backbone, known_as)
    if len(refusals) == len(words):
        layer, refusal = next(iter(refusals.items()))
        raise OdnbenchError(
            f"it must know one of {', '.join(ATTACH_WORDS)} as attach, or name a layer of its own "
            f"for each in layers; attach = '{layer}': {refusal}"
        ) from refusal
    return ""


def _check_features(backbone: nn.Module, words: list[str]) -> None:
    """A backbone that was built for `words` of `model.attach` tells its Z as it is, and learns."""
    where = f"with attach = '{words[0]}'"
    channels, stride = (size_of(backbone, size, where) for size in ("out_channels", "stride"))
    for word in words:
        asked = int(word.removeprefix("stride-")) if word.startswith("stride-") else stride
        if stride != asked:
            raise OdnbenchError(f"with attach = '{word}': its stride must be {asked}, got {stride}")
    height, width = _PICTURE
    images = torch.randn(_IMAGES, 3, height, width)
    Z = _shaped(
        backbone(images),
        (_IMAGES, channels, height // stride, width // stride),
        f"{where}, the feature map of images {tuple(images.shape)}",
        "(B, out_channels, H/stride, W/stride)",
    )
    _check_learns(backbone, [Z], where)


def check_slot(registry: Registry, name: str) -> str:
    """The name is free in the network and in the spec; the network can be trained with the slot's
    default module.
    """
    if hasattr(OcclusionAdaptiveNetwork, name) or name in field_types(ModelSpec):
        raise OdnbenchError(f"the name '{name}' is taken in the network; give it another one")
    if name in registry.all(Head):
        raise OdnbenchError(f"the name '{name}' is that of a head; give it another one")
    default = registry.get(Slot, name).default
    _check_in_network(registry, {} if default == NONE else {f"model.{name}": default})
    return ""


def check_module(registry: Registry, name: str) -> str:
    """Features become features of the shape that the module's slot asks for and that the module
    tells; all parameters and the input get gradients; the network can be trained with it.
    """
    slot = registry.get(Slot, registry.get(Module, name).slot)
    shape: tuple[int, ...] = (_IMAGES, _CHANNELS, _CELLS, _CELLS)
    given, wanted = "out_channels", "(B, out_channels, h, w)"
    sizes = {"in_channels": shape[1]}
    if slot.place == "vector":
        shape = (_IMAGES, _FEATURES)
        given, wanted = "out_features", "(B, out_features)"
        sizes = {"in_features": shape[1], "landmarks": _LANDMARKS}
    module = registry.build(Module, name, **sizes)
    size = size_of(module, given, "with " + ", ".join(f"{k} = {v}" for k, v in sizes.items()))
    features = torch.randn(shape, requires_grad=True)
    output, P = module(features), None
    if slot.place == "branch" and isinstance(output, tuple) and len(output) == 2:
        output, P = output
        P = _shaped(P, (_IMAGES, 1, *shape[2:]), "its occlusion map", "(B, 1, h, w)")
        if not ((P > 0) & (P < 1)).all():
            raise OdnbenchError(
                f"its occlusion map must be between 0 and 1, got {P.min():g} to {P.max():g}; end "
                "it with a sigmoid"
            )
        _check_float32(module, features.detach())
    output = _shaped(output, (_IMAGES, size, *shape[2:]), f"output of {shape}", wanted)
    M = getattr(module, "M", None) if slot.place == "vector" else None
    if M is not None:
        _shaped(M, (shape[1], size), "its structural matrix M", "(in_features, out_features)")
    _check_learns(module, [output] if P is None else [output, P], "", features)
    _check_in_network(registry, {f"model.{slot.name}": name})
    return ""


def _check_float32(module: nn.Module, features: Tensor) -> None:
    """The occlusion map of `module` is float32 where the network computes in bf16."""
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        _, P = module(features.bfloat16())
    if P.dtype != torch.float32:
        raise OdnbenchError(
            f"its occlusion map must be float32 in every precision, or small penalties of it are "
            f"rounded away; under bf16 it is {str(P.dtype).removeprefix('torch.')}: make it inside "
            "odnbench.networks.precision.full_precision"
        )


def check_head(registry: Registry, name: str) -> str:
    """Features become points (B, L, 2) in float32, whatever the precision of a trial, and, where
    the head tells it, confidence (B, L) from 0 to 1; the data term is (B,) and gives gradients,
    also for landmarks outside of the crop; the network can be trained with it.
    """
    takes_map = registry.get(Head, name).takes == "map"
    shape = (_IMAGES, _CHANNELS, _CELLS, _CELLS) if takes_map else (_IMAGES, _FEATURES)
    head = registry.build(
        Head,
        name,
        in_channels=shape[1],
        side=_CELLS if takes_map else 1,
        landmarks=_LANDMARKS,
    )
    if not isinstance(head, LandmarkHead):
        raise OdnbenchError(
            f"its target must return an odnbench.networks.heads.head:LandmarkHead, got "
            f"{type(head).__name__}; make it a subclass"
        )
    mean_shape = torch.rand(_LANDMARKS, 2) - 0.5
    head.set_mean_shape(mean_shape)
    true = torch.rand(_IMAGES, _LANDMARKS, 2) - 0.5
    true[:, 0] += 1.0  # a landmark near or beyond the edge of the crop
    wanted = (_IMAGES, _LANDMARKS, 2)
    features = torch.randn(shape)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        in_bf16 = head.decode(head(features), mean_shape)
    if in_bf16.dtype != torch.float32:
        raise OdnbenchError(
            f"decode must give float32 in trials in bf16 too, got {in_bf16.dtype}; add .float()"
        )
    features.requires_grad_()
    output = head(features)
    points = _shaped(head.decode(output, mean_shape), wanted, "decoded points", "(B, L, 2)")
    term = head.data_term(output, points, true, _squared)
    term = _shaped(term, (_IMAGES,), "its data term", "(B,)")
    _check_learns(head, [term], "", features)
    _check_evaluation(head.eval(), features.detach(), mean_shape)
    vectors = [slot for slot, entry in registry.all(Slot).items() if entry.place == "vector"]
    without = {f"model.{slot}": NONE for slot in vectors} if takes_map else {}
    _check_in_network(registry, {"model.head": name, **without})
    return ""


def _check_evaluation(head: LandmarkHead, features: Tensor, mean_shape: Tensor) -> None:
    """In evaluation mode, a confidence is right, and points do not depend on other images."""
    with torch.no_grad():
        output = head(features)
        points, confidence = head.decode(output, mean_shape), head.confidence(output)
        alone = head.decode(head(features[:1]), mean_shape)
    if not torch.allclose(points[:1], alone, atol=1e-4):
        raise OdnbenchError(
            "in evaluation mode the points of an image must not depend on the other images"
        )
    if confidence is not None:
        _shaped(confidence, (_IMAGES, _LANDMARKS), "its confidence", "(B, L)")
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise OdnbenchError(
                f"its confidence must be from 0 to 1, got {confidence.min():g} to "
                f"{confidence.max():g}"
            )


def _squared(predicted: Tensor, true: Tensor) -> Tensor:
    return (predicted - true).square().flatten(1).sum(dim=1)


def check_criterion(registry: Registry, name: str) -> str:
    """Two sets of shapes (B, L, 2), or of maps (B, L, h, w), become (B,) values, none of them
    negative, the smallest where both are equal, with a gradient.
    """
    entry = registry.get(Criterion, name)
    unit = _SIDE_PX / 2 if entry.unit == "pixels" else 1.0
    for on in entry.on:
        if on == "points":
            _check_distances(entry, (torch.rand(_IMAGES, _LANDMARKS, 2) - 0.5) * unit, 0.1 * unit)
        else:
            _check_distances(entry, torch.rand(_IMAGES, _LANDMARKS, _CELLS, _CELLS), 0.1)
    return ""


def _check_distances(entry: Criterion, true: Tensor, distance: float) -> None:
    """The values of the criterion at `true`, and at about `distance` from it, are right."""
    function = import_target(entry.target)
    predicted = (true + distance * torch.randn_like(true)).requires_grad_()
    apart = function(predicted, true, **entry.options)
    apart = _shaped(apart, (_IMAGES,), f"the values of {_IMAGES} shapes", "(B,)")
    equal = function(true, true, **entry.options)
    if min(apart.min(), equal.min()) < 0:
        raise OdnbenchError(f"its values must be 0 or more, got {min(apart.min(), equal.min()):g}")
    if not (equal < apart).all():
        raise OdnbenchError(
            f"its value must be smallest where both shapes are equal, got {equal[0]:g} there and "
            f"{apart[0].item():g} elsewhere"
        )
    apart.sum().backward()
    if predicted.grad is None or not predicted.grad.isfinite().all() or not predicted.grad.any():
        raise OdnbenchError("what is predicted must get a finite gradient that is not all 0")


def check_variant(registry: Registry, name: str) -> str:
    """The variant's network can be built at its smallest, predicts and learns."""
    _check_in_network(registry, {}, variant=name)
    return ""


def check_space(registry: Registry, name: str) -> str:
    """Each end of a range, and each choice, makes a valid trial around the default one."""
    resolve(Pipeline(name="space", title="", search=Search(space=name)), registry)
    return ""


def check_weight(registry: Registry, name: str) -> str:
    """The weight is one of the objective."""
    known = [public_name(weight) for weight in LossSpec.weights()]
    if name not in known:
        raise OdnbenchError(
            f"{unknown('weight of Eq. (3)', name, known)}. A new one needs a field of LossSpec "
            "(odnbench/plan/specs.py; with the default 0.0, so that results of before stay "
            "readable) and its term in odnbench/losses/objective.py"
        )
    registry.get(LossWeight, name)
    return ""


def _check_in_network(registry: Registry, changes: Mapping[str, Any], variant: str = "odn") -> None:
    """A network of `variant` at its smallest, with `changes` of its spec, predicts and learns."""
    pipeline = Pipeline("contract", "", base={**_SMALLEST, **changes}, axes={"variant": [variant]})
    (spec,) = resolve(pipeline, registry)
    if spec.train.epochs:  # a network that is not trained may be nothing without its file
        spec = replace_at(spec, "model.pretrained", NONE)  # nothing is downloaded for a check
    protocol = registry.get(Protocol, spec.data.protocol)
    trial = Trial(
        id="contract",
        pipeline=pipeline.name,
        title=variant,
        spec=spec,
        protocol=protocol,
        box=registry.get(BoxRule, protocol.box),
        scheme=registry.get(Scheme, protocol.scheme),
        coverage=(Coverage(spec.data.train, _IMAGES, 0, rendered=True),),
        faces="",
    )
    check_trial(trial, registry)


def _shaped(value: object, shape: tuple[int, ...], what: str, letters: str) -> Tensor:
    """`value`, if it is a finite tensor of `shape`."""
    if not isinstance(value, Tensor):
        raise OdnbenchError(f"{what} must be a tensor, got {type(value).__name__}")
    if value.shape != shape:
        raise OdnbenchError(
            f"{what} must have the shape {letters}, here {shape}, got {tuple(value.shape)}"
        )
    if not value.isfinite().all():
        raise OdnbenchError(f"{what} must be finite")
    return value


def _check_learns(
    module: nn.Module, outputs: list[Tensor], where: str, features: Tensor | None = None
) -> None:
    """All parameters of `module` that are to be trained, and `features`, get finite gradients of a
    random sum of `outputs`.
    """
    where = f"{where}, " if where else ""
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if features is not None:
        named["input"] = features  # type: ignore[assignment]
    total = torch.stack([(output * torch.randn_like(output)).sum() for output in outputs]).sum()
    if named and not total.requires_grad:
        raise OdnbenchError(f"{where}no gradient leads back from its output; nothing may detach it")
    if named:
        total.backward()
    for name, tensor in named.items():
        what = "its input" if tensor is features else f"its parameter {name}"
        if tensor.grad is None:
            raise OdnbenchError(
                f"{where}{what} gets no gradient; use it in forward, or set requires_grad = False"
            )
        if not tensor.grad.isfinite().all():
            raise OdnbenchError(f"{where}the gradient of {what} is not finite")
