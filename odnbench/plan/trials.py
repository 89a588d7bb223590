"""A trial: its spec, with all that a reader of its numbers must know."""

from dataclasses import dataclass

from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.specs import TrialSpec


@dataclass(frozen=True)
class Coverage:
    """How much of a split is there."""

    split: str  # "300w/common"
    faces: int
    official: int  # 0 where none is known
    rendered: bool
    whole: bool = True  # whether nothing of its parts is missing

    def __str__(self) -> str:
        if self.rendered:
            return f"rendered, {self.faces} faces"
        known = self.official not in (0, self.faces)
        return f"{self.faces} of {self.official}" if known else f"{self.faces}"


@dataclass(frozen=True)
class Trial:
    """A trial with all that a reader of its numbers must know. `id` names its content."""

    id: str
    pipeline: str
    title: str
    spec: TrialSpec
    protocol: Protocol
    box: BoxRule
    scheme: Scheme
    coverage: tuple[Coverage, ...]
    faces: str  # fingerprint of the face lists

    @property
    def rendered(self) -> bool:
        """Whether any of its faces are rendered ones."""
        return any(split.rendered for split in self.coverage)

    def tested_on_rendered(self, split: str) -> bool:
        """Whether its test faces of the data set of `split` ("300w/common") are rendered ones."""
        dataset = split.partition("/")[0]
        return any(
            tested.rendered
            for tested in self.coverage[1:]
            if tested.split.partition("/")[0] == dataset
        )
