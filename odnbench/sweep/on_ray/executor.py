"""Ray Tune: the only file that imports ray.

Tune gets one configuration per trial and runs `_train` for it on a worker. All that a worker needs
travels through Ray: faces, trials, registry and weights files in the object store, and the trial's
folder from and to a `Keeper` beside the driver, so that machines need share no disk. The driver's
callback passes on what happens to the observers, so that workers need no access to a terminal or a
tracking server.

A trial whose worker or machine is lost is started again, elsewhere if need be, from the progress in
its folder. One that fails by itself is not: it would fail again.
"""

import dataclasses
import gc
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError, RayTaskError
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from odnbench.datasets.sources import Faces
from odnbench.engine.check import machine_memory
from odnbench.engine.probe import Probe, probe, trials_per_gpu
from odnbench.errors import OdnbenchError
from odnbench.files import write_whole
from odnbench.plan.conversion import from_mapping, replace_at, to_mapping
from odnbench.plan.registry import LossWeight, Registry
from odnbench.plan.specs import Trial
from odnbench.results.folder import TrialFolder, transfer_order
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State
from odnbench.sweep.plan import Plan, run_trial, with_weights
from odnbench.sweep.study import open_study

logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # observers tell of failures, in a line

METRIC = "best_validation_nme_percent"
_FAILED = "failed"  # in the last result of a trial that failed: why
_GPU_FILL = 0.9  # of a GPU's memory may go to trials
_RETRIES = 2  # of a trial whose worker or machine is lost
TrialOf = Callable[[Mapping[str, Any]], Trial]  # Tune's configuration → our trial


@dataclass(frozen=True)
class Resources:
    """What a trial asks of the cluster. gpus None: where the cluster has any, as large a share of
    one as measuring says, else none.
    """

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


def _run(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    observers: Sequence[Observer],
    resources: Resources,
) -> dict[str, State]:
    watch = _Watch(plan, trial_of, observers)
    with _connected(resources.address):
        _tune(plan, trial_of, space, config, watch, resources)
    return watch.states


