"""How errors become a number: point schemes, box rules, and protocols that name both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import bound
from odnbench.plan.specs import NEUTRAL

# What two predictions for each face make of a number, in words for people; `DataSpec.flip_test`.
FLIP_TEST = "flip test: the mean of the predictions for a face and for its mirror image"

# Distances by which errors are divided: between the outer eye corners, between the pupils, and
# width, √(width · height) and diagonal of the face box.
Normaliser = Literal["inter-ocular", "inter-pupil", "box-width", "box-area", "box-diagonal"]


@dataclass(frozen=True)
class Scheme:
    """A point scheme: how many landmarks, and which of them mean what (all indices 0-based)."""

    name: str
    title: str
    points: int
    flip: tuple[int, ...]  # landmark i of a mirrored face is landmark flip[i] of the face
    eye_corners: tuple[int, int]  # the outer corner of each eye
    # For each eye, the landmarks whose mean is the pupil.
    pupils: tuple[tuple[int, ...], tuple[int, ...]]
    components: Mapping[str, tuple[int, ...]]  # part of the face → its landmarks

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
class SchemeMap:
    """The landmarks of one scheme, made from those of another.

    Landmark i is at the mean of the landmarks `points[i]`; one that is named twice counts twice.
    Where `y` names landmark i, the y of the mean is that of other landmarks.
    """

    name: str
    title: str
    takes: str  # the scheme of the landmarks that are given
    gives: str
    source: str  # who says that these landmarks correspond, with an address
    points: tuple[tuple[int, ...], ...]
    y: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # keys as TOML has them: texts

    def __post_init__(self) -> None:
        for landmark in self.y:
            if landmark not in map(str, range(len(self.points))):
                raise OdnbenchError(
                    f"y must name landmarks from 0 to {len(self.points) - 1}, got '{landmark}'"
                )
        for i, group in enumerate(self.groups[0] + self.groups[1]):
            if not group or min(group) < 0:
                raise OdnbenchError(
                    f"landmark {i % len(self.points)} must be the mean of at least one landmark, "
                    f"counted from 0; got {list(group)}"
                )

    @property
    def groups(self) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
        """For x and for y: of which landmarks each landmark is the mean."""
        y = (self.y.get(str(i), group) for i, group in enumerate(self.points))
        return self.points, tuple(y)

    def unused(self, points: int) -> list[int]:
        """Which of the `points` landmarks that are given no landmark is made of."""
        used = {point for groups in self.groups for group in groups for point in group}
        return [point for point in range(points) if point not in used]


@dataclass(frozen=True)
class BoxRule:
    """Which part of a picture the network sees."""

    name: str
    title: str
    source: Literal["landmarks", "annotated", "detector"]  # "landmarks": their tight box
    # "square": a square on the box's longer side; "stretched": the box itself, whose two sides are
    # stretched to the network's square.
    shape: Literal["square", "stretched"]
    factor: float  # side of the crop over side of the box
    # How far the box is moved outwards at its left, top, right and bottom before that, as shares of
    # its width and height.
    grown: tuple[float, float, float, float] = field(default=(0.0,) * 4, metadata=NEUTRAL)

    def __post_init__(self) -> None:
        bound("box rule", self, "factor", 0.1, 10)

    def describe(self) -> str:
        """The crop in one line, as "square crop, 1.3 × the landmarks' tight box"."""
        whose = "the landmarks' tight box" if self.source == "landmarks" else f"{self.source} box"
        if any(self.grown):
            sides = zip(("left", "top", "right", "bottom"), self.grown, strict=True)
            whose += f", grown {', '.join(f'{share:+.0%} {side}' for side, share in sides)}"
        return f"{self.shape} crop, {self.factor:g} × {whose}"


@dataclass(frozen=True)
class Protocol:
    """How errors become a number; no number travels without its protocol."""

    name: str
    title: str
    scheme: str
    normaliser: Normaliser
    visibility: Literal["all", "visible", "occluded"]
    # "face": the mean of the faces' means; "point": the mean over all points of all faces.
    averaging: Literal["face", "point"]
    box: str  # box rule of registry/boxes.toml
    # The t of FR@t and AUC@t, an NME in percent; the main one first.
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
        """The main threshold of FR and AUC, an NME in percent."""
        return self.thresholds_percent[0]

    def describe(self) -> str:
        """The `facts` in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.facts.items())

    @property
    def facts(self) -> dict[str, str]:
        """Name → value, of all that must agree for two numbers to be comparable."""
        error = {"mean-distance": "mean distance", "shape-norm": "2-norm of the shape over L"}
        return {
            "error": error[self.error],
            "over": self.normaliser,
            "points": self.visibility,
            "mean per": self.averaging,
            "box rule": self.box,
        }

    def differs_from(self, other: "Protocol") -> str:
        """Why numbers under the two protocols are not comparable; "" where they are."""
        mine, others = self.facts, other.facts
        return ", ".join(f"{k} {mine[k]}, not {others[k]}" for k in mine if mine[k] != others[k])
