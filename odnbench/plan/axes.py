"""The axes of a pipeline: its trials are the combinations of their points.

A point sets one key, that of its axis, or several keys that change together. An axis of such
points has a name of its own:

    variant = ["cut", "odn"]
    data_term = [{ criterion = "l2" }, { criterion = "wing", unit = "pixels" }]
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import convert
from odnbench.plan.fields import Fields, flat, full_key, spread

Change = Mapping[str, Any]  # dotted key of a trial's spec → value
Axes = Mapping[str, Sequence[Change]]  # name of an axis → its points


def read_axes(table: Mapping[str, Any], fields: Fields, where: str) -> Axes:
    """The axes in the `[axes]` table of a pipeline; `where` names that table in errors.

    Raises OdnbenchError for an axis that is no list, for unknown keys and values of the wrong type,
    and for a key that two axes set.
    """
    axes: dict[str, Sequence[Change]] = {}
    for name, values in spread(table, fields):
        if not isinstance(values, list) or not values:
            raise OdnbenchError(f"{where} {name}: expected a list of values, got {values!r}")
        if all(isinstance(value, Mapping) for value in values):
            changes = [flat(value, fields, f"{where} {name}") for value in values]
        else:
            name = full_key(name, fields, where)
            changes = [{name: value} for value in values]
        known = keys_of(axes)
        for key in keys_of({name: changes}):
            if key in known:
                raise OdnbenchError(f"{where} {name}: {key} is set by another axis; leave one out")
        axes[name] = [
            {key: convert(value, fields[key], f"{where} {key}") for key, value in change.items()}
            for change in changes
        ]
    return axes


def keys_of(axes: Axes) -> set[str]:
    """The dotted keys that any point sets."""
    return {key for changes in axes.values() for change in changes for key in change}


def keys_at_every_point(axes: Axes) -> set[str]:
    """The dotted keys that every point of an axis sets."""
    return {key for own in axes.values() for key in own[0] if all(key in point for point in own)}


def with_axis(axes: Axes, key: str, values: Sequence[Any]) -> Axes:
    """`axes` with an axis of `key` alone in place of the axis that sets it, or else behind all.

    Raises OdnbenchError for a key that only some points of an axis set.
    """
    if key in keys_of(axes) - keys_at_every_point(axes):
        raise OdnbenchError(
            f"-s {key}: some points of an axis set it, so that the others can be given one value "
            "and not several; vary it in a pipeline of its own"
        )
    kept = {(key if key in keys_of({name: own}) else name): own for name, own in axes.items()}
    return kept | {key: [{key: value} for value in values]}


def combinations(axes: Axes) -> Iterator[Change]:
    """Every combination of a point of each axis; the last axis varies fastest."""
    for point in itertools.product(*axes.values()):
        yield {key: value for change in point for key, value in change.items()}
