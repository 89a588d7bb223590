"""What proposes points and what stops them early, by the names of the command line.

All that decides a proposal is stated here, so that another version of Optuna with other defaults
searches alike.
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.spaces import Parameter, Space
from odnbench.results.searches import PRUNERS, REDUCTION, SAMPLERS, SearchSettings

# Points along each range of a grid.
_GRID = 4


class PerTrialSampler(BaseSampler):
    """Samples each trial with a sampler of its own, whose seed follows from the number of the
    trial: so a proposal depends on what the study holds, and not on which process asks for it.

    make: the sampler for a seed.
    """

    def __init__(self, seed: int, make: Callable[[int], BaseSampler]):
        self._seed, self._make = seed, make
        self._number = -1
        self._sampler: BaseSampler = RandomSampler(seed=seed)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number != self._number:
            self._number = trial.number
            seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # groups of parameters
                self._sampler = self._make(int(seed))
        return self._sampler

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See BaseSampler."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """See BaseSampler."""
        self._of(trial).before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """See BaseSampler."""
        self._of(trial).after_trial(study, trial, state, values)


def sampler_of(settings: SearchSettings, trials: int) -> BaseSampler:
    """The sampler of a search of `trials` points."""
    startup = min(10, max(4, trials // 4))  # random points before a model of the values
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "optuna": lambda seed: TPESampler(
            n_startup_trials=startup,
            n_ei_candidates=24,
            multivariate=True,
            group=True,  # so that conditional parameters are modelled too
            constant_liar=True,
            seed=seed,
        ),
        "random": lambda seed: RandomSampler(seed=seed),
        "grid": lambda seed: RandomSampler(seed=seed),  # its points are enqueued
        "cmaes": lambda seed: CmaEsSampler(
            n_startup_trials=startup, warn_independent_sampling=False, seed=seed
        ),
        "gp": lambda seed: GPSampler(
            n_startup_trials=startup,
            deterministic_objective=False,
            warn_independent_sampling=False,
            seed=seed,
        ),
        "nsga2": lambda seed: NSGAIISampler(
            population_size=min(50, max(4, trials // 4)), seed=seed
        ),
    }
    return PerTrialSampler(settings.seed, makers[settings.sampler])


def pruner_of(settings: SearchSettings, steps: int) -> BasePruner:
    """The pruner of a search whose points are judged at `steps` steps: epochs, or repeats."""
    first = settings.first_step(steps)
    if settings.pruner == "successive-halving":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=first, max_resource=steps, reduction_factor=REDUCTION)
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=first - 1)
    return NopPruner()


def check_settings(settings: SearchSettings) -> None:
    """Raises OdnbenchError unless the sampler and the pruner can serve the search."""
    if settings.sampler not in SAMPLERS:
        raise unknown("search", settings.sampler, SAMPLERS)
    if settings.pruner not in PRUNERS:
        raise unknown("pruner", settings.pruner, PRUNERS)
    if settings.objectives != ("nme",) and settings.pruner != "none":
        raise OdnbenchError(
            f"pruner {settings.pruner} judges points by their NME, which is not the only "
            f"objective here ({', '.join(settings.objectives)}); give --pruner none"
        )
    if len(settings.objectives) > 1 and settings.sampler == "cmaes":
        raise OdnbenchError("search cmaes takes one objective; try --search nsga2 or optuna")


def suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> Any:
    """What the sampler draws for a parameter, or has drawn before for this trial."""
    if parameter.choices:
        return trial.suggest_categorical(key, parameter.choices)
    low, high = parameter.range
    log = parameter.scale == "log"
    if parameter.whole:
        return trial.suggest_int(key, int(low), int(high), log=log)
    return trial.suggest_float(key, low, high, log=log)


def grid(space: Space) -> list[dict[str, Any]]:
    """The points of a grid: every choice, both ends of a range and points evenly between them on
    its scale, and 0 beside a range that has it.
    """
    points: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in itertools.product(*map(_grid_values, space.parameters.values())):
        every = dict(zip(space.parameters, values, strict=True))
        point: dict[str, Any] = {}
        for key, _ in space.active(point):
            point[key] = every[key]
        points.setdefault(tuple(point.items()), point)
    return list(points.values())


def _grid_values(parameter: Parameter) -> list[Any]:
    if parameter.choices:
        return list(parameter.choices)
    low, high = parameter.low, parameter.high
    assert low is not None and high is not None
    if parameter.scale == "log":
        numbers = [float(x) for x in np.geomspace(low, high, _GRID)]
    else:
        numbers = [float(x) for x in np.linspace(low, high, _GRID)]
    numbers[0], numbers[-1] = low, high
    if parameter.whole:
        return sorted({round(number) for number in numbers})
    return [0.0, *numbers] if parameter.zero else numbers
