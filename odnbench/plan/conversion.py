"""Mappings and texts to frozen dataclasses, checked field by field.

One converter serves the TOML files of registry/ and pipelines/, `-s key=value` on the command line,
and the JSON of trial folders, so that the same mistake gets the same answer everywhere.
A field whose name is a Python keyword carries a trailing underscore in code only: `lambda_`.
A mapping that is declared with `field(metadata=INLINE)` holds keys that are not known beforehand;
in files those keys stand beside the other fields, not in a table of their own.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from odnbench.errors import OdnbenchError, unknown

T = TypeVar("T")
INLINE = {"inline": True}


class Names(dict[str, str]):
    """A mapping from name to name that nobody changes once it is made, so that it has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class Amounts(dict[str, float]):
    """A mapping from name to number that nobody changes once it is made, so that it has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from `values`; `where` names their source in errors.

    Raises OdnbenchError for an unknown key, a missing one, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):  # a file may hold anything
        raise OdnbenchError(f"{where}: expected a table, got {values!r}")
    fields, inline = field_types(cls), _inline_field(cls)
    for key in values:
        if key not in fields and inline is None:
            raise OdnbenchError(f"{where}: {unknown('key', key, fields)}")
    for key in _required(typing.cast(Any, cls)):
        if key not in values:
            raise OdnbenchError(f"{where}: missing key '{key}'")
    converted = {}
    for key, value in values.items():
        if key in fields:
            name, kind = fields[key]
            # Most values are of their type already.
            as_is = type(value) is kind
            converted[name] = value if as_is else convert(value, kind, f"{where}: {key}")
    if inline is not None:
        kind = _type_hints(typing.cast(Any, cls))[inline]
        others = {key: value for key, value in values.items() if key not in fields}
        converted[inline] = convert(others, kind, where)
    try:
        return cls(**converted)
    except OdnbenchError as error:
        raise OdnbenchError(f"{where}: {error}") from error


def to_mapping(value: Any) -> Any:
    """The inverse of `from_mapping`: plain dicts, lists and scalars, ready for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inline = _inline_field(type(value))
        beside = {} if inline is None else getattr(value, inline)
        return {
            public_name(f.name): to_mapping(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != inline
        } | {key: to_mapping(item) for key, item in beside.items()}
    if isinstance(value, Mapping):
        return {key: to_mapping(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_mapping(item) for item in value]
    return value


def convert(value: Any, wanted: Any, where: str) -> Any:
    """`value` as type `wanted` (a scalar, Literal, Optional, tuple, mapping or dataclass)."""
    if type(value) is wanted or wanted is Any:  # as most values are
        return value
    is_dataclass, origin, args = _parts_of(wanted)
    if is_dataclass:
        if isinstance(value, Mapping):
            return from_mapping(wanted, value, where)
    elif origin is Literal:
        if value in args:
            return value
        raise OdnbenchError(f"{where}: {unknown('value', str(value), map(str, args))}")
    elif origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        kinds = [arg for arg in args if arg is not type(None)]  # one, or a text and a table
        return convert(value, kinds[-1 if isinstance(value, Mapping) else 0], where)
    elif origin is tuple:
        if isinstance(value, list | tuple):
            if args[-1] is Ellipsis:
                return tuple(convert(item, args[0], where) for item in value)
            if len(value) == len(args):
                return tuple(convert(v, a, where) for v, a in zip(value, args, strict=True))
    elif origin in (dict, Mapping):
        if isinstance(value, Mapping):
            return {key: convert(item, args[1], f"{where}.{key}") for key, item in value.items()}
    elif wanted in (Names, Amounts):
        if isinstance(value, Mapping):
            kind = str if wanted is Names else float
            items = {key: convert(item, kind, f"{where}.{key}") for key, item in value.items()}
            return wanted(items)
    elif wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise OdnbenchError(f"{where}: expected {_type_name(wanted)}, got {value!r}")


def parse(text: str, wanted: Any, where: str) -> Any:
    """The value that `text`, typed on a command line, means for a field of type `wanted`."""
    origin, args = get_origin(wanted), get_args(wanted)
    if origin is tuple:
        items = [item.strip() for item in text.split(",") if item.strip()]
        inner = args[0]
        return convert([parse(item, inner, where) for item in items], wanted, where)
    if origin is Literal or wanted is str:
        return convert(text, wanted, where)
    if wanted is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if wanted in (int, float):
        try:
            number = float(text) if wanted is float else int(text)
        except ValueError:
            pass
        else:
            if isinstance(number, int) and number.bit_length() > 63:
                raise OdnbenchError(f"{where}: must be a number that 64 bits hold, got '{text}'")
            if not math.isfinite(number):
                raise OdnbenchError(f"{where}: must be a finite number, got '{text}'")
            return number
    raise OdnbenchError(f"{where}: expected {_type_name(wanted)}, got '{text}'")


def replace_at(instance: T, key: str, value: Any) -> T:
    """A copy of `instance` in which the field at dotted `key` (as from `leaf_types`) is `value`."""
    head, _, rest = key.partition(".")
    fields = field_types(type(instance))
    if head in fields:
        name = fields[head][0]
        if rest:
            value = replace_at(getattr(instance, name), rest, value)
    else:
        name = _inline_name(type(instance), head)
        beside = getattr(instance, name)
        value = type(beside)({**beside, head: value})
    return dataclasses.replace(instance, **{name: value})  # type: ignore[type-var]


def get_at(instance: Any, key: str) -> Any:
    """The value at dotted `key` (as from `leaves`) below a dataclass instance."""
    for part in key.split("."):
        fields = field_types(type(instance))
        if part in fields:
            instance = getattr(instance, fields[part][0])
        else:
            instance = getattr(instance, _inline_name(type(instance), part))[part]
    return instance


def leaf_types(cls: type) -> dict[str, Any]:
    """Dotted key → type, of every leaf field below dataclass `cls`.

    Keys of inline mappings are left out: the class does not name them.
    """
    return dict(_leaf_types(cls, ""))


def leaves(instance: Any) -> dict[str, Any]:
    """Dotted key → value, of every leaf below a dataclass instance, inline keys included."""
    return dict(_leaf_values(instance, ""))


def public_name(field_name: str) -> str:
    """`lambda_` → `lambda`: the name that users read and write."""
    return field_name.rstrip("_")


def field_types(cls: type) -> dict[str, tuple[str, Any]]:
    """Public name → (attribute name, type), of each field of dataclass `cls` but an inline one."""
    return _field_types(cls)


@cache
def _parts_of(wanted: Any) -> tuple[bool, Any, tuple[Any, ...]]:
    """Whether a type is a dataclass, its origin and its arguments: looking takes microseconds."""
    return dataclasses.is_dataclass(wanted), get_origin(wanted), get_args(wanted)


@cache
def _type_hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@cache
def _field_types(cls: Any) -> dict[str, tuple[str, Any]]:
    hints = _type_hints(cls)
    return {
        public_name(f.name): (f.name, hints[f.name])
        for f in dataclasses.fields(cls)
        if f.metadata != INLINE
    }


@cache
def _required(cls: Any) -> tuple[str, ...]:
    """The public names of the fields that have no default."""
    return tuple(
        public_name(f.name)
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if f.metadata != INLINE
    )


def _inline_field(cls: type) -> str | None:
    """The name of the inline field of dataclass `cls`; None for a class without one."""
    return _inline_field_of(cls)


@cache
def _inline_field_of(cls: Any) -> str | None:
    return next((f.name for f in dataclasses.fields(cls) if f.metadata == INLINE), None)


def _inline_name(cls: type, key: str) -> str:
    name = _inline_field(cls)
    if name is None:
        raise KeyError(key)
    return name


def _leaf_types(cls: type, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, (_, kind) in field_types(cls).items():
        if dataclasses.is_dataclass(kind):
            yield from _leaf_types(kind, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}", kind


def _leaf_values(instance: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    inline = _inline_field(type(instance))
    for name, (attribute, kind) in field_types(type(instance)).items():
        value = getattr(instance, attribute)
        if dataclasses.is_dataclass(kind):
            yield from _leaf_values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
    if inline is not None:
        for key, value in getattr(instance, inline).items():
            yield f"{prefix}{key}", value


def _type_name(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if wanted in names:
        return names[wanted]
    if get_origin(wanted) is tuple:
        return f"a list of {_type_name(get_args(wanted)[0])}"
    if dataclasses.is_dataclass(wanted) or get_origin(wanted) is not None:
        return "a table"
    return str(wanted)


def bound(section: str, spec: object, name: str, low: float, high: float = math.inf) -> None:
    """Raises OdnbenchError unless the field `name` of `spec` is finite and in [low, high]."""
    value = getattr(spec, name)
    if not math.isfinite(value):
        raise OdnbenchError(f"{section}.{public_name(name)} must be a finite number, got {value}")
    if not low <= value <= high:
        rule = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise OdnbenchError(f"{section}.{public_name(name)} must be {rule}, got {value}")
