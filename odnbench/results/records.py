"""The records in a trial's folder: state, epochs and result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from odnbench.plan.conversion import INLINE
from odnbench.results.shapes import Shapes

# "trained": done, but for predictions of disturbed test faces that its plan asks for.
State = Literal[
    "waiting", "running", "trained", "done", "failed", "stopped", "interrupted", "damaged"
]


@dataclass(frozen=True)
class Standing:
    """The state of a trial, and the reason if it failed, was stopped, was interrupted or is
    damaged.
    """

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
    # Of the structural matrix M, where the network has one.
    effective_rank: float | None = None
    stable_rank: float | None = None
    # The name of each weight that acts → the norm of its gradient over that of the data term's
    # gradient, both on the tensor that the weight acts on, in the last batch of the epoch.
    gradient_shares: Mapping[str, float] = field(default_factory=dict)
    # The name of each weight of Eq. (3) → its penalty; "teacher" → the weighted term of a teacher.
    penalties: Mapping[str, float] = field(default_factory=dict, metadata=INLINE)


# Faces in the larger of the two batches whose prediction is timed.
COST_BATCH = 32


@dataclass(frozen=True)
class Cost:
    """What it costs to predict a face on the device of the trial; a flip test takes two passes.

    Times are those of the fastest of a few runs; other processes may have been at work beside.
    """

    # Of the convolutions and matrix products in float32, for one face; None of a network that does
    # not run in torch, as one in an ONNX file.
    multiply_adds: int | None
    ms_single: float  # ms per face, one face at a time
    ms_batched: float  # ms per face, in batches of COST_BATCH
    # The most memory that predicting a batch of COST_BATCH takes: weights, pictures, and the
    # features that are held at one time. On a GPU with the scratch space of its operations, by
    # torch's allocator; on the CPU without. None of a network that does not run in torch.
    peak_bytes: int | None
    threads: int  # of the processor, in which the CPU computed or the GPU was fed


@dataclass(frozen=True)
class Result:
    """What a finished trial records beside its predictions, from which errors are computed."""

    parameters: int  # of the network
    best_epoch: int  # whose weights were kept; 0 where no epoch was trained
    validation_nme_percent: float
    seconds: float
    images_per_second: float
    precision: str
    device: str
    torch: str
    spectrum: tuple[float, ...] = ()  # singular values of M, the largest first
    # Singular values of M W_fcᵀ, which maps features to shapes, the largest first.
    product_spectrum: tuple[float, ...] = ()
    shapes: Shapes | None = None
    # Time to predict a test face, in ms, measured once over all of them in batches; other processes
    # may have been at work beside. None in results of earlier versions.
    predict_ms: float | None = None
    # None in results of earlier versions, and for the mean shape, which no network predicts.
    cost: Cost | None = None
