"""What a search varies, as a pipeline and the command line ask for it, checked before it begins."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import bound, convert, from_mapping
from odnbench.plan.entries import Backbone, Criterion, Head, LossWeight, Module
from odnbench.plan.fields import Fields, full_key, spec_fields
from odnbench.plan.paths import path_of
from odnbench.plan.registry import Registry
from odnbench.plan.spaces import Parameter, Space
from odnbench.plan.specs import NONE
from odnbench.plan.toml import read_toml


@dataclass(frozen=True)
class Search:
    """The [search] table of a pipeline: what is searched where the command line does not say."""

    trials: int = 40
    space: str = "weights"
    # What of the space is searched, and what beside it that the registry knows a range or choices
    # of: keys of fields, or their last parts. None: the whole space.
    parameters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        bound("search", self, "trials", 1)
        if self.parameters == ():
            raise OdnbenchError(
                "search.parameters names nothing to search; name a parameter, or leave the key out "
                "to search the whole space"
            )


def space_of(search: Search, registry: Registry) -> Space:
    """The space, or the TOML file of one, that `search` names, with what the registry says of its
    open parameters.

    Raises OdnbenchError for whatever is wrong with the space.
    """
    if search.space.endswith(".toml"):
        path = path_of(search.space)
        space = from_mapping(Space, {"name": path.stem, **read_toml(path)}, str(path))
    else:
        space = registry.get(Space, search.space)
    if not space.parameters:
        raise OdnbenchError(f"search space {space.name} has no parameters")
    chosen = space.parameters if search.parameters is None else _chosen(search, space)
    fields, parameters = spec_fields(registry), dict[str, Parameter]()
    for short, parameter in chosen.items():
        where = f"search space {space.name}: {short}"
        key = full_key(short, fields, f"search space {space.name}")
        if key in parameters:
            raise OdnbenchError(f"{where}: is named twice")
        if key in ("seed", "variant", "train.select", "data.train", "data.protocol"):
            raise OdnbenchError(f"{where}: decides what is compared, and cannot be searched")
        if parameter.is_open:
            parameter = _from_registry(key, parameter, registry, where)
        when = _conditions(parameter, parameters, fields, where)
        parameters[key] = dataclasses.replace(_typed(parameter, fields[key], where), when=when)
    return dataclasses.replace(space, parameters=parameters)


def _chosen(search: Search, space: Space) -> dict[str, Parameter]:
    """The parameters that `search` names: those of the space, and others as the registry has
    them.
    """
    by_name = {key.rpartition(".")[2]: parameter for key, parameter in space.parameters.items()}
    chosen = dict[str, Parameter]()
    for name in search.parameters or ():
        if name in chosen:
            raise OdnbenchError(f"search.parameters: '{name}' is named twice")
        chosen[name] = by_name.get(name.rpartition(".")[2], Parameter())
    return chosen


def _from_registry(key: str, parameter: Parameter, registry: Registry, where: str) -> Parameter:
    """An open parameter with what the registry has for the field at `key`."""
    section, _, name = key.rpartition(".")
    if section == "loss" and name in registry.all(LossWeight):
        weight = registry.get(LossWeight, name)
        return dataclasses.replace(
            parameter, low=weight.low, high=weight.high, scale="log", zero=True
        )
    choices: tuple[str, ...] = {
        "model.backbone": tuple(n for n, b in registry.all(Backbone).items() if not b.member),
        "model.head": tuple(registry.all(Head)),
        "loss.criterion": tuple(registry.all(Criterion)),
    }.get(key, ())
    if of_slot := tuple(m.name for m in registry.all(Module).values() if key == f"model.{m.slot}"):
        choices = (NONE, *of_slot)
    if not choices:
        raise OdnbenchError(f"{where}: needs 'choices', or 'low' and 'high'")
    return dataclasses.replace(parameter, choices=choices)


def _typed(parameter: Parameter, kind: Any, where: str) -> Parameter:
    """`parameter` with values of the type `kind` of its field."""
    if parameter.choices:
        choices = tuple(convert(value, kind, where) for value in parameter.choices)
        if not all(isinstance(value, str | int | float | bool) for value in choices):
            raise OdnbenchError(f"{where}: only texts, numbers, true and false can be searched")
        return dataclasses.replace(parameter, choices=choices)
    if kind not in (int, float):
        raise OdnbenchError(f"{where}: is no number, so that it needs 'choices'")
    low, high = (convert(end, kind, where) for end in _ends(parameter, kind))
    return dataclasses.replace(parameter, low=low, high=high, whole=kind is int)


def _ends(parameter: Parameter, kind: type) -> tuple[Any, Any]:
    """The ends of a range as they were written: whole numbers, where they are whole."""
    ends = (parameter.low, parameter.high)
    if kind is int:
        return tuple(int(end) if end == int(end) else end for end in ends)  # type: ignore
    return ends


def _conditions(
    parameter: Parameter, before: Mapping[str, Parameter], fields: Fields, where: str
) -> dict[str, tuple[Any, ...]]:
    """The conditions of `parameter` by dotted keys, each of a parameter that stands `before` it."""
    conditions = {}
    for short, values in parameter.when.items():
        key = full_key(short, fields, f"{where}: when")
        if key not in before:
            raise OdnbenchError(f"{where}: when: {key} must be a parameter that stands before it")
        if absent := [value for value in values if not before[key].has(value)]:
            raise OdnbenchError(f"{where}: when: {key} never is {absent[0]!r}")
        if not values:
            raise OdnbenchError(f"{where}: when: {key} needs at least one value")
        conditions[key] = values
    return conditions
