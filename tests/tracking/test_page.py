"""MLflow's table of runs: its address, its columns, and the report beside the plan's run."""

import json
import shutil
import socket
import webbrowser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from helpers import Run
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from odnbench.cli import tracking as commands
from odnbench.plan.registry import Registry
from odnbench.sweep.plan import Plan
from odnbench.tracking.page import VIEW_TAG, runs_tables, view_of
from odnbench.tracking.plan_report import log_report
from odnbench.tracking.sync import sync

PAGE = "http://127.0.0.1:5000"


@pytest.fixture
def delivered(finished: Plan, uri: str, without_files_that_take_long: None) -> MlflowClient:
    sync(finished.file.parent, finished.registry, uri)
    return MlflowClient(tracking_uri=uri)


@pytest.mark.parametrize("page", [PAGE, f"{PAGE}/", "https://host/mlflow//"])
def test_the_address_is_that_of_the_table_with_our_view(delivered: MlflowClient, page: str) -> None:
    (table,) = runs_tables(delivered, page)
    experiment = delivered.get_experiment_by_name("odnbench/ablation")
    assert table.pipeline == "ablation"
    base, _, route = table.address.partition("#")
    assert base == f"{page.rstrip('/')}/"
    assert urlsplit(route).path == f"/experiments/{experiment.experiment_id}/runs"
    query = parse_qs(urlsplit(route).query)
    assert query["workflowType"] == ["machine_learning"]
    (view,) = query["viewStateShareKey"]
    assert f"mlflow.sharedViewState.{view}" == VIEW_TAG and VIEW_TAG in experiment.tags


def test_an_experiment_without_the_view_is_shown_with_mlflows_own(uri: str) -> None:
    client = MlflowClient(tracking_uri=uri)
    client.create_experiment("odnbench/older")
    client.create_experiment("somebody's")
    (table,) = runs_tables(client, PAGE)
    assert table.pipeline == "older" and "viewStateShareKey" not in table.address


def test_an_experiment_of_before_gets_the_view(
    finished: Plan, uri: str, without_files_that_take_long: None
) -> None:
    client = MlflowClient(tracking_uri=uri)
    client.create_experiment("odnbench/ablation")
    sync(finished.file.parent, finished.registry, uri)
    assert VIEW_TAG in client.get_experiment_by_name("odnbench/ablation").tags


def test_the_columns_are_what_the_runs_have(delivered: MlflowClient) -> None:
    experiment = delivered.get_experiment_by_name("odnbench/ablation")
    view = json.loads(experiment.tags[VIEW_TAG])
    runs = delivered.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    known = {"attributes.`Duration`"}
    for run in runs:
        known |= {f"metrics.`{name}`" for name in run.data.metrics}
        known |= {f"tags.`{name}`" for name in run.data.tags}
    assert set(view["selectedColumns"]) <= known
    assert view["columnOrder"] == view["selectedColumns"]
    assert view["orderByKey"] == "metrics.`best_validation_nme_percent`" and view["orderByAsc"]


def test_the_view_of_many_columns_is_whole() -> None:
    view = view_of([f"test_nme_percent.{'name' * 20}/{number}" for number in range(100)])
    assert len(view) < 5000 and len(json.loads(view)["selectedColumns"]) > 8


def test_the_plans_run_has_the_report_in_every_format_that_is_there(
    finished: Plan, uri: str, tmp_path: Path
) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "formats.toml").write_text(
        "".join(
            f'[{name}]\ntitle = "x"\ntarget = "{__name__}:write_{name}"\n'
            for name in ("html", "markdown", "other")
        )
    )
    registry = Registry.load([tmp_path / "entries"])
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("odnbench/ablation"))
    log_report(client, run.info.run_id, finished.file, registry)
    files = client.list_artifacts(run.info.run_id, "report")
    assert {file.path for file in files} == {"report/ablation.html", "report/ablation.markdown"}


def write_html(report: object, folder: Path) -> Path:
    path = folder / "ablation.html"
    path.write_text("html")
    return path


def write_markdown(report: object, folder: Path) -> Path:
    return Path(shutil.copy(write_html(report, folder), folder / "ablation.markdown"))


def test_a_pipeline_that_mlflow_does_not_have_is_refused(
    odnbench: Run, uri: str, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    MlflowClient(tracking_uri=uri).create_experiment("odnbench/ablation")
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", uri)
    done = odnbench("ui", "ablations")
    assert done.returncode == 2
    assert "unknown pipeline in MLflow 'ablations'; did you mean 'ablation'?" in done.stderr


def test_a_page_is_opened_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(commands.time, "sleep", lambda _: None)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        commands._open_once_up("an address", port)
        assert not opened
        server.listen()
        commands._open_once_up("an address", port)
    assert opened == ["an address"]
