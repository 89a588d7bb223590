"""Content ids: the name of a trial is the hash of all that decides its numbers.

That is its spec, the registry entries that the spec names, the source code of those that are not
ours, a weights file by its content, the lists of faces, and the version of the engine. No path, no
device and no title is in it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import replace_at, to_mapping
from odnbench.plan.entries import Backbone, Buildable, Criterion, Head, Module, Slot, Variant
from odnbench.plan.foreign import source_digest
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE, TrialSpec

ENGINE_VERSION = 3  # raise it whenever the same spec gives other numbers

# What came after the first ids were given. Such a field is left out of an id where it has the value
# that it stands for, and a target keeps the name that it had, so that no trial is trained again for
# a move. All three end with the next ENGINE_VERSION.
_LATER_FIELDS = {"head": "regression"}
_LATER_KEYS = ("title", "layers")
_MOVED = {
    f"odnbench.networks.modules.{name}": f"odnbench.networks.{name}"
    for name in ("geometry", "distillation", "low_rank")
}


def trial_id(spec: TrialSpec, registry: Registry, fingerprint: str) -> str:
    """The content id of a trial; `fingerprint` is that of the lists of its faces.

    Raises OdnbenchError where its weights file is not there.
    """
    if weights := weights_file(spec):
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        spec = replace_at(spec, "model.pretrained", f"sha256:{digest}")
    return content_id(_named(spec, registry), _used(spec, registry), fingerprint, ENGINE_VERSION)


def weights_file(spec: TrialSpec) -> Path | None:
    """The file that `spec` starts from, if it does; OdnbenchError if it is not there."""
    if spec.model.pretrained in ("none", "imagenet"):
        return None
    path = Path(spec.model.pretrained).expanduser()
    if not path.is_file():
        raise OdnbenchError(
            f"model.pretrained: {path} is not there; give 'none', 'imagenet' or a weights file"
        )
    return path


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(to_mapping(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_id(*parts: Any) -> str:
    """Sixteen hex digits that name the content of `parts`."""
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:16]


def _named(spec: TrialSpec, registry: Registry) -> dict[str, Any]:
    """The spec in which equal networks have equal words."""
    named: dict[str, Any] = to_mapping(spec)
    model = named["model"]
    model["attach"] = registry.get(Backbone, spec.model.backbone).layer(spec.model.attach)
    for slot, module in spec.model.modules.items():
        if module == NONE == registry.get(Slot, slot).default:
            del model[slot]  # as if it had not been spoken of
    for name, value in _LATER_FIELDS.items():
        if model[name] == value:
            del model[name]
    return named


def _used(spec: TrialSpec, registry: Registry) -> dict[str, Any]:
    """The registry entries that decide the numbers of `spec`, and foreign code behind them."""
    model, protocol = spec.model, registry.get(Protocol, spec.data.protocol)
    variant = registry.get(Variant, spec.variant)
    built: list[Buildable] = [
        registry.get(Backbone, model.backbone),
        *(
            registry.get(Module, model.module(slot))
            for slot in registry.all(Slot)
            if model.module(slot) != NONE
        ),
        registry.get(Criterion, spec.loss.criterion),
    ]
    rules = [protocol, registry.get(BoxRule, protocol.box), registry.get(Scheme, protocol.scheme)]
    if model.head != _LATER_FIELDS["head"]:
        built.append(registry.get(Head, model.head))
    used: dict[str, Any] = {
        "network": variant.network,
        "entries": [_without_prose(entry) for entry in [*built, *rules]],
    }
    if variant.options:
        used["options"] = variant.options
    targets = [variant.network, *(entry.target for entry in built)]
    if sources := {target: digest for target in targets if (digest := source_digest(target))}:
        used["sources"] = sources
    return used


def _without_prose(entry: Any) -> dict[str, Any]:
    kept = {key: value for key, value in to_mapping(entry).items() if key not in _LATER_KEYS}
    if "target" in kept:
        module, colon, name = kept["target"].partition(":")
        kept["target"] = f"{_MOVED.get(module, module)}{colon}{name}"
    return kept
