"""Contenders timed in turns, so that a slow minute of the machine slows all of them."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of every repeat of one contender."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the repeats, in s."""
        return median(self.seconds)


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark measured.

    baselines: contender → the contender that it is compared with. facts: further numbers, as sizes
    and memory.
    """

    name: str
    machine: str
    timings: tuple[Timing, ...]
    baselines: Mapping[str, str]
    facts: Mapping[str, float]

    def ratio(self, name: str, baseline: str | None = None) -> float:
        """Median seconds of `name` over those of `baseline`, by default the baseline of `name`.

        Below 1, `name` is faster.
        """
        medians = {timing.name: timing.median for timing in self.timings}
        return medians[name] / medians[baseline or self.baselines[name]]


def in_turns(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    before: Mapping[str, Callable[[], object]] | None = None,
    *,
    warm_up: bool = True,
) -> tuple[Timing, ...]:
    """Seconds of each contender in `repeats` rounds, in which the contenders take turns.

    before: contender → what must be done before it, which is not timed. warm_up: whether a round
    that does not count comes first.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats + warm_up):
        for name, run in contenders.items():
            if before and name in before:
                before[name]()
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return tuple(Timing(name, tuple(values[warm_up:])) for name, values in seconds.items())


def machine() -> str:
    """Processor, cores and system."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def machine_of(device: "torch.device") -> str:
    """The machine, and its GPU or the number of torch's threads."""
    import torch

    if device.type == "cuda":
        return f"{machine()}, {torch.cuda.get_device_name(device)}"
    return f"{machine()}, {torch.get_num_threads()} threads"
