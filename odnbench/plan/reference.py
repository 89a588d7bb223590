"""The reference of a pipeline: the row of its report that the other rows are compared with.

It is the name of a variant, or, where a variant has several rows, a table of what the trials of the
row have: `reference = { variant = "cut", "model.head" = "regression" }`. "first row" is that of the
plan's first trial, whatever it is trained with. Where overrides make several rows of what it names,
it is the first of them.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import convert, leaves
from odnbench.plan.fields import flat, spec_fields
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE, TrialSpec, differing_fields

FIRST_ROW = "first row"
# How notes of a plan begin that tell of its reference.
NOT_COMPARED = "no row is compared with another: "
FIRST_OF_SEVERAL = "rows are compared with the first of several: "


def resolved_reference(
    written: str | Mapping[str, Any], specs: Sequence[TrialSpec], registry: Registry
) -> str | Mapping[str, Any]:
    """A reference as it is written; where that is several rows of `specs`, what tells the first of
    them from the others.
    """
    if not written or len((reference := Reference(written, registry)).rows(specs)) < 2:
        return written
    return reference.first(specs)


class Reference:
    """A reference as a pipeline writes it, in terms of the specs of trials.

    Raises OdnbenchError for an unknown key, a value of the wrong type, and a seed.
    """

    def __init__(self, written: str | Mapping[str, Any], registry: Registry):
        table = {"variant": written} if isinstance(written, str) else written
        if written == FIRST_ROW:
            table = {}  # of all rows, the first
        fields = spec_fields(registry)
        # Dotted key → value.
        self.values: dict[str, Any] = {
            key: convert(value, fields[key], f"reference: {key}")
            for key, value in flat(table, fields, "reference").items()
        }
        if "seed" in self.values:
            raise OdnbenchError("reference: a row holds all of its seeds; leave 'seed' out")

    def __str__(self) -> str:
        return _written(self.values)

    def rows(self, specs: Iterable[TrialSpec]) -> list[TrialSpec]:
        """The rows that have what the reference names, each as a spec with the seed 0."""
        return [
            spec
            for spec in dict.fromkeys(dataclasses.replace(spec, seed=0) for spec in specs)
            if self.values.items() <= _values_at(self.values, spec).items()
        ]

    def first(self, specs: Iterable[TrialSpec]) -> dict[str, Any]:
        """Dotted key → value, of what the first of its rows has and the others have not."""
        found = self.rows(specs)
        return self.values | _values_at(differing_fields(found), found[0])

    def fault(self, specs: Iterable[TrialSpec]) -> str:
        """Why the rows of `specs` cannot be compared with the reference: it is none of them, or
        several; "" where it is one, and where it names nothing and so is the first.
        """
        specs = list(specs)
        found = self.rows(specs)
        if len(found) == 1 or not self.values:
            return ""
        if not found:
            others = [
                {key: value for key, value in own.items() if value != self.values[key]}
                for own in (_values_at(self.values, spec) for spec in specs)
            ]
            fewest = min(map(len, others))
            nearest = dict.fromkeys(_written(own) for own in others if len(own) == fewest)
            return f"reference {self} is none of the rows; the nearest have {'; '.join(nearest)}"
        return (
            f"reference {self} is {len(found)} rows; name one of them, as in reference = "
            f"{{ {_written(self.first(specs))} }}"
        )


def _values_at(keys: Iterable[str], spec: TrialSpec) -> dict[str, Any]:
    """Dotted key → value, of what `spec` has at `keys`; an empty slot is "none", and an effect that
    is not named has no amount.
    """
    own = {key: value for key, value in leaves(spec).items() if value is not None}
    return {key: own.get(key, NONE if key.startswith("model.") else 0.0) for key in keys}


def _written(values: Mapping[str, Any]) -> str:
    """Keys and values as in a pipeline's file."""
    return ", ".join(
        f"{json.dumps(key) if '.' in key else key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
    )
