"""Content ids: the name of a trial is the hash of all that decides its numbers.

What decides the numbers: the trial's spec, the registry entries that the spec names, the source
code of entries from outside odnbench, the contents of a weights file and of a teacher, the lists of
faces, and the version of the engine. Paths, devices and titles do not, and are left out.
"""

import dataclasses
import hashlib
import json
from typing import Any

from odnbench.plan.conversion import replace_at, to_mapping
from odnbench.plan.effects import resolved
from odnbench.plan.entries import (
    Augmentation,
    Backbone,
    Buildable,
    Criterion,
    Head,
    Module,
    Slot,
    Variant,
)
from odnbench.plan.foreign import source_digest
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NEUTRAL, NONE, TrainSpec, TrialSpec, later_settings, unsaid
from odnbench.plan.weights import weights_digest

ENGINE_VERSION = 5  # raise it whenever the same spec gives other numbers

# Keys of entries that decide no number: what fits together is checked before; the layer that
# model.attach means and the amount that augment.strength means stand in the spec, the member of a
# family in the options.
_PROSE = ("title", "layers", "criterion", "on", "reference", "member", "example")


def trial_id(spec: TrialSpec, registry: Registry, fingerprint: str, teacher: str = "") -> str:
    """The content id of a trial; `fingerprint` is that of the lists of its faces.

    teacher: the content of the spec's teacher (results/teachers.py), if it has one. Raises
    OdnbenchError where the weights file of `spec` is absent, or its URL has no checksum.
    """
    spec = replace_at(spec, "train.teacher", teacher)
    if not teacher:  # whose weight then decides nothing
        spec = replace_at(spec, "train.teacher_weight", TrainSpec.teacher_weight)
    spec = dataclasses.replace(spec, augment=resolved(spec.augment, registry))
    if digest := weights_digest(spec.model.pretrained):
        spec = replace_at(spec, "model.pretrained", f"sha256:{digest}")
    return content_id(
        _canonical_spec(spec, registry),
        _deciding_entries(spec, registry),
        fingerprint,
        ENGINE_VERSION,
    )


def network_id(spec: TrialSpec, registry: Registry, weights: str) -> str:
    """The content id of a trained network; `weights` is a hash of its weights."""
    spec = replace_at(spec, "model.pretrained", NONE)
    return content_id(
        _canonical_spec(spec, registry)["model"], _deciding_entries(spec, registry), weights
    )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(to_mapping(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_id(*parts: Any) -> str:
    """Sixteen hex digits that name the content of `parts`."""
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:16]


def _canonical_spec(spec: TrialSpec, registry: Registry) -> dict[str, Any]:
    """The spec as a mapping in which what gives equal numbers is written alike."""
    named: dict[str, Any] = to_mapping(spec)
    for section, name in unsaid(spec):
        del named[section][name]
    model = named["model"]
    model["attach"] = registry.get(Backbone, spec.model.backbone).layer(spec.model.attach)
    for slot, module in spec.model.modules.items():
        if module == NONE == registry.get(Slot, slot).default:
            del model[slot]  # an empty slot decides nothing
    return named


def _deciding_entries(spec: TrialSpec, registry: Registry) -> dict[str, Any]:
    """The registry entries that decide the numbers of `spec`, and hashes of foreign code."""
    model, protocol = spec.model, registry.get(Protocol, spec.data.protocol)
    variant = registry.get(Variant, spec.variant)
    filled = [slot for name, slot in registry.all(Slot).items() if model.module(name) != NONE]
    built: list[Buildable] = [
        registry.get(Backbone, model.backbone),
        *(registry.get(Module, model.module(slot.name)) for slot in filled),
        registry.get(Head, model.head),
        registry.get(Criterion, spec.loss.criterion),
        *(registry.get(Augmentation, effect) for effect in spec.augment.effects),
    ]
    rules = [protocol, registry.get(BoxRule, protocol.box), registry.get(Scheme, protocol.scheme)]
    used: dict[str, Any] = {
        "network": variant.network,
        "options": variant.options,
        "entries": [_without_prose(entry) for entry in [*built, *rules]],
        # In the order in which the network takes them.
        "slots": [(slot.name, slot.place) for slot in filled],
    }
    targets = [variant.network, *(entry.target for entry in built)]
    if sources := {target: digest for target in targets if (digest := source_digest(target))}:
        used["sources"] = sources
    return used


def _without_prose(entry: Any) -> dict[str, Any]:
    """An entry as a mapping, without the keys that decide no number and the neutral ones that are
    at their defaults.
    """
    neutral = {f.name for f in dataclasses.fields(entry) if f.metadata == NEUTRAL}
    dropped = neutral - set(later_settings(entry))
    return {
        key: value
        for key, value in to_mapping(entry).items()
        if key not in _PROSE and key not in dropped
    }
