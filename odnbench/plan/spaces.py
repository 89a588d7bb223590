"""Search spaces: which fields of a trial's spec a search varies, and over what.

    space = space_of(Search(space="weights"), registry)    # plan/searches.py
    space.point_of(spec)              # the point at which a spec lies
    apply(spec, {"loss.eta": 1e-4})   # the spec at another point

A point maps the dotted key of a field to its value. It has no value for a parameter whose
conditions it does not meet.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any, Literal

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import leaves, replace_at
from odnbench.plan.specs import NONE, TrialSpec

Point = Mapping[str, Any]  # dotted key of a trial's spec → value


@dataclass(frozen=True)
class Parameter:
    """What a search tries for one field of a trial's spec: a range of numbers, or choices.

    A parameter without either takes what the registry has for its field: the range of a loss
    weight, the modules of a slot, all backbones, heads or criteria (plan/searches.py).

    A range is uniform on its scale. `zero` adds 0 to a logarithmic range, which switches a term
    off: 0 has as much room as one decade. `when` gives, by the key of another parameter, the values
    for which this one is varied; elsewhere the field keeps what it has in the pipeline.
    """

    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    zero: bool = False
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    # Whether a range has whole numbers alone.
    whole: bool = False

    def __post_init__(self) -> None:
        if self.low is None and self.high is None and not self.zero:
            if len(set(map(repr, self.choices))) < len(self.choices):
                raise OdnbenchError(f"choices must differ, got {list(self.choices)}")
            return
        if self.choices:
            raise OdnbenchError("a parameter has choices or a range, not both")
        if self.low is None or self.high is None:
            raise OdnbenchError("a range needs both 'low' and 'high'")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise OdnbenchError(f"low must be below high, got {self.low:g} and {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise OdnbenchError(f"low must be above 0 on a logarithmic scale, got {self.low:g}")
        if self.zero and (self.scale != "log" or self.whole):
            raise OdnbenchError("'zero' is for numbers on a logarithmic scale")

    @property
    def is_open(self) -> bool:
        """Whether the registry is to say what the parameter ranges over."""
        return self.low is None and not self.choices

    @property
    def range(self) -> tuple[float, float]:
        """The ends of the numbers that are drawn: those below `low` stand for 0."""
        assert self.low is not None and self.high is not None
        return (self.low / 10 if self.zero else self.low), self.high

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The choices, or the ends of the range and the 0 beside it."""
        return self.choices or (self.low, self.high, *([0.0] if self.zero else []))

    def value_of(self, drawn: Any) -> Any:
        """The field's value for which a drawn number or choice stands."""
        return 0.0 if self.zero and self.low is not None and drawn < self.low else drawn

    def drawn_for(self, value: Any) -> Any:
        """A number or choice that stands for the field's `value`: the inverse of `value_of`."""
        return self.range[0] * math.sqrt(10) if self.is_zero(value) else value

    def is_zero(self, value: Any) -> bool:
        """Whether `value` is the 0 beside a logarithmic range."""
        return self.zero and value == 0

    def has(self, value: Any) -> bool:
        """Whether a search may come to `value`."""
        if self.choices:
            return value in self.choices
        return self.is_zero(value) or (
            (isinstance(value, int | float) and self.low is not None and self.high is not None)
            and self.low <= value <= self.high
        )


@dataclass(frozen=True)
class Space:
    """A search space of the registry: parameters by the keys of their fields."""

    name: str
    title: str
    parameters: Mapping[str, Parameter]

    def active(self, point: Point) -> Iterator[tuple[str, Parameter]]:
        """The parameters whose conditions `point` meets, in their order.

        `point` may be filled while they are walked through.
        """
        for key, parameter in self.parameters.items():
            if all(point.get(other) in values for other, values in parameter.when.items()):
                yield key, parameter

    def point_of(self, spec: TrialSpec) -> dict[str, Any]:
        """The point at which `spec`, whose augmentation has every amount named, lies.

        Raises OdnbenchError where the space does not have a value of `spec`.
        """
        point: dict[str, Any] = {}
        values = leaves(spec)
        for key, parameter in self.active(point):
            value = values.get(key, NONE)  # a slot that is not spoken of is empty
            if not parameter.has(value):
                raise OdnbenchError(
                    f"search space {self.name}: {key} is {value!r} in the pipeline, which the "
                    f"space does not have; widen the space, or add -s {key}=…"
                )
            point[key] = value
        return point

    def neighbours(self, spec: TrialSpec) -> Iterator[tuple[str, TrialSpec]]:
        """(key, `spec` with another value at that key): the ends of each range, its 0, and each
        choice. The conditions of the parameter are met as well.
        """
        return self._near(spec, 1)

    def pairs(self, spec: TrialSpec) -> Iterator[tuple[str, TrialSpec]]:
        """The same of each two parameters that can vary together, named "key and key"."""
        return self._near(spec, 2)

    def _near(self, spec: TrialSpec, count: int) -> Iterator[tuple[str, TrialSpec]]:
        backwards = [*self.parameters.items()][::-1]  # a condition names an earlier parameter
        for chosen in combinations(self.parameters.items(), count):
            keys = [key for key, _ in chosen]
            met: dict[str, Any] = {}
            for key, parameter in backwards:
                if key in keys or key in met:
                    met |= {k: values[0] for k, values in parameter.when.items() if k not in met}
            for values in product(*(parameter.extremes for _, parameter in chosen)):
                point = {**met, **dict(zip(keys, values, strict=True))}
                if point.keys() <= {key for key, _ in self.active(point)}:
                    yield " and ".join(keys), apply(spec, point)

    def mapped(self, change: Callable[[str, Any], Any]) -> "Space":
        """The space with `change(key, value)` in the place of each choice, of conditions too."""

        def changed(key: str, values: Iterable[Any]) -> tuple[Any, ...]:
            return tuple(change(key, value) for value in values)

        parameters = {
            key: replace(
                own,
                choices=changed(key, own.choices),
                when={other: changed(other, values) for other, values in own.when.items()},
            )
            for key, own in self.parameters.items()
        }
        return replace(self, parameters=parameters)


def apply(spec: TrialSpec, point: Point) -> TrialSpec:
    """`spec` with the values of `point`."""
    for key, value in point.items():
        spec = replace_at(spec, key, value)
    return spec
