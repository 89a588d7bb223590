"""What each trial of a sweep gets of a machine or a cluster, checked before anything starts."""

import math
import os
from dataclasses import dataclass

from odnbench.errors import OdnbenchError

_LEAST = 1e-4  # of a core or a GPU; Ray counts in units of that


@dataclass(frozen=True)
class Resources:
    """The cluster that trials run on, and what each trial gets of it.

    Raises OdnbenchError for numbers that no machine can meet.
    """

    # Cores, which is also the number of torch's threads.
    cpus: float = 1.0
    # GPUs, or a share of one. None: the share that `gpu_share` finds, which is 0 without a GPU.
    gpus: float | None = None
    # Of a running cluster. None: the trials run on this machine.
    address: str | None = None

    def __post_init__(self) -> None:
        if not _LEAST <= self.cpus < math.inf:
            raise OdnbenchError(
                f"--cpus must be a finite number of at least {_LEAST:g}, got {self.cpus:g}; "
                "give 1, or more for trials of several threads"
            )
        if self.gpus is None or self.gpus == 0:
            return
        if not _LEAST <= self.gpus < math.inf or (self.gpus > 1 and self.gpus % 1):
            raise OdnbenchError(
                f"--gpus must be 0, a share of one GPU, or a whole number of them, got "
                f"{self.gpus:g}; give 1, or 0.5 for two trials on each GPU"
            )

    def check_machine(self) -> None:
        """Raises OdnbenchError where trials are to run here and need more than this machine has."""
        import torch  # which takes seconds; the numbers are checked without it

        if self.address is None:
            cores, gpus = os.cpu_count() or 1, torch.cuda.device_count()
            self.check(cores, gpus, "this machine has")

    def check(self, cores: float, gpus: float, where: str) -> None:
        """Raises OdnbenchError where a trial needs more than these cores and GPUs.

        where: the beginning of a sentence that says whose they are.
        """
        for option, wanted, there, kind in (
            ("--cpus", self.cpus, cores, "cores"),
            ("--gpus", self.gpus or 0, gpus, "GPUs"),
        ):
            if wanted > there:
                cure = f"give at most {there:g}" if there else f"leave {option} out"
                raise OdnbenchError(f"{option} {wanted:g}: {where} {there:g} {kind}; {cure}")
