"""Ray Tune: the only file that imports ray.

Tune gets one configuration per trial and runs `_train` for it on a worker; faces, trials and
registry travel through Ray's object store. The driver's callback passes on what happens to the
observers, so that workers need no access to a terminal or a tracking server.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by Ray at import or start: no statistics sent home, no second progress display.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from odnbench.conversion import from_mapping, to_mapping
from odnbench.datasets.sources import Faces
from odnbench.errors import OdnbenchError
from odnbench.registry import LossWeight, Registry
from odnbench.search import open_study
from odnbench.specs import Trial
from odnbench.sweep import Observer, Plan, run_trial, with_weights
from odnbench.trials import Epoch, State, TrialFolder

METRIC = "best_validation_nme_percent"
TrialOf = Callable[[Mapping[str, Any]], Trial]  # Tune's configuration → our trial


@dataclass(frozen=True)
class Resources:
    """What a trial asks of the cluster. gpus None: one GPU where the cluster has any, else none."""

    cpus: float = 1.0
    gpus: float | None = None
    address: str | None = None  # of a running cluster; None starts one on this machine


def run_on_ray(
    plan: Plan,
    trials: Sequence[Trial],
    observers: Sequence[Observer],
    *,
    resources: Resources = Resources(),
) -> dict[str, State]:
    """An Executor: runs `trials` side by side. Returns how each ended."""
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
    """An Executor: varies the loss weights of the plan's one trial, as its [search] says.

    total: how many trials in all, those of earlier runs counted in; None: the pipeline's number.
    """
    search = plan.pipeline.search
    if search is None or len(trials) != 1:
        raise OdnbenchError(
            f"pipeline '{plan.pipeline.name}' must have a [search] table and one combination in "
            f"its [axes] to be tuned, it has {len(trials)}; try `odnbench tune`"
        )
    (base,) = trials
    ranges = {name: plan.registry.get(LossWeight, name) for name in search.parameters}
    study = open_study(algorithm, ranges, _base(plan), plan.id)
    remaining = (total or search.trials) - study.ended
    if remaining <= 0:
        return {}
    optuna_search = OptunaSearch(
        space=dict(study.space),
        metric=METRIC,
        mode="min",
        points_to_evaluate=None if study.ended else [dict(study.first)],
        sampler=study.sampler,
        study_name=study.name,
        storage=study.storage,
    )
    config = tune.TuneConfig(
        metric=METRIC,
        mode="min",
        search_alg=optuna_search,
        num_samples=remaining,
        scheduler=_asha(base) if scheduler == "asha" else None,
        reuse_actors=True,
    )
    registry = plan.registry

    def trial_of(weights: Mapping[str, Any]) -> Trial:
        return with_weights(base, registry, weights)

    return _run(plan, trial_of, {}, config, observers, resources)


def _asha(base: Trial) -> ASHAScheduler:
    epochs = base.spec.train.epochs
    return ASHAScheduler(time_attr="epoch", max_t=max(1, epochs), grace_period=max(1, epochs // 4))


def _run(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    observers: Sequence[Observer],
    resources: Resources,
) -> dict[str, State]:
    _connect(resources.address)
    gpus = resources.gpus
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
    callback = _Watch(plan, trial_of, observers)
    trainable = tune.with_parameters(
        _train,
        trial_of=trial_of,
        faces=dict(plan.faces),
        registry=plan.registry,
        plan_folder=_base(plan),
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": gpus}),
        param_space=dict(space),
        tune_config=config,
        run_config=tune.RunConfig(
            name=plan.pipeline.name,
            storage_path=str(plan.storage.resolve() / ".ray"),
            callbacks=[callback],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        if resources.address is None:
            ray.shutdown()
    return callback.states


def _connect(address: str | None) -> None:
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"include_dashboard": False}
    ray.init(address=address, **options)


def _base(plan: Plan) -> Path:
    return plan.storage.resolve() / plan.pipeline.name


def _train(
    config: dict[str, Any],
    trial_of: TrialOf,
    faces: Mapping[str, Faces],
    registry: Registry,
    plan_folder: Path,
) -> None:
    """One trial on a worker."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # set by Ray to the trial's cores
    trial = trial_of(config)
    folder = TrialFolder(plan_folder / trial.id)
    best = float("inf")

    def on_epoch(epoch: Epoch) -> None:
        nonlocal best
        best = min(best, epoch.validation_nme_percent)
        if epoch.epoch < trial.spec.train.epochs:
            tune.report({**to_mapping(epoch), METRIC: best})

    reason = run_trial(trial, faces[trial.faces], registry, folder, on_epoch, threads)
    if reason:
        raise RuntimeError(reason)
    # The last epoch is told when the folder is done: a scheduler may stop the trial on hearing it.
    last = to_mapping(folder.epochs[-1]) if folder.epochs else {}
    tune.report({**last, METRIC: folder.result.validation_nme_percent})


class _Watch(tune.Callback):
    """Passes Tune's events on to the observers, in the driver."""

    def __init__(self, plan: Plan, trial_of: TrialOf, observers: Sequence[Observer]):
        self.plan, self.trial_of, self.observers = plan, trial_of, observers
        self.states: dict[str, State] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks for a restore of its own, which we do not use.
        return tune.Callback, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        for observer in self.observers:
            observer.started(self.trial_of(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        fields = {key: result[key] for key in _EPOCH_KEYS if key in result}
        if fields:
            epoch = from_mapping(Epoch, fields, "Tune's result")
            for observer in self.observers:
                observer.epoch_ended(self.trial_of(trial.config), epoch)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self.trial_of(trial.config)
        folder = self.plan.folder(ours)
        if folder.finished:
            self._ended(ours, "done", "")
        else:
            reason = "early, by the scheduler"
            folder.set_status("stopped", reason)
            self._ended(ours, "stopped", reason)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self.trial_of(trial.config)
        folder = self.plan.folder(ours)
        state, reason = (
            folder.status if (folder.path / "status.json").is_file() else ("running", "")
        )
        if state != "failed":
            reason = "its worker died (out of memory, or killed)"
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.set_status("failed", reason)
        self._ended(ours, "failed", reason)

    def _ended(self, trial: Trial, state: State, reason: str) -> None:
        self.states[trial.id] = state
        for observer in self.observers:
            observer.ended(trial, self.plan.folder(trial), state, reason)


_EPOCH_KEYS = tuple(to_mapping(Epoch(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
