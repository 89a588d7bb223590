"""The plans in a pipeline's folder, and whether a sweep is at work there."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from odnbench.errors import OdnbenchError
from odnbench.plan.pipelines import load_pipeline
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import (
    PlanRecord,
    all_plans,
    alone_in,
    is_at_work,
    is_kept_beside_trials,
    plan_files,
)


def test_no_results_are_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match="odnbench run ablation"):
        plan_files(tmp_path, [])


def test_a_lock_that_nobody_holds_is_no_sweep(tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    with FileLock(tmp_path / ".lock"):
        assert is_at_work(tmp_path)
    assert not is_at_work(tmp_path)
    assert not is_at_work(tmp_path / "nowhere")


def record(identity: str, *trials: str) -> PlanRecord:
    titles = tuple(f"title of {trial}" for trial in trials)
    return PlanRecord(identity, load_pipeline("ablation"), trials, titles, ("a note",), "today")


def test_the_last_plan_and_every_earlier_one_are_kept(tmp_path: Path) -> None:
    first, last = record("1", "a"), record("2", "a", "b")
    first.save(tmp_path)
    last.save(tmp_path)
    assert PlanRecord.load(tmp_path / "plan.json") == last
    found, faults = all_plans(tmp_path)
    assert faults == []
    assert {identity: PlanRecord.load(path) for identity, path in found.items()} == {
        "1": first,
        "2": last,
    }
    assert last.folders(tmp_path) == [
        (TrialFolder(tmp_path / "a"), "title of a"),
        (TrialFolder(tmp_path / "b"), "title of b"),
    ]


def test_a_pipeline_without_results_is_told_with_those_that_have_some(tmp_path: Path) -> None:
    record("1").save(tmp_path / "ablation")
    assert plan_files(tmp_path, []) == [tmp_path / "ablation" / "plan.json"]
    with pytest.raises(OdnbenchError, match=r"no results of 'tune'.*there are results of ablation"):
        plan_files(tmp_path, ["tune"])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("plan.json", True),
        ("plan-1.json", True),
        ("study.journal", True),
        (".lock", False),
        (".plan.json.123", False),
        ("notes.txt", False),
    ],
)
def test_plans_and_studies_belong_to_the_results(name: str, kept: bool) -> None:
    assert is_kept_beside_trials(name) == kept


def test_a_second_sweep_in_a_folder_is_refused(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(OdnbenchError, match=r"another sweep is at work in .*--storage"),
        alone_in(tmp_path),
    ):
        pass
    with alone_in(tmp_path):
        assert is_at_work(tmp_path)
    assert not is_at_work(tmp_path)


def test_a_folder_that_goes_while_plans_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("1").save(tmp_path / "ablation")
    passing = tmp_path / "passing"
    passing.mkdir()
    scan = os.scandir

    def scan_after_it_went(path: str | Path) -> object:
        if Path(path) == passing:
            passing.rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_after_it_went)
    assert plan_files(tmp_path, []) == [tmp_path / "ablation" / "plan.json"]
    assert not passing.exists()
