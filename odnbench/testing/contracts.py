"""Which contract each family of the registry has, and how the contracts are run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from odnbench.engine.check import in_threads
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import FAMILIES, Registry
from odnbench.testing.augmentations import check_augmentation
from odnbench.testing.data import check_box, check_dataset, check_map, check_protocol, check_scheme
from odnbench.testing.networks import (
    check_backbone,
    check_criterion,
    check_head,
    check_module,
    check_slot,
    check_space,
    check_variant,
    check_weight,
)
from odnbench.testing.numbers import check_format, check_metric, check_published

# A contract takes the registry and the name of an entry, and raises whatever is wrong with it. It
# returns what of the entry cannot be checked, or "".
Contract = Callable[[Registry, str], str]

CONTRACTS: Mapping[str, Contract] = {
    "backbones": check_backbone,
    "slots": check_slot,
    "modules": check_module,
    "heads": check_head,
    "variants": check_variant,
    "criteria": check_criterion,
    "weights": check_weight,
    "augmentations": check_augmentation,
    "spaces": check_space,
    "datasets": check_dataset,
    "schemes": check_scheme,
    "maps": check_map,
    "boxes": check_box,
    "protocols": check_protocol,
    "metrics": check_metric,
    "formats": check_format,
    "published": check_published,
}


@dataclass(frozen=True)
class Finding:
    """What the contract of an entry found."""

    family: str
    name: str
    fault: str = ""  # names file, entry, rule, value and cure; "" where nothing is wrong
    # What of the entry cannot be checked, and which shipped entry's place it takes.
    remark: str = ""


def check_entry(registry: Registry, family: str, name: str) -> str:
    """Runs the contract of `family` on its entry `name`, or on the example of an entry that has
    members.

    Returns what of the entry cannot be checked, or ""; an entry with members may need a library
    that is absent. Raises OdnbenchError that names the entry, its file, and the rule that it
    breaks; an exception of the entry's own code is its cause.
    """
    entry: Any = registry.get(FAMILIES[family], name)
    example = getattr(entry, "example", "")
    try:
        # Tiny inputs are not worth more threads, and a contract finds the same each time.
        with in_threads(1), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CONTRACTS[family](registry, f"{name}:{example}" if example else name)
    except Exception as error:
        if example and (absent := _absent_library(error)):
            return f"not tried: {absent}"
        reason = " ".join(str(error).split())  # a fault is one line
        reason = reason.removeprefix(f"{family}: {name}: ")
        if not isinstance(error, OdnbenchError):
            reason = f"{type(error).__name__}: {reason}"
        origin = registry.origins.get((family, name))
        where = f"{origin.file}: {name}" if origin else f"{family} '{name}'"
        raise OdnbenchError(f"{where}: {reason}") from error


def _absent_library(error: BaseException | None) -> str:
    """What a library's import told that led to `error`; "" where none did."""
    while error is not None:
        if isinstance(error, ImportError):
            return str(error)
        error = error.__cause__
    return ""


def check_registry(
    registry: Registry, only: Iterable[tuple[str, str]] | None = None
) -> Iterator[Finding]:
    """A finding for each of the entries `only` (family, name), or for all of `registry`, as soon as
    there is one.
    """
    everything = ((family, name) for family in FAMILIES for name in registry.entries[family])
    for family, name in everything if only is None else only:
        origin = registry.origins.get((family, name))
        replaced = origin.replaced if origin else None
        replaces = f"takes the place of the one in {replaced}" if replaced else ""
        try:
            unchecked = check_entry(registry, family, name)
        except OdnbenchError as error:
            yield Finding(family, name, str(error), replaces)
        else:
            yield Finding(family, name, "", "; ".join(filter(None, [unchecked, replaces])))


def check_added(registry: Registry, folders: Iterable[Path] = ()) -> Iterator[Finding]:
    """A finding for each entry of `registry` that plug-ins and `folders` added to it, or for all of
    its entries where nothing was added.

    folders: those that the registry was loaded with. Raises OdnbenchError for a folder from which
    no entry was read.
    """
    sources = {registry.origins[key].source for key in registry.added}
    for folder in folders:
        if str(folder) not in sources:
            raise OdnbenchError(
                f"{folder}: no entry was read from it; entries stand in FAMILY.toml, where FAMILY "
                f"is one of {', '.join(FAMILIES)}"
            )
    yield from check_registry(registry, registry.added or None)
