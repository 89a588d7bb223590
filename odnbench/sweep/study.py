"""Optuna: the only file that imports optuna.

The study is kept on disk, so that a search goes on where it was. The paper's weights are its first
point; ranges are those of registry/weights.toml, on a logarithmic scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from odnbench.errors import unknown
from odnbench.plan.entries import LossWeight
from odnbench.results.plans import STUDY

optuna.logging.set_verbosity(optuna.logging.WARNING)

SAMPLERS = {"optuna": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}


@dataclass(frozen=True)
class Study:
    """A search over loss weights, kept on disk."""

    name: str
    storage: Any
    sampler: Any
    space: Mapping[str, Any]
    first: Mapping[str, float]  # the paper's weights
    ended: int  # trials that it already holds


def open_study(
    algorithm: str, ranges: Mapping[str, LossWeight], folder: Path, plan_id: str
) -> Study:
    """The study of `plan_id` in `folder`, new or gone on with.

    algorithm: "optuna" (tree-structured Parzen estimator) or "random"; OdnbenchError for any other.
    """
    if algorithm not in SAMPLERS:
        raise unknown("search", algorithm, SAMPLERS)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{algorithm}-{plan_id}"
    file = JournalFileBackend(str(folder / STUDY))
    storage = optuna.storages.JournalStorage(file)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="minimize", load_if_exists=True
    )
    for stale in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(stale.number, state=TrialState.FAIL)  # left behind by a run that was killed
    proposed = len(study.trials)
    return Study(
        name=name,
        storage=storage,
        sampler=SAMPLERS[algorithm](seed=proposed),  # another one when the search goes on
        space={
            name: FloatDistribution(weight.low, weight.high, log=True)
            for name, weight in ranges.items()
        },
        first={name: weight.default for name, weight in ranges.items()},
        ended=len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))),
    )
