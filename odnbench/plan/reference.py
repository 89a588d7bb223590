"""The reference of a pipeline: the row of its report that the other rows are compared with.

It is the name of a variant, or, where a variant has several rows, a table of what the trials of the
row have: `reference = { variant = "cut", "model.head" = "regression" }`. "first row" is that of the
plan's first trial, whatever it is trained with.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import convert, leaves
from odnbench.plan.fields import flat, spec_fields
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE, TrialSpec, differing_fields

FIRST_ROW = "first row"
NOT_COMPARED = "no row is compared with another: "  # a note of a plan, before the reason


def resolved_reference(
    written: str | Mapping[str, Any], specs: Iterable[TrialSpec]
) -> str | Mapping[str, Any]:
    """A reference as it is written; of "first row", what tells that row of `specs` from others."""
    if written != FIRST_ROW:
        return written
    rows = list(dict.fromkeys(dataclasses.replace(spec, seed=0) for spec in specs))
    return _values_at(differing_fields(rows), rows[0])


class Reference:
    """A reference as a pipeline writes it, in terms of the specs of trials.

    Raises OdnbenchError for an unknown key, a value of the wrong type, and a seed.
    """

    def __init__(self, written: str | Mapping[str, Any], registry: Registry):
        table = {"variant": written} if isinstance(written, str) else written
        fields = spec_fields(registry)
        # Dotted key → value.
        self.values: dict[str, Any] = {
            key: convert(value, fields[key], f"reference: {key}")
            for key, value in flat(table, fields, "reference").items()
        }
        if "seed" in self.values:
            raise OdnbenchError("reference: a row holds all of its seeds; leave 'seed' out")

    @classmethod
    def named(cls, written: str | Mapping[str, Any], registry: Registry) -> "Reference | None":
        """What a reference names; None where it names nothing: "", and "first row"."""
        return None if written in ("", FIRST_ROW) else cls(written, registry)

    def __str__(self) -> str:
        return _written(self.values)

    def rows(self, specs: Iterable[TrialSpec]) -> list[TrialSpec]:
        """The rows that have what the reference names, each as a spec with the seed 0."""
        return [
            spec
            for spec in dict.fromkeys(dataclasses.replace(spec, seed=0) for spec in specs)
            if self.values.items() <= _values_at(self.values, spec).items()
        ]

    def fault(self, specs: Iterable[TrialSpec]) -> str:
        """Why the rows of `specs` cannot be compared with the reference: it is none of them, or
        several; "" where it is one.
        """
        specs = list(specs)
        found = self.rows(specs)
        if len(found) == 1:
            return ""
        if not found:
            others = [
                {key: value for key, value in own.items() if value != self.values[key]}
                for own in (_values_at(self.values, spec) for spec in specs)
            ]
            fewest = min(map(len, others))
            nearest = dict.fromkeys(_written(own) for own in others if len(own) == fewest)
            return f"reference {self} is none of the rows; the nearest have {'; '.join(nearest)}"
        values = self.values | _values_at(differing_fields(found), found[0])
        return (
            f"reference {self} is {len(found)} rows; name one of them, as in reference = "
            f"{{ {_written(values)} }}"
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
