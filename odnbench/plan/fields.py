"""The fields of a trial's spec, by the keys under which people name them."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import leaf_types
from odnbench.plan.entries import Augmentation, Slot
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec

Fields = Mapping[str, Any]  # dotted key → type


def spec_fields(registry: Registry) -> Fields:
    """Dotted key → type, of every field of a trial's spec; each slot and each effect of `registry`
    is a field. A field that need not be set has the type that it has where it is.
    """
    slots = {f"model.{slot}": str for slot in registry.all(Slot)}
    effects = {f"augment.{effect}": float for effect in registry.all(Augmentation)}
    kinds = {
        key: next(iter({*get_args(kind)} - {NoneType})) if get_origin(kind) is UnionType else kind
        for key, kind in leaf_types(TrialSpec).items()
    }
    return {**kinds, **slots, **effects}


def full_key(key: str, fields: Fields, where: str) -> str:
    """The dotted key that `key` stands for: `key` itself, or the only one of that last part."""
    if key in fields:
        return key
    matches = [full for full in fields if full.rpartition(".")[2] == key]
    if len(matches) == 1:
        return matches[0]
    raise OdnbenchError(f"{where}: {unknown('key', key, fields)}")


def flat(table: Mapping[str, Any], fields: Fields, where: str) -> dict[str, Any]:
    """A nested TOML table as dotted key of a trial's spec → value.

    Raises OdnbenchError for a key that is unknown, or stands there twice, in full and in short.
    """
    values: dict[str, Any] = {}
    for key, value in spread(table, fields):
        full = full_key(key, fields, where)
        if full in values:
            raise OdnbenchError(
                f"{where}: {full} is set twice, once by a short name; leave one out"
            )
        values[full] = value
    return values


def spread(table: Mapping[str, Any], fields: Fields, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Key → value of a nested TOML table, the keys joined by dots behind `prefix` as they stand."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in fields:
            yield from spread(value, fields, f"{key}.")
        else:
            yield key, value
