"""What Tune asks and tells, and what of it reaches the study."""

import subprocess
import sys
from typing import Any

import pytest

from odnbench.sweep.on_ray.searcher import StudySearcher
from odnbench.sweep.on_ray.worker import FAILED, METRIC


class StudyOfCalls:
    """Proposes one weight, and keeps what it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.calls: list[tuple[Any, ...]] = []

    def ask(self) -> tuple[int, dict[str, float]]:
        self.asked += 1
        return self.asked + 6, {"alpha": float(self.asked)}

    def report(self, number: int, epoch: int, value: float) -> None:
        self.calls.append(("report", number, epoch, value))

    def tell(self, number: int, value: float | None) -> None:
        self.calls.append(("tell", number, value))


@pytest.fixture
def study() -> StudyOfCalls:
    return StudyOfCalls()


@pytest.fixture
def searcher(study: StudyOfCalls) -> StudySearcher:
    searcher = StudySearcher(study)  # type: ignore[arg-type]
    assert searcher.suggest("a") == {"alpha": 1.0}
    assert searcher.suggest("b") == {"alpha": 2.0}
    return searcher


def test_a_trial_is_told_with_its_last_value(study: StudyOfCalls, searcher: StudySearcher) -> None:
    searcher.on_trial_result("b", {"epoch": 1, METRIC: 9.0})
    searcher.on_trial_result("a", {"epoch": 1, METRIC: 8.0})
    searcher.on_trial_complete("b", {"epoch": 2, METRIC: 7.0})
    assert study.calls == [("report", 8, 1, 9.0), ("report", 7, 1, 8.0), ("tell", 8, 7.0)]


def test_a_trial_that_fails_is_told_without_a_value(
    study: StudyOfCalls, searcher: StudySearcher
) -> None:
    last = {FAILED: "the data term is nan", "training_iteration": 1}
    searcher.on_trial_result("a", last)
    searcher.on_trial_complete("a", last)
    searcher.on_trial_complete("b", error=True)
    assert study.calls == [("tell", 7, None), ("tell", 8, None)]


def test_a_trial_that_ends_twice_is_told_once(study: StudyOfCalls, searcher: StudySearcher) -> None:
    searcher.on_trial_complete("a", {"epoch": 2, METRIC: 7.0})
    searcher.on_trial_result("a", {"epoch": 2, METRIC: 7.0})
    searcher.on_trial_complete("a", error=True)
    assert study.calls == [("tell", 7, 7.0)]


@pytest.mark.slow
def test_ray_is_used_without_optuna() -> None:
    code = "import odnbench.sweep.on_ray, sys; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
