"""Mappings and texts to frozen dataclasses, checked field by field.

One converter serves the TOML files of registry/ and pipelines/, `-s key=value` on the command line,
and the JSON of trial folders, so that the same mistake gets the same answer everywhere.
A field whose name is a Python keyword carries a trailing underscore in code only: `lambda_`.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from odnbench.errors import OdnbenchError, unknown

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from `values`; `where` names their source in errors.

    Raises OdnbenchError for an unknown key, a missing one, or a value of the wrong type.
    """
    fields = field_types(cls)
    for key in values:
        if key not in fields:
            raise OdnbenchError(f"{where}: {unknown('key', key, fields)}")
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and public_name(f.name) not in values:
            raise OdnbenchError(f"{where}: missing key '{public_name(f.name)}'")
    converted = {
        fields[key][0]: convert(value, fields[key][1], f"{where}: {key}")
        for key, value in values.items()
    }
    try:
        return cls(**converted)
    except OdnbenchError as error:
        raise OdnbenchError(f"{where}: {error}") from error


def to_mapping(value: Any) -> Any:
    """The inverse of `from_mapping`: plain dicts, lists and scalars, ready for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            public_name(f.name): to_mapping(getattr(value, f.name))
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: to_mapping(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_mapping(item) for item in value]
    return value


def convert(value: Any, wanted: Any, where: str) -> Any:
    """`value` as type `wanted` (a scalar, Literal, Optional, tuple, mapping or dataclass)."""
    if type(value) is wanted:  # most values, and looking into a type takes its time
        return value
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return value
    if dataclasses.is_dataclass(wanted):
        if isinstance(value, Mapping):
            return from_mapping(wanted, value, where)  # type: ignore[arg-type]
    elif origin is Literal:
        if value in args:
            return value
        raise OdnbenchError(f"{where}: {unknown('value', str(value), map(str, args))}")
    elif origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return convert(value, inner, where)
    elif origin is tuple:
        if isinstance(value, list | tuple):
            if args[-1] is Ellipsis:
                return tuple(convert(item, args[0], where) for item in value)
            if len(value) == len(args):
                return tuple(convert(v, a, where) for v, a in zip(value, args, strict=True))
    elif origin in (dict, Mapping) or origin is typing.get_origin(Mapping[str, Any]):
        if isinstance(value, Mapping):
            return {key: convert(item, args[1], f"{where}.{key}") for key, item in value.items()}
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
            return wanted(text)
        except ValueError:
            pass
    raise OdnbenchError(f"{where}: expected {_type_name(wanted)}, got '{text}'")


def replace_at(instance: T, key: str, value: Any) -> T:
    """A copy of `instance` in which the field at dotted `key` (as from `leaf_types`) is `value`."""
    head, _, rest = key.partition(".")
    name = field_types(type(instance))[head][0]
    if rest:
        value = replace_at(getattr(instance, name), rest, value)
    return dataclasses.replace(instance, **{name: value})  # type: ignore[type-var]


def get_at(instance: Any, key: str) -> Any:
    """The value at dotted `key`."""
    for part in key.split("."):
        instance = getattr(instance, field_types(type(instance))[part][0])
    return instance


def leaf_types(cls: type) -> dict[str, Any]:
    """Dotted key of every leaf field below dataclass `cls` → its type."""
    return dict(_leaves(cls, ""))


def public_name(field_name: str) -> str:
    """`lambda_` → `lambda`: the name that users read and write."""
    return field_name.rstrip("_")


def field_types(cls: type) -> dict[str, tuple[str, Any]]:
    """Public name of each field of dataclass `cls` → (attribute name, type)."""
    return _field_types(cls)


@cache
def _field_types(cls: Any) -> dict[str, tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    return {public_name(f.name): (f.name, hints[f.name]) for f in dataclasses.fields(cls)}


def _leaves(cls: type, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, (_, kind) in field_types(cls).items():
        if dataclasses.is_dataclass(kind):
            yield from _leaves(kind, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}", kind


def _type_name(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if wanted in names:
        return names[wanted]
    if get_origin(wanted) is tuple:
        return f"a list of {_type_name(get_args(wanted)[0])}"
    if dataclasses.is_dataclass(wanted) or get_origin(wanted) is not None:
        return "a table"
    return str(wanted)
