"""Titles of trials, of one line, made from their specs; no title is ever parsed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.conversion import leaves
from odnbench.plan.entries import LossWeight, Slot, Variant
from odnbench.plan.registry import Registry
from odnbench.plan.spaces import Point
from odnbench.plan.specs import NONE, TrialSpec, differing_fields


def trial_titles(specs: Sequence[TrialSpec], registry: Registry) -> list[str]:
    """A title for each of `specs`: the variant's, the modules that stand in the slots in place of
    the variant's own, whether there is a flip test or a teacher, and whatever else differs among
    specs of one variant, unless it is what this variant is defined by, or what more than half of
    the specs have that could tell it. The titles of the variants tell what differs between variants
    alone.

    A number of a flip test is unlike one without, and a teacher is more than the variant: each row
    says so, whether the others have it or not. The variant's name takes the place of its title
    where `registry` does not know the variant.
    """
    by_variant: dict[str, list[TrialSpec]] = defaultdict(list)
    for spec in specs:
        by_variant[spec.variant].append(spec)
    differing = {variant: differing_fields(group) for variant, group in by_variant.items()}
    keys = dict.fromkeys(key for group in differing.values() for key in group)
    values = [_told(spec, registry, keys, differing[spec.variant]) for spec in specs]
    counts = Counter(item for own in values for item in own.items() if item[0] in keys)
    told = Counter(key for own in values for key in own)
    usual = {item for item, count in counts.items() if 2 * count > told[item[0]]}
    return [
        _title(spec, registry, [item for item in own.items() if item not in usual])
        for spec, own in zip(specs, values, strict=True)
    ]


def _told(
    spec: TrialSpec, registry: Registry, keys: Iterable[str], differing: Iterable[str]
) -> dict[str, Any]:
    """Dotted key → value, of the modules that are not their slot's default, and of those of `keys`
    that the variant does not set, or in which its specs are `differing` all the same.
    """
    own = set[str]()
    with suppress(OdnbenchError):
        own = {key.rpartition(".")[2] for key in registry.get(Variant, spec.variant).changes}
    slots = registry.all(Slot)
    others = [
        f"model.{slot}"
        for slot, module in spec.model.modules.items()
        if slot not in own and module != (slots[slot].default if slot in slots else NONE)
    ]
    values = leaves(spec)
    return {
        key: values.get(key, NONE)
        for key in dict.fromkeys([*others, *keys])
        if key != "data.flip_test" and (key in differing or key.rpartition(".")[2] not in own)
    }


def _title(spec: TrialSpec, registry: Registry, values: Iterable[tuple[str, Any]]) -> str:
    """The title of `spec`, with these keys and values."""
    title = spec.variant
    with suppress(OdnbenchError):
        title = registry.get(Variant, spec.variant).title
    told = [title]
    if spec.data.flip_test:
        told.append("flip test")
    if spec.train.teacher and spec.train.epochs:
        told.append(f"taught by {PurePath(spec.train.teacher).name}")
    told += [f"{key.rpartition('.')[2]} {value}" for key, value in values]
    return one_line(", ".join(told))


def point_title(point: Point, registry: Registry) -> str:
    """A point of a search space: each value behind the symbol of its loss weight, or behind the
    last part of its key.
    """
    weights = registry.all(LossWeight)
    told = []
    for key, value in point.items():
        section, _, name = key.rpartition(".")
        if section == "loss" and name in weights:
            told.append(
                f"{weights[name].symbol}={value:.1e}" if value else f"{weights[name].symbol}=0"
            )
        else:
            told.append(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}")
    return one_line(" ".join(told))
