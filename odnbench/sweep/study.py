"""The Optuna study of a search over loss weights: the only file that imports optuna.

    study = open_study("optuna", ranges, folder, plan.id)
    number, weights = study.ask()
    study.report(number, epoch, value)
    study.tell(number, value)

The study lies on disk, in the pipeline's folder, so that a search goes on where it was. Each weight
is searched in its range of registry/weights.toml, on a logarithmic scale. A new study proposes the
paper's weights first.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from odnbench.errors import unknown
from odnbench.plan.entries import LossWeight
from odnbench.results.plans import STUDY
from odnbench.sweep.journal import mend

optuna.logging.set_verbosity(optuna.logging.WARNING)

SAMPLERS = {"optuna": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}


class Study:
    """Proposes loss weights, and learns from the value that each proposal has come to.

    A value is the trial's validation NME in percent: smaller is better.
    """

    def __init__(self, study: optuna.Study, space: Mapping[str, FloatDistribution]):
        self._study, self._space = study, dict(space)
        # The trials of this process, by number.
        self._asked: dict[int, optuna.Trial] = {}
        self._reported: set[tuple[int, int]] = set()

    @property
    def ended(self) -> int:
        """How many trials have ended with a value, those of earlier processes counted in."""
        return len(self._study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))

    def ask(self) -> tuple[int, dict[str, float]]:
        """The number of a new trial, and the loss weights that it is to be trained with."""
        asked = self._study.ask(fixed_distributions=dict(self._space))
        self._asked[asked.number] = asked
        return asked.number, dict(asked.params)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Keeps the best value that trial `number` had come to after `epoch`.

        A trial that is started again after its worker was lost repeats epochs, with the same
        values. The second report of an epoch is ignored.
        """
        if (number, epoch) not in self._reported:
            self._reported.add((number, epoch))
            self._asked[number].report(value, epoch)

    def tell(self, number: int, value: float | None) -> None:
        """Ends trial `number` with `value`; None or NaN: the trial has failed."""
        failed = value is None or math.isnan(value)
        # The disk may be full. Then the trial stays a running one, and fails when the study is
        # opened again; the trials that are being trained must not end with it.
        with suppress(OSError):
            if failed:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, value)


def open_study(
    algorithm: str, ranges: Mapping[str, LossWeight], folder: Path, plan_id: str
) -> Study:
    """The study of plan `plan_id` in the pipeline's `folder`: a new one, or the one that is there.

    algorithm: "optuna" (tree-structured Parzen estimator) or "random".
    ranges: loss weights by name.

    Raises OdnbenchError for any other algorithm.
    """
    if algorithm not in SAMPLERS:
        raise unknown("search", algorithm, SAMPLERS)
    folder.mkdir(parents=True, exist_ok=True)
    mend(folder / STUDY)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY))),
        study_name=f"{algorithm}-{plan_id}",
        direction="minimize",
        load_if_exists=True,
    )
    for stale in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(stale.number, state=TrialState.FAIL)  # left behind by a process that was killed
    # The seed is another one whenever the search goes on, lest it proposes the same points again.
    study.sampler = SAMPLERS[algorithm](seed=len(study.trials))
    space = {
        name: FloatDistribution(weight.low, weight.high, log=True)
        for name, weight in ranges.items()
    }
    opened = Study(study, space)
    if not opened.ended and not study.get_trials(states=(TrialState.WAITING,)):
        # The paper's weights; of a weight that the paper does not have, the smallest one.
        study.enqueue_trial({name: max(w.default, w.low) for name, w in ranges.items()})
    return opened
