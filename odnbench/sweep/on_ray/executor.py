"""The executors that have Ray Tune train the trials of a plan: `run_on_ray` and `search_on_ray`."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import LossWeight
from odnbench.plan.trials import Trial
from odnbench.results.observers import Observer
from odnbench.results.records import State
from odnbench.sweep.on_ray.connection import connected
from odnbench.sweep.on_ray.folders import Keeper
from odnbench.sweep.on_ray.gpu_share import gpu_share
from odnbench.sweep.on_ray.searcher import StudySearcher
from odnbench.sweep.on_ray.watch import RETRIES, Watch
from odnbench.sweep.on_ray.worker import METRIC, TrialOf, train
from odnbench.sweep.plan import Plan, with_weights
from odnbench.sweep.resources import Resources

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
    config = tune.TuneConfig(reuse_actors=True)
    return _run(plan, trial_of, space, config, observers, resources, tell)


def search_on_ray(
    plan: Plan,
    trials: Sequence[Trial],
    observers: Sequence[Observer],
    *,
    resources: Resources,
    algorithm: str,
    total: int | None,
    scheduler: str,
    tell: Callable[[str], None] = print,
) -> dict[str, State]:
    """An Executor: trains the plan's one trial with other loss weights, which a study proposes.

    The weights that are varied stand in the [search] table of the pipeline.

    algorithm: how the study proposes weights, see `open_study`.
    total: the number of trials in all, with those that earlier runs of the search have ended; None:
    the number that the [search] table gives.
    scheduler: "asha" stops early the trials whose validation error is large; anything else: none
    is stopped.
    tell: takes a line for people.

    Raises OdnbenchError if the pipeline has no [search] table, if the plan has several trials, or
    if no cluster can be reached at the given address or none of its nodes has what a trial needs.
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

    return _run(plan, trial_of, {}, config, observers, resources, tell)


def _run(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    observers: Sequence[Observer],
    resources: Resources,
    tell: Callable[[str], None],
) -> dict[str, State]:
    """Connects to Ray and has Tune train what `space` or the searcher of `config` proposes.

    trial_of: the trial that a configuration of Tune's stands for. Returns the state of each trial
    that ended, by the trial's id.
    """
    watch = Watch(plan, trial_of, observers)
    # A trial that then has no state was interrupted. Tune is left where it is: its own end would
    # wait for processes of Ray, which a signal to all processes of a job has ended as well.
    with suppress(KeyboardInterrupt), connected(resources, tell):
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
        cpus=resources.cpus,
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
