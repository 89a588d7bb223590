"""Disturbances of test faces: occluders pasted on them, and boxes that are off.

A pipeline names levels of each kind; every trial then predicts its test faces once more for each
level above 0, by the network that it has trained. Level 0 are the test faces as they are. What a
level means in pixels is in engine/disturb.py. A disturbance is no part of a trial: other levels
leave the ids of trials, and so what was trained, as they are.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.ids import content_id
from odnbench.plan.protocols import BoxRule
from odnbench.plan.specs import DataSpec

# Raise it whenever the same disturbance gives other pictures or boxes.
_VERSION = 1


@dataclass(frozen=True)
class Kind:
    """A kind of disturbance, in words for people."""

    title: str
    axis: str  # what a level is
    most: float  # the highest level


KINDS: Mapping[str, Kind] = {
    "occluders": Kind("Pasted occluders", "share of the landmarks' box that is covered", 0.9),
    "shift": Kind("Shifted boxes", "shift of the box, as a share of its side", 1.0),
    "scale": Kind("Scaled boxes", "the box larger or smaller by this share of its side", 0.9),
}


@dataclass(frozen=True)
class Disturbance:
    """One kind at one level."""

    kind: str  # of KINDS
    level: float

    def __str__(self) -> str:
        return f"{self.kind} {self.level:g}"

    @property
    def name(self) -> str:
        """What files of predictions are named by: kind, level, and a content id of both."""
        return f"{self}-{content_id(self.kind, self.level, _VERSION)}".replace(" ", "-")

    def margin(self, rule: BoxRule) -> float:
        """The `data.margin` that the pictures of faces need so that no disturbed crop ends outside
        of them.
        """
        if self.kind == "shift":
            return 1 + 2 * self.level / rule.factor
        return 1 + self.level if self.kind == "scale" else 1.0


def check_levels(levels: Mapping[str, Sequence[float]]) -> None:
    """Raises OdnbenchError unless every kind is known, and its levels are whole percents that rise
    from 0.
    """
    for kind, values in levels.items():
        if kind not in KINDS:
            raise unknown("disturbance", kind, KINDS)
        rise = all(low < high for low, high in itertools.pairwise(values))
        if len(values) < 2 or values[0] != 0 or not rise or not values[-1] <= KINDS[kind].most:
            raise OdnbenchError(
                f"disturbances.{kind} must rise from 0 to {KINDS[kind].most:g} at most, got "
                f"{list(values)}; try {kind} = [0, 0.1, 0.2]"
            )
        for level in values:
            if not math.isclose(100 * level, round(100 * level)):  # MLflow's steps are whole
                raise OdnbenchError(
                    f"disturbances.{kind}: levels are whole percents, got {level:g}; try "
                    f"{round(level, 2):g}"
                )


def disturbances_of(levels: Mapping[str, Sequence[float]]) -> tuple[Disturbance, ...]:
    """Every disturbance above level 0."""
    return tuple(
        Disturbance(kind, level) for kind, values in levels.items() for level in values if level
    )


def check_margin(disturbances: Iterable[Disturbance], data: DataSpec, rule: BoxRule) -> None:
    """Raises OdnbenchError where the pictures of faces are too small for disturbed boxes."""
    for disturbance in disturbances:
        if data.stored_size / data.input_size < (margin := disturbance.margin(rule)):
            enough = next(m for m in _hundredths(margin) if _stored(data, m) >= margin)
            raise OdnbenchError(
                f"disturbances.{disturbance.kind} {disturbance.level:g} needs pictures of "
                f"{margin:.3g} times the crop's side, but data.margin is {data.margin:g}; add "
                f"-s data.margin={enough:g}, or lower the levels"
            )


def _hundredths(least: float) -> Iterator[float]:
    return (hundredths / 100 for hundredths in itertools.count(math.ceil(100 * least)))


def _stored(data: DataSpec, margin: float) -> float:
    """Side of a prepared picture over side of the crop, for a margin that is rounded to pixels."""
    return 2 * round(data.input_size * margin / 2) / data.input_size
