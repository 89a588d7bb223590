"""Titles of trials, of one line, made from their specs; no title is ever parsed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.conversion import get_at, leaves
from odnbench.plan.entries import LossWeight, Slot, Variant
from odnbench.plan.pipelines import differing_fields
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE, TrialSpec


def distinguishing_keys(specs: Iterable[TrialSpec]) -> tuple[str, ...]:
    """The dotted keys in which trials of one variant differ.

    Keys that differ only between variants are left out: the titles of the variants tell them apart.
    """
    by_variant: dict[str, list[TrialSpec]] = defaultdict(list)
    for spec in specs:
        by_variant[spec.variant].append(spec)
    return tuple(
        dict.fromkeys(key for group in by_variant.values() for key in differing_fields(group))
    )


def trial_title(spec: TrialSpec, registry: Registry, keys: Iterable[str]) -> str:
    """The variant's title, the modules that stand in the slots in place of the variant's own, and
    the values at `keys`.

    The variant's name takes the place of its title where `registry` does not know the variant.
    """
    title, own = spec.variant, set[str]()
    with suppress(OdnbenchError):
        variant = registry.get(Variant, spec.variant)
        title, own = variant.title, {key.rpartition(".")[2] for key in variant.changes}
    slots = registry.all(Slot)
    others = [
        f"model.{slot}"
        for slot, module in spec.model.modules.items()
        if slot not in own and module != (slots[slot].default if slot in slots else NONE)
    ]
    values = leaves(spec)
    said = dict.fromkeys([*others, *keys])
    told = [title, *(f"{k.rpartition('.')[2]} {values.get(k, NONE)}" for k in said)]
    return one_line(", ".join(told))


def weights_title(spec: TrialSpec, registry: Registry, names: Sequence[str]) -> str:
    """The values of the loss weights `names`, marked "(paper)" where they are the paper's."""
    weights = [(registry.get(LossWeight, name), get_at(spec, f"loss.{name}")) for name in names]
    title = one_line(" ".join(f"{weight.symbol}={value:.1e}" for weight, value in weights))
    return f"{title} (paper)" if has_paper_weights(spec, registry, names) else title


def has_paper_weights(spec: TrialSpec, registry: Registry, names: Iterable[str]) -> bool:
    """Whether the loss weights `names` of a trial are the registry's defaults, the paper's."""
    return all(
        get_at(spec, f"loss.{name}") == registry.get(LossWeight, name).default for name in names
    )
