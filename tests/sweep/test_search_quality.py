"""How good a search is: on functions of which the smallest value is known, against Optuna as it is
and against random points.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import wilcoxon
from searches import EPOCHS, FAMILIES, PLANE, branin, curve, design, families, opened, run

from odnbench.plan.spaces import Space
from odnbench.results.searches import REDUCTION, SearchSettings

Function = Callable[[Mapping[str, Any]], float]
SEEDS = 20
TRIALS = 60
SETTINGS = {"sampler": "optuna", "pruner": "successive-halving", "prune_from": 1 / 3}


def best_of_ours(folder: Path, space: Space, function: Function, settings: SearchSettings) -> float:
    with opened(folder, design(space, settings, trials=TRIALS)) as study:
        run(study, function)
        return min(point.values[0] for point in study.points if point.values)


def best_of_optuna(space: Space, function: Function, seed: int) -> float:
    """Optuna's own loop, with the sampler and the pruner that a search of ours has."""

    def objective(trial: optuna.Trial) -> float:
        point: dict[str, Any] = {}
        for key, parameter in space.active(point):
            if parameter.choices:
                point[key] = trial.suggest_categorical(key, parameter.choices)
            else:
                low, high = parameter.range
                point[key] = trial.suggest_float(key, low, high, log=parameter.scale == "log")
        value = function(point)
        for step, error in enumerate(curve(value)[:-1], start=1):
            trial.report(error, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=10, multivariate=True, group=True, constant_liar=True, seed=seed
        ),
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=EPOCHS // 3, reduction_factor=REDUCTION
        ),
    )
    study.enqueue_trial(dict(design(space).defaults))
    study.optimize(objective, n_trials=TRIALS)
    return study.best_value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("space", "function"), [(PLANE, branin), (FAMILIES, families)])
def test_a_search_is_as_good_as_optuna_and_better_than_random_points(
    tmp_path: Path, space: Space, function: Function
) -> None:
    found = {"ours": [], "optuna": [], "random": []}  # type: dict[str, list[float]]
    for seed in range(SEEDS):
        settings = SearchSettings(**SETTINGS, seed=seed)
        found["ours"].append(best_of_ours(tmp_path / f"o{seed}", space, function, settings))
        found["optuna"].append(best_of_optuna(space, function, seed))
        random = SearchSettings(**{**SETTINGS, "sampler": "random"}, seed=seed)
        found["random"].append(best_of_ours(tmp_path / f"r{seed}", space, function, random))
    print(json.dumps({name: float(np.median(values)) for name, values in found.items()}))
    # One-sided, over pairs of one seed: that ours is worse than Optuna's; better than random.
    worse = wilcoxon(found["ours"], found["optuna"], alternative="greater").pvalue
    better = wilcoxon(found["ours"], found["random"], alternative="less").pvalue
    assert worse > 0.05
    assert better < 0.05
