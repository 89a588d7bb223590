"""The executors that have Ray Tune train the trials of a plan: `run_on_ray` and `search_on_ray`."""

import gc
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.schedulers import ASHAScheduler
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import LossWeight
from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import State
from odnbench.sweep.on_ray.folders import Keeper
from odnbench.sweep.on_ray.gpu_share import gpu_share
from odnbench.sweep.on_ray.searcher import StudySearcher
from odnbench.sweep.on_ray.watch import RETRIES, Watch
from odnbench.sweep.on_ray.worker import METRIC, TrialOf, train
from odnbench.sweep.plan import Plan, with_weights

# Tune would log a traceback for each failure, of which the observers tell the user in one line.
logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Resources:
    """The cluster that trials run on, and what each trial gets of it."""

    # Cores, which is also the number of torch's threads.
    cpus: float = 1.0
    # GPUs, or a share of one. None: the share that `gpu_share` finds, which is 0 without a GPU.
    gpus: float | None = None
    # Of a running cluster. None: a Ray is started on this machine.
    address: str | None = None


def run_on_ray(
    plan: Plan,
    trials: Sequence[Trial],
    observers: Sequence[Observer],
    *,
    resources: Resources = Resources(),
) -> dict[str, State]:
    """An Executor: trains `trials`, as many side by side as the cluster has room for.

    Raises OdnbenchError if no cluster can be reached at the given address.
    """
    by_id = {trial.id: trial for trial in trials}

    def trial_of(config: Mapping[str, Any]) -> Trial:
        return by_id[config["trial"]]

    space = {"trial": tune.grid_search(list(by_id))}
    return _run(plan, trial_of, space, tune.TuneConfig(reuse_actors=True), observers, resources)


def search_on_ray(
    plan: Plan,
    trials: Sequence[Trial],
    observers: Sequence[Observer],
    *,
    resources: Resources,
    algorithm: str,
    total: int | None,
    scheduler: str,
) -> dict[str, State]:
    """An Executor: trains the plan's one trial with other loss weights, which a study proposes.

    The weights that are varied stand in the [search] table of the pipeline.

    algorithm: how the study proposes weights, see `open_study`.
    total: the number of trials in all, with those that earlier runs of the search have ended; None:
    the number that the [search] table gives.
    scheduler: "asha" stops early the trials whose validation error is large; anything else: none
    is stopped.

    Raises OdnbenchError if the pipeline has no [search] table, if the plan has several trials, or
    if no cluster can be reached at the given address.
    """
    # Imported here, since it imports optuna, which only a search needs.
    from odnbench.sweep.study import open_study

    search = plan.pipeline.search
    if search is None or len(trials) != 1:
        raise OdnbenchError(
            f"pipeline '{plan.pipeline.name}' must have a [search] table and one combination in "
            f"its [axes] to be tuned, it has {len(trials)}; try `odnbench tune`"
        )
    (base,) = trials
    ranges = {name: plan.registry.get(LossWeight, name) for name in search.parameters}
    study = open_study(algorithm, ranges, plan.file.parent, plan.id)
    remaining = (total or search.trials) - study.ended
    if remaining <= 0:
        return {}
    config = tune.TuneConfig(
        metric=METRIC,
        mode="min",
        search_alg=StudySearcher(study),
        num_samples=remaining,
        scheduler=_asha(base) if scheduler == "asha" else None,
        reuse_actors=True,
    )
    registry = plan.registry

    def trial_of(weights: Mapping[str, Any]) -> Trial:
        return with_weights(base, registry, weights)

    return _run(plan, trial_of, {}, config, observers, resources)


def _run(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    observers: Sequence[Observer],
    resources: Resources,
) -> dict[str, State]:
    """Connects to Ray and has Tune train what `space` or the searcher of `config` proposes.

    trial_of: the trial that a configuration of Tune's stands for. Returns the state of each trial
    that ended, by the trial's id.
    """
    watch = Watch(plan, trial_of, observers)
    with _connected(resources.address):
        _tune(plan, trial_of, space, config, watch, resources)
    return watch.states


def _asha(base: Trial) -> ASHAScheduler:
    """Stops no trial before a quarter of the epochs of `base`."""
    epochs = base.spec.train.epochs
    return ASHAScheduler(time_attr="epoch", max_t=max(1, epochs), grace_period=max(1, epochs // 4))


def _tune(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    watch: Watch,
    resources: Resources,
) -> None:
    """One run of Tune, on the Ray that this process is connected to."""
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
    )
    try:
        with tempfile.TemporaryDirectory() as folder:  # Tune's own files, of no use to us
            tune.Tuner(
                tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": gpus}),
                param_space=dict(space),
                tune_config=config,
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


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connects this process to Ray, and ends the connection after the `with` block.

    A connection that this process has already is used instead, and is left open.
    """
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # Without an address, Ray would look for a cluster, and wait for one that has died.
        address = "local"
        options |= {"include_dashboard": False}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RayError) as error:
        raise OdnbenchError(
            f"--address {address}: no Ray cluster can be reached there: {error}; docs/cluster.md "
            "says how to start one"
        ) from error
    try:
        yield
    finally:
        gc.collect()  # Ray's objects must not be freed by another thread after the shutdown
        ray.shutdown()
