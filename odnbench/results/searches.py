"""A search as the pipeline's folder keeps it beside its trials: what was asked for, the points that
the study proposed, what became of each, and the trials that confirm the best of them.

The study itself is Optuna's (sweep/study/). This record of it can be read without Optuna.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole
from odnbench.plan.conversion import bound, from_mapping, to_mapping
from odnbench.plan.spaces import Point, Space
from odnbench.plan.toml import toml_of
from odnbench.results.reading import read_json
from odnbench.results.records import Result

SEARCH = "search.json"
WINNER = "winner.toml"  # the point that has won, as settings of a trial

PointState = Literal["running", "complete", "pruned", "failed"]


# Name → title, of what proposes points.
SAMPLERS = {
    "optuna": "tree-structured Parzen estimator",
    "random": "random points",
    "grid": "grid",
    "cmaes": "CMA-ES",
    "gp": "Gaussian process",
    "nsga2": "NSGA-II",
}
# Name → title, of what stops points early.
PRUNERS = {
    "successive-halving": "asynchronous successive halving",
    "hyperband": "Hyperband",
    "median": "median of the other points",
    "none": "none",
}


# Of the points that have come to a rung of successive halving, one in so many goes on.
REDUCTION = 3


@dataclass(frozen=True)
class SearchSettings:
    """How a search proposes points and judges them. Two searches with other settings are two."""

    sampler: str = "optuna"  # of SAMPLERS
    pruner: str = "successive-halving"  # of PRUNERS
    # The share of a point's epochs, or repeats, before which it is not stopped.
    prune_from: float = 0.5
    objectives: tuple[str, ...] = ("nme",)  # of OBJECTIVES; each is to be small
    # How many seeds each point is trained with; its value is the mean over them.
    repeats: int = 1
    # Of the sampler. The seeds of trials are those of the pipeline.
    seed: int = 0

    def __post_init__(self) -> None:
        bound("search", self, "prune_from", 0, 1)
        bound("search", self, "repeats", 1)
        bound("search", self, "seed", 0, 2**63 - 1)

    def steps(self, epochs: int) -> int:
        """How often a point is judged before it is complete: per epoch of its only trial, which has
        `epochs`, or per repeat.
        """
        return epochs if self.repeats == 1 else self.repeats

    def first_step(self, steps: int) -> int:
        """The first of `steps` epochs, or repeats, after which a point may be stopped."""
        return min(max(1, math.ceil(self.prune_from * steps)), max(1, steps))


@dataclass(frozen=True)
class SearchedPoint:
    """A point of the search space, and what became of it."""

    number: int  # in the order in which the points were proposed, from 0
    state: PointState
    # Dotted key → value, of the parameters that are varied there.
    point: Mapping[str, Any]
    # Of a complete point: the objectives' values, in the order of the settings.
    values: tuple[float, ...] = ()
    # Epoch, or number of repeats where there are several, → the smallest validation NME so far, or
    # the mean over the repeats so far; in percent.
    steps: Mapping[str, float] = field(default_factory=dict)
    # Content ids of the trials, one per repeat that was begun.
    trials: tuple[str, ...] = ()
    reason: str = ""  # why it failed
    # Whether it had been pruned, and went on when it turned out to be among the best.
    promoted: bool = False


@dataclass(frozen=True)
class Importance:
    """How much of the spread of the first objective a parameter explains, by one method."""

    key: str
    values: tuple[float, ...]  # of several seeds of the method, each a share of 1


@dataclass(frozen=True)
class Candidate:
    """A point that was trained again, from scratch, with seeds that the search had not used."""

    number: int  # of the point; 0 are the defaults
    trials: tuple[str, ...]  # content ids, one per seed


@dataclass(frozen=True)
class SearchRecord:
    """A search with all its points so far."""

    name: str
    settings: SearchSettings
    space: Space
    trials: int  # how many points are asked for in all
    epochs: int  # of a trial that is not stopped
    storage: str = ""  # where the study lies, without a password
    points: tuple[SearchedPoint, ...] = ()
    # By the named method, over complete points; () where there are too few of them.
    importance_method: str = ""
    importances: tuple[Importance, ...] = ()
    # The defaults first, then the best points; () until the search is at its end.
    candidates: tuple[Candidate, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "SearchRecord":
        """Reads the record in a pipeline's folder; OdnbenchError where it is damaged."""
        path = folder / SEARCH
        try:
            return from_mapping(cls, read_json(path, "a search"), str(path))
        except OdnbenchError as error:
            raise OdnbenchError(f"{error}; the command that wrote it writes it anew") from error

    def save(self, folder: Path) -> None:
        """Writes the record into a pipeline's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(to_mapping(self), indent=1, ensure_ascii=False) + "\n"
        write_whole(folder / SEARCH, text.encode())

    @property
    def best(self) -> tuple[SearchedPoint, ...]:
        """The complete points in the order of their first objective, the smallest first."""
        complete = [point for point in self.points if point.state == "complete"]
        return tuple(sorted(complete, key=lambda point: (point.values[0], point.number)))


def trained_elsewhere(folder: Path) -> frozenset[str] | None:
    """The trials of a search in a pipeline's `folder` that were trained to their end, or stopped,
    by whichever machine; None where no other machine shares its study, and where there is none.
    """
    try:
        record = SearchRecord.load(folder)
    except (OdnbenchError, OSError):
        return None
    if "://" not in record.storage:  # a file in the folder
        return None
    ended = (point for point in record.points if point.state in ("complete", "pruned"))
    return frozenset(identity for point in ended for identity in point.trials)


@dataclass(frozen=True)
class Objective:
    """Something that a search makes small: a number of a finished trial."""

    title: str
    unit: str
    of: Callable[[Result], float]


OBJECTIVES = {
    "nme": Objective("validation NME", "%", lambda result: result.validation_nme_percent),
    "ms": Objective("time to predict a face", "ms", lambda result: result.predict_ms or math.nan),
    "params": Objective("parameters", "millions", lambda result: result.parameters / 1e6),
    "madds": Objective(
        "multiply-adds",
        "millions",
        lambda r: ((r.cost and r.cost.multiply_adds) or math.nan) / 1e6,
    ),
}


def write_winner(folder: Path, point: Point, remarks: Iterable[str]) -> Path:
    """Writes the point that has won a search into the search's folder, as settings that
    `odnbench run --settings` takes, below `remarks`; returns the file's path.
    """
    write_whole(folder / WINNER, toml_of(point, remarks).encode())
    return folder / WINNER
