"""The report of a plan, as artifacts of the plan's run in MLflow."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.tracking import MlflowClient

from odnbench.plan.entries import Format
from odnbench.plan.registry import Registry
from odnbench.reports.formats import write_report
from odnbench.reports.read import read_report
from odnbench.reports.report import Report

_FORMATS = ("html", "markdown")  # those of them that the registry has


def log_report(client: MlflowClient, run_id: str, plan_file: Path, registry: Registry) -> None:
    """Logs the report of the plan in `plan_file`, once there is anything in it."""
    report = read_report(plan_file, registry)
    if report.rows:
        with TemporaryDirectory() as temporary:
            write_reports(report, Path(temporary), registry)
            client.log_artifacts(run_id, temporary, "report")


def write_reports(report: Report, folder: Path, registry: Registry) -> None:
    """Writes the report into `folder`, in each of _FORMATS."""
    for name in _FORMATS:
        if name in registry.all(Format):
            write_report(report, name, folder, registry)
