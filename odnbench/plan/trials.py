"""A trial: a spec, with all that a reader of its numbers must know."""

from dataclasses import dataclass

from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.specs import TrialSpec


@dataclass(frozen=True)
class Coverage:
    """How many faces of a split there are, and whether they are real."""

    split: str  # "300w/common"
    faces: int
    official: int  # number of faces of the whole split; 0 where it is not known
    rendered: bool
    whole: bool = True  # whether no face of the split is missing

    def __str__(self) -> str:
        if self.rendered:
            return f"rendered, {self.faces} faces"
        known = self.official not in (0, self.faces)
        return f"{self.faces} of {self.official}" if known else f"{self.faces}"


@dataclass(frozen=True)
class Trial:
    """A spec with all that a reader of its numbers must know."""

    id: str  # content id, plan/ids.py
    pipeline: str
    title: str
    spec: TrialSpec
    protocol: Protocol
    box: BoxRule
    scheme: Scheme
    coverage: tuple[Coverage, ...]  # of the training split, then of each test split
    faces: str  # fingerprint of the face lists

    @property
    def rendered(self) -> bool:
        """Whether any face of the trial is rendered."""
        return any(split.rendered for split in self.coverage)

    def tested_on_rendered(self, split: str) -> bool:
        """Whether test faces from the data set of `split` ("300w/common") are rendered."""
        dataset = split.partition("/")[0]
        return any(
            tested.rendered
            for tested in self.coverage[1:]
            if tested.split.partition("/")[0] == dataset
        )
