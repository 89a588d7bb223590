"""The executors that have Ray Tune train the trials of a plan: `run_on_ray` and `search_on_ray`."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from odnbench.files.keeper import Keeper
from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import State
from odnbench.sweep.on_ray.connection import connected
from odnbench.sweep.on_ray.gpu_share import gpu_share
from odnbench.sweep.on_ray.searcher import StudyScheduler, StudySearcher
from odnbench.sweep.on_ray.watch import RETRIES, Watch
from odnbench.sweep.on_ray.worker import TrialOf, train
from odnbench.sweep.plan import Plan
from odnbench.sweep.points import trial_at
from odnbench.sweep.resources import Resources
from odnbench.sweep.search import Searching

# Tune would log a traceback for each failure, of which the observers tell the user in one line.
logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

_ONE_CORE = Resources()


def run_on_ray(
    plan: Plan,
    trials: Sequence[Trial],
    observers: Sequence[Observer],
    *,
    resources: Resources = _ONE_CORE,
    tell: Callable[[str], None] = print,
) -> dict[str, State]:
    """An Executor: trains `trials`, as many side by side as the cluster has room for, until all
    have ended or the user interrupts.

    tell: takes a line for people. Raises OdnbenchError if no cluster can be reached at the given
    address, or none of its nodes has what a trial needs.
    """
    by_id = {trial.id: trial for trial in trials}

    def trial_of(config: Mapping[str, Any]) -> Trial:
        return by_id[config["trial"]]

    space = {"trial": tune.grid_search(list(by_id))}
    watch = Watch(plan, trial_of, observers)
    # A trial that then has no state was interrupted. Tune is left where it is: its own end would
    # wait for processes of Ray, which a signal to all processes of a job has ended as well.
    with suppress(KeyboardInterrupt), connected(resources, tell):
        _tune(
            plan, trial_of, space, lambda gpus: tune.TuneConfig(reuse_actors=True), watch, resources
        )
    return watch.states


def search_on_ray(
    searching: Searching,
    observers: Sequence[Observer],
    *,
    resources: Resources = _ONE_CORE,
    tell: Callable[[str], None] = print,
) -> None:
    """Trains what a search proposes, as many trials side by side as the cluster has room for, until
    the search is over or the user interrupts. tell, errors: see `run_on_ray`.
    """
    # Imported here, since it imports optuna, which only a search needs.
    from odnbench.sweep.study import Asked

    plan, base, registry = searching.plan, searching.base, searching.plan.registry

    def trial_of(config: Mapping[str, Any]) -> Trial:
        # A worker cannot tell the id: files that it covers are on the driver's disk.
        asked = config["asked"]
        return trial_at(base, registry, asked["point"], asked["repeat"], config["id"])

    def epoch_ended(config: Mapping[str, Any]) -> bool:
        return searching.epoch_ended(Asked(**config["asked"]), plan.folder(trial_of(config)))

    def ended(config: Mapping[str, Any], trial: Trial, state: State, reason: str) -> None:
        searching.ended(Asked(**config["asked"]), trial, state, reason)

    def config(gpus: float) -> tune.TuneConfig:
        return tune.TuneConfig(
            search_alg=StudySearcher(searching, lambda: _room(resources.cpus, gpus)),
            num_samples=-1,  # until the searcher has no more
            scheduler=StudyScheduler(epoch_ended),
            reuse_actors=True,
        )

    watch = Watch(plan, trial_of, observers, ended)
    with suppress(KeyboardInterrupt), connected(resources, tell):
        _tune(plan, trial_of, {}, config, watch, resources)


def _room(cpus: float, gpus: float) -> int:
    """How many trials the cluster can train side by side now."""
    cluster = ray.cluster_resources()
    counts = [
        int(cluster.get(name, 0.0) / each) for name, each in (("CPU", cpus), ("GPU", gpus)) if each
    ]
    return min(counts, default=1)


def _tune(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: Callable[[float], tune.TuneConfig],
    watch: Watch,
    resources: Resources,
) -> None:
    """One run of Tune, on the Ray that this process is connected to.

    config: from the GPUs of each trial.
    """
    gpus = gpu_share(plan, resources.cpus) if resources.gpus is None else resources.gpus
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    beside_driver = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here)
    keeper = beside_driver.remote(plan.file.parent.resolve())
    trainable = tune.with_parameters(
        train,
        trial_of=trial_of,
        faces=dict(plan.faces),
        registry=plan.registry,
        weights={path: Path(path).read_bytes() for path in plan.weights_files},
        keeper=keeper,
        cpus=resources.cpus,
        disturbances=plan.pipeline.disturbed,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:  # Tune's own files, of no use to us
            tune.Tuner(
                tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": gpus}),
                param_space=dict(space),
                tune_config=config(gpus),
                run_config=tune.RunConfig(
                    name=plan.pipeline.name,
                    storage_path=folder,
                    callbacks=[watch],
                    failure_config=tune.FailureConfig(max_failures=RETRIES),
                    verbose=0,
                ),
            ).fit()
    finally:
        ray.kill(keeper)  # type: ignore[arg-type]
