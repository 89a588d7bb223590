"""A report is made from MLflow alone, as it is made from the folders."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import Faces, Made, report_of, spread_errors
from mlflow.tracking import MlflowClient
from mlflow_store import all_runs, runs_by_trial
from nasty_names import PIPELINES, REFUSED

from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.pipelines import check_name
from odnbench.reports.json_format import as_json
from odnbench.reports.read import read_report
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PLAN, PlanRecord
from odnbench.tracking import plan_artifacts
from odnbench.tracking.fetch import fetch
from odnbench.tracking.runs import PlanRuns

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, without_files_that_take_long: None) -> Path:
    """Results of a pipeline: two finished trials and a failed one."""
    folder = tmp_path / "runs" / "made"
    made = (Made(name, Faces(spread_errors(error))) for name, error in BETTER.items())
    report_of(folder, *made, failed=["gm"])
    return folder


BETTER = {"brnet": 0.06, "odn": 0.05}


def deliver(folder: Path, uri: str) -> None:
    PlanRuns(folder / PLAN, REGISTRY, uri).deliver_all(lambda line: None)


def renamed(folder: Path, name: str) -> Path:
    """A copy of results, as those of a pipeline called `name`."""
    copy = Path(shutil.copytree(folder, folder.with_name(name)))
    record = PlanRecord.load(copy / PLAN)
    pipeline = dataclasses.replace(record.pipeline, name=name)
    dataclasses.replace(record, pipeline=pipeline).save(copy)
    return copy


def test_the_report_is_that_of_the_folders(folder: Path, uri: str, tmp_path: Path) -> None:
    deliver(folder, uri)
    own = as_json(read_report(folder / PLAN, REGISTRY))
    shutil.rmtree(folder)
    (plan,) = fetch(uri, (), tmp_path / "cache")
    assert as_json(read_report(plan, REGISTRY)) == own
    assert '"out of memory"' in own


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_plan_that_was_made_last_is_brought(
    folder: Path, uri: str, tmp_path: Path, newest_first: bool
) -> None:
    """Although it has only trials that an older plan has trained."""
    older = PlanRecord.load(folder / PLAN)
    newer = dataclasses.replace(
        older,
        id="newer",
        trials=older.trials[:1],
        titles=older.titles[:1],
        saved_at="2019-06-17T00:00:00+00:00",
    )
    for record in (newer, older) if newest_first else (older, newer):
        record.save(folder)
        deliver(folder, uri)
    (plan,) = fetch(uri, (), tmp_path / "cache")
    assert PlanRecord.load(plan).id == "newer"


def test_a_plan_that_was_edited_is_brought_up_to_date(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    deliver(folder, uri)
    record = PlanRecord.load(folder / PLAN)
    columns = (*record.pipeline.columns, "300w/challenging")
    edited = dataclasses.replace(record.pipeline, title="Another title", columns=columns)
    dataclasses.replace(record, pipeline=edited).save(folder)
    deliver(folder, uri)
    (plan,) = fetch(uri, (), tmp_path / "cache")
    assert PlanRecord.load(plan).pipeline == edited
    assert as_json(read_report(plan, REGISTRY)) == as_json(read_report(folder / PLAN, REGISTRY))
    run = runs_by_trial(uri, "made")["0"]
    assert "test_nme_percent.300w/challenging" in run.data.metrics


@pytest.mark.parametrize("delivered_at_once", [True, False])
def test_what_was_predicted_after_disturbances_is_brought(
    tmp_path: Path, uri: str, without_files_that_take_long: None, delivered_at_once: bool
) -> None:
    """Also where it was added after the trial had been brought."""
    folder, cache = tmp_path / "runs" / "made", tmp_path / "cache"
    faces = Faces(spread_errors(0.05))
    disturbed = {Disturbance("occluders", 0.2): faces, Disturbance("occluders", 0.4): faces}
    made = Made("odn", faces, disturbed=disturbed if delivered_at_once else {})
    levels = {"occluders": (0.0, 0.2, 0.4)}
    report_of(folder, made, disturbances=levels)
    deliver(folder, uri)
    if not delivered_at_once:
        fetch(uri, (), cache)
        trial = TrialFolder(folder / "0")
        for disturbance in disturbed:
            amounts = np.full(len(trial.predictions.ids), disturbance.level)
            predictions = dataclasses.replace(trial.predictions, amounts=amounts)
            trial.add_disturbed(disturbance, predictions)
        deliver(folder, uri)
    own = read_report(folder / PLAN, REGISTRY)
    (plan,) = fetch(uri, (), cache)
    assert as_json(read_report(plan, REGISTRY)) == as_json(own)
    ((bench,),) = (benches.values() for benches in own.disturbed.values())
    (row,) = bench.rows
    assert bench.levels == (0.0, 0.2, 0.4) and row.lacks == ()


def test_what_is_there_is_not_brought_again_unless_its_run_is_another(
    folder: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(folder, uri)
    cache = tmp_path / "cache"
    (plan,) = fetch(uri, ["made"], cache)
    brought: list[str] = []
    download = MlflowClient.download_artifacts

    def count(self: MlflowClient, run_id: str, path: str, dst: str) -> str:
        brought.append(path)
        return str(download(self, run_id, path, dst))

    monkeypatch.setattr(MlflowClient, "download_artifacts", count)
    assert fetch(uri, ["made"], cache) == [plan]
    assert brought == ["plan/plan.json"]
    # The trial was trained again, to other numbers.
    MlflowClient(uri).delete_run(runs_by_trial(uri, "made")["0"].info.run_id)
    again = TrialFolder(folder / "0")
    again.unmark()
    shutil.copyfile(folder / "1" / "predictions.parquet", folder / "0" / "predictions.parquet")
    again.mark()
    deliver(folder, uri)
    fetch(uri, ["made"], cache)
    report = read_report(plan, REGISTRY)
    first, second = (row.number("nme", next(iter(report.columns))) for row in report.rows)
    assert first == second


def test_a_run_of_an_earlier_version_is_told_and_sync_adds_what_it_lacks(
    folder: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("odnbench.tracking.runs.log_plan", lambda *_: None)
        patch.setattr("odnbench.tracking.runs.PLAN_ARTIFACTS", "")
        deliver(folder, uri)
    told: list[str] = []
    with pytest.raises(OdnbenchError, match="none of its runs holds a plan"):
        fetch(uri, (), tmp_path / "cache", told.append)
    assert len(told) == 1 and "`odnbench sync made` where the results are adds the plan" in told[0]
    deliver(folder, uri)
    assert len(fetch(uri, (), tmp_path / "cache")) == 1


def test_a_finished_trial_whose_files_are_not_there_is_without_numbers(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    deliver(folder, uri)
    run = runs_by_trial(uri, "made")["1"]
    (Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.parquet").unlink()
    (plan,) = fetch(uri, (), tmp_path / "cache")
    missing = {one.title: str(one.standing) for one in read_report(plan, REGISTRY).missing}
    assert missing["odn"] == "failed: its run in MLflow holds no predictions.parquet"


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_keeps_its_name(folder: Path, uri: str, tmp_path: Path, name: str) -> None:
    deliver(renamed(folder, name), uri)
    (plan,) = fetch(uri, [name], tmp_path / "cache")
    assert plan.parent.name == name
    assert read_report(plan, REGISTRY).pipeline.name == name
    assert {run.data.tags["pipeline"] for run in all_runs(uri, name)} >= {name}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_of_a_file_is_no_name_of_a_pipeline(name: str) -> None:
    with pytest.raises(OdnbenchError, match="the name of a pipeline must begin with"):
        check_name(name)


@pytest.mark.parametrize("trial", ["../../strange", "/tmp/strange", ".", "a/b"])
def test_a_plan_leads_out_of_no_folder(
    folder: Path, uri: str, tmp_path: Path, trial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_strange(client: MlflowClient, run_id: str, record: PlanRecord, _: Path) -> None:
        strange = dataclasses.replace(record, trials=(trial, *record.trials[1:]))
        strange.save(tmp_path / "strange")
        client.log_artifact(run_id, str(tmp_path / "strange" / PLAN), plan_artifacts.PLAN_ARTIFACTS)

    monkeypatch.setattr("odnbench.tracking.runs.log_plan", log_strange)
    deliver(folder, uri)
    with pytest.raises(OdnbenchError, match="which is no trial"):
        fetch(uri, (), tmp_path / "cache")


def test_a_store_without_results_and_an_unknown_pipeline_are_told(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    with pytest.raises(OdnbenchError, match="there are no results of odnbench"):
        fetch(uri, (), tmp_path / "cache")
    absent = tmp_path / "absent.db"
    with pytest.raises(OdnbenchError, match=r"there is no file .*absent\.db"):
        fetch(f"sqlite:///{absent}", (), tmp_path / "cache")
    assert not absent.exists()
    deliver(folder, uri)
    with pytest.raises(OdnbenchError, match="no results of 'mdae'; there are results of made"):
        fetch(uri, ["mdae"], tmp_path / "cache")
