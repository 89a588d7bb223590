"""What a trial measures of itself, as its folder keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from odnbench.plan.conversion import INLINE

State = Literal["waiting", "running", "done", "failed", "stopped", "interrupted"]


@dataclass(frozen=True)
class Standing:
    """Where a trial stands, and why if it failed, was stopped or was interrupted."""

    state: State
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else self.state


@dataclass(frozen=True)
class Epoch:
    """What is measured at the end of an epoch; penalties are weighted, as they enter Eq. (3)."""

    epoch: int
    loss: float
    data_term: float
    learning_rate: float
    validation_nme_percent: float
    seconds: float
    # Of the structural matrix M, where there is one.
    effective_rank: float | None = None
    stable_rank: float | None = None
    # The name of each weight of Eq. (3) → its penalty.
    penalties: Mapping[str, float] = field(default_factory=dict, metadata=INLINE)


@dataclass(frozen=True)
class Result:
    """What a finished trial says of itself; its errors are computed from its predictions."""

    parameters: int
    best_epoch: int
    validation_nme_percent: float
    seconds: float
    images_per_second: float
    precision: str
    device: str
    torch: str
    spectrum: tuple[float, ...] = ()  # singular values of M, the largest first
