"""How errors become a number: point schemes, box rules, and protocols that name both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import bound


@dataclass(frozen=True)
class Scheme:
    """A point scheme: how many landmarks, and which of them mean what (all indices 0-based)."""

    name: str
    title: str
    points: int
    flip: tuple[int, ...]  # landmark i of a mirrored face is landmark flip[i] of the face
    eye_corners: tuple[int, int]  # outer ones
    pupils: tuple[tuple[int, ...], tuple[int, ...]]  # landmarks whose mean is the pupil
    components: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        used = [*self.eye_corners, *sum(self.pupils, ()), *sum(self.components.values(), ())]
        if any(not 0 <= point < self.points for point in used):
            raise OdnbenchError(
                f"eye_corners, pupils and components must name points from 0 to {self.points - 1}"
            )
        if (
            not len(self.flip) == self.points > 0
            or sorted(self.flip) != list(range(self.points))
            or any(self.flip[j] != i for i, j in enumerate(self.flip))
        ):
            raise OdnbenchError(
                f"flip must list the mirror image of each of the {self.points} points, "
                "so that applied twice it changes nothing"
            )


@dataclass(frozen=True)
class BoxRule:
    """Which part of a picture the network sees."""

    name: str
    title: str
    source: Literal["landmarks", "annotated", "detector"]  # "landmarks": their tight box
    shape: Literal["square", "stretched"]  # square: the box's longer side; stretched: both sides
    factor: float  # side of the crop over that of the box

    def __post_init__(self) -> None:
        bound("box rule", self, "factor", 0.1, 10)

    def describe(self) -> str:
        """One line that says what the crop is."""
        whose = "the landmarks' tight box" if self.source == "landmarks" else f"{self.source} box"
        return f"{self.shape} crop, {self.factor:g} × {whose}"


@dataclass(frozen=True)
class Protocol:
    """How errors become a number. A number never travels without it."""

    name: str
    title: str
    scheme: str
    normaliser: Literal["inter-ocular", "inter-pupil", "box-width", "box-area", "box-diagonal"]
    visibility: Literal["all", "visible", "occluded"]
    averaging: Literal["face", "point"]  # mean over faces of their means, or over all points
    box: str  # box rule of registry/boxes.toml
    # Of FR@t and AUC@t, in percent of NME; the main one first.
    thresholds_percent: tuple[float, ...]
    # "shape-norm" is Eq. (10) of the paper, read to the letter.
    error: Literal["mean-distance", "shape-norm"] = "mean-distance"

    def __post_init__(self) -> None:
        if not self.thresholds_percent or not all(0 < t <= 100 for t in self.thresholds_percent):
            raise OdnbenchError(
                "thresholds_percent must name at least one threshold, each above 0 and at most "
                f"100, as [8.0]; got {list(self.thresholds_percent)}"
            )

    @property
    def failure_percent(self) -> float:
        """The main threshold of FR and AUC."""
        return self.thresholds_percent[0]

    def describe(self) -> str:
        """One line that says how the number was made."""
        return ", ".join(f"{name} {value}" for name, value in self.facts.items())

    @property
    def facts(self) -> dict[str, str]:
        """What makes two numbers comparable: name → value."""
        error = {"mean-distance": "mean distance", "shape-norm": "2-norm of the shape over L"}
        return {
            "error": error[self.error],
            "over": self.normaliser,
            "points": self.visibility,
            "mean per": self.averaging,
            "box rule": self.box,
        }

    def differs_from(self, other: "Protocol") -> str:
        """What makes numbers under both protocols not comparable; "" where they are."""
        mine, others = self.facts, other.facts
        return ", ".join(f"{k} {mine[k]}, not {others[k]}" for k in mine if mine[k] != others[k])
