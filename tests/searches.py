"""Searches over functions of which the smallest value is known, through the studies of `tune`."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from odnbench.plan.spaces import Parameter, Space
from odnbench.results.searches import SearchSettings
from odnbench.sweep.study import Asked, Design, Study, open_study

EPOCHS = 9

PLANE = Space(
    "plane",
    "",
    {"x": Parameter(low=-5.0, high=10.0), "y": Parameter(low=0.0, high=15.0)},
)
# Of two families, "far" has a parameter of its own and the smaller values.
FAMILIES = Space(
    "families",
    "",
    {
        "family": Parameter(choices=("near", "far")),
        "x": Parameter(low=-5.0, high=10.0),
        "rate": Parameter(low=1e-4, high=1.0, scale="log", when={"family": ("far",)}),
    },
)


def branin(point: Mapping[str, Any]) -> float:
    """Branin and Hoo 1972; its smallest value, at three places, is 0.397887."""
    x, y = point["x"], point["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def families(point: Mapping[str, Any]) -> float:
    """Its smallest value is 0, for the family "far" at x = 2 and rate = 0.01."""
    if point["family"] == "near":
        return float(5 + abs(point["x"] - 2))
    return float(abs(point["x"] - 2) + (math.log10(point["rate"]) + 2) ** 2)


def design(
    space: Space = PLANE,
    settings: SearchSettings | None = None,
    *,
    trials: int = 12,
    name: str = "made",
    defaults: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Design:
    if defaults is None:
        defaults = {"x": 0.0, "y": 0.0} if space is PLANE else {"family": "near", "x": 0.0}
    spec = {"train.epochs": EPOCHS, "seed": 0, **changes}
    settings = settings or SearchSettings(prune_from=1 / 3)
    return Design(name, "plan", spec, space, defaults, settings, EPOCHS, trials)


def opened(folder: Path, of: Design | None = None) -> AbstractContextManager[Study]:
    return open_study(of or design(), folder)


def curve(value: float) -> list[float]:
    """The error of each epoch of a training that ends with `value`."""
    return [value + 10 / epoch - 10 / EPOCHS for epoch in range(1, EPOCHS + 1)]


def train(study: Study, asked: Asked, function: Callable[[Mapping[str, Any]], float]) -> None:
    """As an executor does it: an epoch after the other, until the study stops the trial."""
    study.begin(asked, f"trial-{asked.number}-{asked.repeat}")
    value = function(asked.point)
    values = curve(value)
    for epoch in range(1, EPOCHS):
        if study.report(asked, values[:epoch]):
            return
    study.complete(asked, [value], values)


def run(study: Study, function: Callable[[Mapping[str, Any]], float], count: int = 1000) -> None:
    """Trains what the study asks for, `count` trials at most."""
    for _ in range(count):
        if (asked := study.ask()) is None:
            return
        train(study, asked, function)
