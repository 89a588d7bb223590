"""The study of a search: what it proposes, and what it keeps on disk."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages.journal import JournalFileBackend

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import LossWeight
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.results.plans import STUDY
from odnbench.sweep.study import Study, open_study


@pytest.fixture(scope="module")
def ranges(registry: Registry) -> dict[str, LossWeight]:
    search = load_pipeline("tune").search
    assert search is not None
    return {name: registry.get(LossWeight, name) for name in search.parameters}


def paper(ranges: dict[str, LossWeight]) -> dict[str, float]:
    return {name: weight.default for name, weight in ranges.items()}


def kept(folder: Path, algorithm: str = "random") -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself reads from the file."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY)))
    return optuna.load_study(study_name=f"{algorithm}-plan", storage=storage).trials


def answer(study: Study, *values: float | None) -> list[dict[str, float]]:
    """Asks for a point and tells its value, one after the other."""
    points = []
    for value in values:
        number, weights = study.ask()
        study.tell(number, value)
        points.append(weights)
    return points


@pytest.mark.parametrize("algorithm", ["optuna", "random"])
def test_a_search_proposes_what_optuna_proposes_with_seed_0(
    tmp_path: Path, ranges: dict[str, LossWeight], algorithm: str
) -> None:
    """Thirteen points: the tree-structured Parzen estimator learns from the eleventh on."""
    values = [5 + i * 7 % 11 for i in range(13)]
    samplers = {"optuna": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    theirs = optuna.create_study(sampler=samplers[algorithm](seed=0), direction="minimize")
    theirs.enqueue_trial(paper(ranges))
    space = {n: FloatDistribution(w.low, w.high, log=True) for n, w in ranges.items()}
    expected = []
    for value in values:
        trial = theirs.ask(fixed_distributions=dict(space))
        expected.append(trial.params)
        theirs.tell(trial, value)
    study = open_study(algorithm, ranges, tmp_path, "plan")
    found = answer(study, *values)
    assert found == expected
    assert found[0] == paper(ranges)
    assert [trial.values for trial in kept(tmp_path, algorithm)] == [[value] for value in values]


def test_a_study_goes_on_with_other_points(tmp_path: Path, ranges: dict[str, LossWeight]) -> None:
    first = answer(open_study("random", ranges, tmp_path, "plan"), 5.0, 4.0)
    again = open_study("random", ranges, tmp_path, "plan")
    assert again.ended == 2
    more = answer(again, 3.0, 2.0)
    assert not any(point in first for point in more)
    assert [trial.number for trial in kept(tmp_path)] == [0, 1, 2, 3]


def test_a_trial_that_a_killed_process_left_running_has_failed(
    tmp_path: Path, ranges: dict[str, LossWeight]
) -> None:
    open_study("random", ranges, tmp_path, "plan").ask()
    again = open_study("random", ranges, tmp_path, "plan")
    assert again.ended == 0
    assert answer(again, 5.0) == [paper(ranges)]  # nothing has been learned of them yet
    assert [trial.state.name for trial in kept(tmp_path)] == ["FAIL", "COMPLETE"]


def test_the_papers_weights_are_proposed_once_though_no_trial_was_asked_for(
    tmp_path: Path, ranges: dict[str, LossWeight]
) -> None:
    """As where a cluster cannot be reached."""
    open_study("random", ranges, tmp_path, "plan")
    first, second = answer(open_study("random", ranges, tmp_path, "plan"), 5.0, 4.0)
    assert first == paper(ranges) != second


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_trial_without_a_value_has_failed_and_is_not_counted(
    tmp_path: Path, ranges: dict[str, LossWeight], value: float | None
) -> None:
    study = open_study("random", ranges, tmp_path, "plan")
    answer(study, value, 5.0)
    assert study.ended == 1
    assert [trial.state.name for trial in kept(tmp_path)] == ["FAIL", "COMPLETE"]


def test_a_study_keeps_each_epoch_once(tmp_path: Path, ranges: dict[str, LossWeight]) -> None:
    """A trial whose worker was lost repeats epochs."""
    study = open_study("random", ranges, tmp_path, "plan")
    number, _ = study.ask()
    for epoch, value in ((1, 9.0), (2, 8.0), (1, 9.0), (2, 8.0), (3, 7.0)):
        study.report(number, epoch, value)
    study.tell(number, 7.0)
    (trial,) = kept(tmp_path)
    assert trial.intermediate_values == {1: 9.0, 2: 8.0, 3: 7.0}
    assert trial.value == 7.0


def test_a_search_of_another_name_is_an_error(
    tmp_path: Path, ranges: dict[str, LossWeight]
) -> None:
    with pytest.raises(OdnbenchError, match=r"search.*'optun'.*optuna"):
        open_study("optun", ranges, tmp_path, "plan")


def test_a_weight_that_the_paper_does_not_have_begins_at_the_lower_end(
    registry: Registry, tmp_path: Path
) -> None:
    ranges = {name: registry.get(LossWeight, name) for name in ("eta", "zeta")}
    study = open_study("optuna", ranges, tmp_path, "plan")
    first, second = answer(study, 5.0, 4.0)
    assert first == {"eta": ranges["eta"].default, "zeta": ranges["zeta"].low}
    assert ranges["zeta"].low < second["zeta"] < ranges["zeta"].high