def _asha(base: Trial) -> ASHAScheduler:
    epochs = base.spec.train.epochs
    return ASHAScheduler(time_attr="epoch", max_t=max(1, epochs), grace_period=max(1, epochs // 4))


def _tune(
    plan: Plan,
    trial_of: TrialOf,
    space: Mapping[str, Any],
    config: tune.TuneConfig,
    watch: "_Watch",
    resources: Resources,
) -> None:
    """One run of Tune, in a Ray that is connected to."""
    gpus = _gpu_share(plan, resources) if resources.gpus is None else resources.gpus
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    beside_driver = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here)
    keeper = beside_driver.remote(_base(plan))
    trainable = tune.with_parameters(
        _train,
        trial_of=trial_of,
        faces=dict(plan.faces),
        registry=plan.registry,
        weights={path: Path(path).read_bytes() for path in plan.weights_files},
        keeper=keeper,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:  # Tune's own, which we do not use
            tune.Tuner(
                tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": gpus}),
                param_space=dict(space),
                tune_config=config,
                run_config=tune.RunConfig(
                    name=plan.pipeline.name,
                    storage_path=folder,
                    callbacks=[watch],
                    failure_config=tune.FailureConfig(max_failures=_RETRIES),
                    verbose=0,
                ),
            ).fit()
    finally:
        ray.kill(keeper)  # type: ignore[arg-type]


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """A connection to Ray; one that the caller has is used, and stays."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # Without an address Ray would look for a cluster, and wait for one that has died.
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
        gc.collect()  # what Ray owns must not be freed by another thread after the end
        ray.shutdown()


def _gpu_share(plan: Plan, resources: Resources) -> float:
    """The share of a GPU that gives a trial of `plan` its best: so many trials side by side on one
    as train the most images per second in all. Measured with the trial that takes most memory;
    0 where the cluster has no GPU, and 1 where it has one for each trial.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
    if not with_gpu:
        return 0.0
    to_run = [trial for trial in plan.trials if not plan.folder(trial).finished]
    searched = plan.pipeline.search.trials if plan.pipeline.search else 0
    waiting = max(len(to_run), searched) / sum(node["GPU"] for node in with_gpu)  # per GPU
    if waiting <= 1:
        return 1.0
    node = with_gpu[0]
    cores_per_gpu = node.get("CPU", 0) / node["GPU"]

    def training_bytes(trial: Trial) -> int:
        return plan.footprints[trial.id].training_bytes if trial.id in plan.footprints else 0

    largest = max(to_run or plan.trials, key=training_bytes)
    # A prober needs no weights file: they change no time.
    fresh = replace_at(largest.spec, "model.pretrained", "none")
    largest = dataclasses.replace(largest, spec=fresh)
    prober: Any = ray.remote(num_cpus=resources.cpus)(_Prober)
    data = ray.put((largest, plan.faces[largest.faces], plan.registry))

    def measure(count: int) -> list[tuple[Probe, int]]:
        """`count` probers at once on one GPU: what each measures, and the GPU's memory."""
        bundle = {"GPU": 1.0, "CPU": max(1.0, count * resources.cpus)}
        group = placement_group([bundle])
        place = PlacementGroupSchedulingStrategy(group)
        shared = prober.options(num_gpus=1 / count, scheduling_strategy=place)
        together: list[Any] = [shared.remote(data) for _ in range(count)]
        try:
            ray.get([one.ready.remote() for one in together])  # none starts before the others
            return ray.get([one.measure.remote() for one in together])
        finally:
            remove_placement_group(group)

    ((alone, capacity),) = measure(1)
    room = int(_GPU_FILL * capacity / max(1, alone.peak_bytes))
    cores = int(cores_per_gpu / resources.cpus) if resources.cpus else room
    most = max(1, min(room, cores, math.ceil(waiting)))

    def throughput(count: int) -> float:
        found = [alone] if count == 1 else [probe for probe, _ in measure(count)]
        return sum(1 / max(probe.step_seconds, 1e-9) for probe in found)

    return 1 / trials_per_gpu(throughput, most)


class _Prober:
    """Actor that trains for a moment on its share of a GPU."""

    def __init__(self, data: tuple[Trial, Faces, Registry]):
        self.trial, self.faces, self.registry = data

    def ready(self) -> None:
        """Returns when the process has come up."""

    def measure(self) -> tuple[Probe, int]:
        """What training takes, and the bytes of the whole device."""
        return probe(self.trial, self.faces, self.registry, seconds=3.0), machine_memory()


def _base(plan: Plan) -> Path:
    return plan.storage.resolve() / plan.pipeline.name


class Keeper:
    """Actor beside the driver, through which workers read and write trial folders."""

    def __init__(self, base: Path):
        self.base = base

    def fetch(self, trial: str) -> dict[str, bytes]:
        """Every file of the folder of `trial`."""
        files = (self.base / trial).glob("[!.]*")
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    def keep(self, trial: str, files: Mapping[str, bytes], gone: Sequence[str]) -> None:
        """Writes `files`, in that order, each whole or not at all, and removes those `gone`."""
        folder = self.base / trial
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        for name in gone:
            (folder / name).unlink(missing_ok=True)


class _KeptFolder:
    """A trial's folder on a worker's disk, kept equal with the one beside the driver."""

    def __init__(self, folder: TrialFolder, trial: Trial, keeper: Any):
        self.folder, self.trial, self.keeper = folder, trial, keeper
        folder.path.mkdir(parents=True)
        for name, content in ray.get(keeper.fetch.remote(trial.id)).items():
            (folder.path / name).write_bytes(content)
        self._sent = self._stamps()

    def send(self) -> None:
        """Sends what has changed: progress after the epochs that it is of, and last the marker that
        the trial is done.
        """
        stamps = self._stamps()
        changed = [name for name, stamp in stamps.items() if self._sent.get(name) != stamp]
        changed.sort(key=transfer_order)
        files = {name: (self.folder.path / name).read_bytes() for name in changed}
        gone = [name for name in self._sent if name not in stamps]
        ray.get(self.keeper.keep.remote(self.trial.id, files, gone))
        self._sent = stamps

    def _stamps(self) -> dict[str, tuple[int, int]]:
        stats = {path.name: path.stat() for path in self.folder.path.iterdir()}
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}


def _train(
    config: dict[str, Any],
    trial_of: TrialOf,
    faces: Mapping[str, Faces],
    registry: Registry,
    weights: Mapping[str, bytes],
    keeper: Any,
) -> None:
    """One trial on a worker."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # set by Ray to the trial's cores
    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray would leave all of them in sight
    trial = trial_of(config)
    with tempfile.TemporaryDirectory() as temporary:
        folder = TrialFolder(Path(temporary) / trial.id)
        kept = _KeptFolder(folder, trial, keeper)
        if folder.finished:  # before the worker was lost, or with the same weights of a search
            _report_end(folder)
            return
        if (content := weights.get(trial.spec.model.pretrained)) is not None:
            file = Path(temporary) / Path(trial.spec.model.pretrained).name
            file.write_bytes(content)
        else:
            file = None

        def on_epoch(epoch: Epoch) -> None:
            kept.send()
            if epoch.epoch < trial.spec.train.epochs:
                best = min(epoch.validation_nme_percent for epoch in folder.epochs)
                tune.report({**to_mapping(epoch), METRIC: best})

        try:
            reason = run_trial(
                trial, faces[trial.faces], registry, folder, on_epoch, threads, weights=file
            )
            kept.send()
        except RayTaskError as error:  # of the keeper, as on a full disk
            reason = str(error.cause)
        if reason:
            tune.report({_FAILED: reason})
            return
        _report_end(folder)


def _report_end(folder: TrialFolder) -> None:
    """Tells the last epoch, once the folder is done: hearing it, a scheduler may stop the trial."""
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
        ours = self.trial_of(trial.config)
        with suppress(OSError):  # of a full disk, of which the trial itself will tell
            self.plan.folder(ours).announce(ours)
        for observer in self.observers:
            observer.started(ours)

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
        reason = trial.last_result.get(_FAILED, "")
        if reason:
            self._ended(ours, "failed", reason)
        elif self.plan.folder(ours).finished:
            self._ended(ours, "done", "")
        else:
            self.plan.folder(ours).forget_progress()  # it is not gone on with
            self._ended(ours, "stopped", "early, by the scheduler")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self.trial_of(trial.config)
        if self.plan.folder(ours).finished:  # it was lost after its last word
            self._ended(ours, "done", "")
            return
        error = trial.get_pickled_error()
        what = str(error).strip().splitlines()[0] if error is not None else "no reason is known"
        is_lost = isinstance(error, RayError) and not isinstance(error, RayTaskError)
        lost = f"its worker was lost {_RETRIES + 1} times: " if is_lost else ""
        self._ended(ours, "failed", f"{lost}{what}")

    def _ended(self, trial: Trial, state: State, reason: str) -> None:
        self.states[trial.id] = state
        if state != "done":
            with suppress(OSError):
                self.plan.folder(trial).set_status(state, reason)
        for observer in self.observers:
            observer.ended(trial, self.plan.folder(trial), state, reason)


_EPOCH_KEYS = tuple(to_mapping(Epoch(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
