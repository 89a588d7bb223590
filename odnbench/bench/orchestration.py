"""Benchmark of what a trial costs beside its own training: worker, files and MLflow."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from odnbench.bench.timing import Benchmark, Timing, machine
from odnbench.errors import OdnbenchError
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.records import State
from odnbench.sweep.on_ray import Resources, run_on_ray
from odnbench.sweep.plan import Places, make_plan
from odnbench.sweep.run import run
from odnbench.tracking.mirror import MlflowMirror

_TINY = (
    "variant=brnet", "epochs=1", "input_size=32", "rendered_train=24", "rendered_test=6",
    "batch_size=8",
)  # fmt: skip


@dataclass
class _TrialClock(Observer):
    """Notes when trials begin and end, and how long they took by their own account, in s."""

    begun: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self.begun.append(time.perf_counter())

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self.ended_at.append(time.perf_counter())
        self.fit_seconds.append(folder.result.seconds)


def bench_orchestration(
    registry: Registry, counts: Sequence[int], folder: Path, *, side_by_side: int
) -> Benchmark:
    """Sweeps of tiny trials under Ray Tune, `counts` of them, mirrored to MLflow's SQLite store.

    side_by_side: number of trials that run at once. Let T be the time from the end of the first
    `side_by_side` trials to the end of the last trial, and n the trials that end meanwhile. Then
    the overhead of a trial is (side_by_side · T − the sum of their fitting times) / n.
    """
    if min(counts) <= side_by_side:
        raise OdnbenchError(f"--trials must be more than the {side_by_side} that run side by side")
    timings, facts = [], {}
    for count in counts:
        places = Places(folder / f"runs-{count}", folder / "cache")
        seeds = ",".join(str(seed) for seed in range(count))
        plan = make_plan(
            load_pipeline("ablation"), registry, places, overrides=[*_TINY, f"seed={seeds}"]
        )
        plan.save()
        clock = _TrialClock()
        began = time.perf_counter()
        mirror = MlflowMirror(plan.own_file, registry, f"sqlite:///{folder}/{count}.db")
        run(plan, lambda *given: run_on_ray(*given, resources=Resources(gpus=0)), [clock, mirror])
        ended = time.perf_counter()
        mirror.close()
        timings.append(Timing(f"{count} trials", (ended - began,)))
        later = slice(side_by_side, None)  # each slot's first trial waits for its worker
        busy = (clock.ended_at[-1] - clock.ended_at[side_by_side - 1]) * side_by_side
        overhead = (busy - sum(clock.fit_seconds[later])) / len(clock.fit_seconds[later])
        facts[f"overhead of a trial, {count} trials, s"] = overhead
        facts[f"fit of a trial, {count} trials, s"] = sum(clock.fit_seconds) / count
        facts[f"until the first trial, {count} trials, s"] = clock.begun[0] - began
        facts[f"MLflow after the last trial, {count} trials, s"] = time.perf_counter() - ended
    return Benchmark("orchestration", machine(), tuple(timings), {}, facts)
