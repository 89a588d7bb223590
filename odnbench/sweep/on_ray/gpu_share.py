"""How large a share of a GPU a trial gets, found by measuring."""

import dataclasses
import math
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from odnbench.datasets.sources import TrialFaces
from odnbench.engine.check import machine_memory
from odnbench.engine.probe import Probe, probe, trials_per_gpu
from odnbench.plan.conversion import replace_at
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.sweep.plan import Plan

# Of a GPU's memory, what trials may take; the rest is for peaks that measuring did not see.
_FILL = 0.9


def gpu_share(plan: Plan, cpus: float) -> float:
    """The share of a GPU that each trial of `plan` gets, so that the trials side by side on one GPU
    train the most images per second together.

    It is measured on the cluster, with the trial that takes the most memory. It is 0 where the
    cluster has no GPU, and 1 where the cluster has a GPU for each trial, or none is to be trained.

    cpus: cores of each trial.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
    if not with_gpu:
        return 0.0
    to_run = plan.unfinished
    searched = plan.pipeline.search.trials if plan.pipeline.search else 0
    trials_for_each_gpu = max(len(to_run), searched) / sum(node["GPU"] for node in with_gpu)
    if trials_for_each_gpu <= 1:
        return 1.0

    def training_bytes(trial: Trial) -> int:
        return plan.footprints[trial.id].training_bytes if trial.id in plan.footprints else 0

    trained = [trial for trial in to_run or plan.trials if trial.spec.train.epochs]
    if not trained:
        return 1.0
    largest = max(trained, key=training_bytes)
    # A probe takes as long without the weights file, which would have to be sent to the worker, as
    # a teacher would: what that takes beside is small.
    fresh = replace_at(largest.spec, "model.pretrained", "none")
    fresh = replace_at(fresh, "train.teacher", "")
    largest = dataclasses.replace(largest, spec=fresh)
    prober: Any = ray.remote(num_cpus=cpus)(_Prober)
    data = ray.put((largest, plan.faces[largest.faces], plan.registry))

    def measure(count: int) -> list[tuple[Probe, int]]:
        """What each of `count` probers on one GPU measures while all of them train, and the bytes
        of the GPU's memory.
        """
        bundle = {"GPU": 1.0, "CPU": max(1.0, count * cpus)}
        group = placement_group([bundle])
        place = PlacementGroupSchedulingStrategy(group)
        shared = prober.options(num_gpus=1 / count, scheduling_strategy=place)
        probers: list[Any] = [shared.remote(data) for _ in range(count)]
        try:
            ray.get([prober.ready.remote() for prober in probers])  # so that all train together
            return ray.get([prober.measure.remote() for prober in probers])
        finally:
            remove_placement_group(group)

    ((alone, capacity),) = measure(1)
    by_memory = int(_FILL * capacity / max(1, alone.peak_bytes))
    cores_per_gpu = with_gpu[0].get("CPU", 0) / with_gpu[0]["GPU"]
    by_cores = int(cores_per_gpu / cpus) if cpus else by_memory
    most = max(1, min(by_memory, by_cores, math.ceil(trials_for_each_gpu)))

    def steps_per_second(count: int) -> float:
        probes = [alone] if count == 1 else [probe for probe, _ in measure(count)]
        return sum(1 / max(probe.step_seconds, 1e-9) for probe in probes)

    return 1 / trials_per_gpu(steps_per_second, most)


class _Prober:
    """Actor that trains a trial for a moment on its share of a GPU."""

    def __init__(self, data: tuple[Trial, TrialFaces, Registry]):
        self.trial, self.faces, self.registry = data

    def ready(self) -> None:
        """Returns once the actor's process has started."""

    def measure(self) -> tuple[Probe, int]:
        """What training the trial takes, and the bytes of the whole GPU's memory."""
        return probe(self.trial, self.faces, self.registry, seconds=3.0), machine_memory()
