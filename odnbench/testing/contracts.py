"""Which contract each family of the registry has, and how the contracts are run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from odnbench.engine.check import in_threads
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import FAMILIES, Registry
from odnbench.testing.data import check_box, check_dataset, check_protocol, check_scheme
from odnbench.testing.networks import (
    check_backbone,
    check_criterion,
    check_head,
    check_module,
    check_slot,
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
    "datasets": check_dataset,
    "schemes": check_scheme,
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
    remark: str = ""  # what of the entry cannot be checked


def check_entry(registry: Registry, family: str, name: str) -> str:
    """Runs the contract of `family` on its entry `name`.

    Returns what of the entry cannot be checked, or "". Raises OdnbenchError that names the entry,
    its file, and the rule that it breaks; an exception of the entry's own code is its cause.
    """
    registry.get(FAMILIES[family], name)
    try:
        # Tiny inputs are not worth more threads, and a contract finds the same each time.
        with in_threads(1), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CONTRACTS[family](registry, name)
    except Exception as error:
        reason = " ".join(str(error).split())  # a fault is one line
        if not isinstance(error, OdnbenchError):
            reason = f"{type(error).__name__}: {reason}"
        origin = registry.origins.get((family, name))
        where = f"{origin.file}: {name}" if origin else f"{family} '{name}'"
        raise OdnbenchError(f"{where}: {reason}") from error


def check_registry(
    registry: Registry, only: Iterable[tuple[str, str]] | None = None
) -> Iterator[Finding]:
    """A finding for each of the entries `only` (family, name), or for all of `registry`, as soon as
    there is one.
    """
    everything = ((family, name) for family in FAMILIES for name in registry.entries[family])
    for family, name in everything if only is None else only:
        try:
            yield Finding(family, name, remark=check_entry(registry, family, name))
        except OdnbenchError as error:
            yield Finding(family, name, fault=str(error))
