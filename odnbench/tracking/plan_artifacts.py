"""What the run of a plan holds beside its report, for whoever has the tracking server alone: the
plan, and the record of a search.
"""

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.tracking import MlflowClient

from odnbench.errors import OdnbenchError, one_line
from odnbench.results.plans import PLAN, PlanRecord
from odnbench.results.searches import SEARCH

PLAN_ARTIFACTS = "plan"  # folder of artifacts
_ID = re.compile(r"\w[\w.-]*")


def log_plan(client: MlflowClient, run_id: str, record: PlanRecord, plan_file: Path) -> None:
    """Logs the plan in `plan_file`, of which `record` was read, to the run of the plan."""
    files = {PLAN: plan_file}
    if record.pipeline.search is not None:
        files[SEARCH] = plan_file.with_name(SEARCH)
    with TemporaryDirectory() as temporary:
        for name, path in files.items():
            if path.is_file():
                copy = shutil.copyfile(path, Path(temporary) / name)
                client.log_artifact(run_id, str(copy), PLAN_ARTIFACTS)


def bring_plan(client: MlflowClient, run_id: str, folder: Path) -> PlanRecord | None:
    """Brings what `log_plan` logged into a pipeline's `folder`; None for a run of an earlier
    version, which holds no plan. Raises OdnbenchError for a plan whose names would lead out of the
    folder.
    """
    names = [Path(item.path).name for item in client.list_artifacts(run_id, PLAN_ARTIFACTS)]
    if PLAN not in names:
        return None
    with TemporaryDirectory() as temporary:
        brought = {
            name: Path(client.download_artifacts(run_id, f"{PLAN_ARTIFACTS}/{name}", temporary))
            for name in (PLAN, SEARCH)
            if name in names
        }
        record = PlanRecord.load(brought[PLAN])
        strange = [name for name in (record.id, *record.trials) if not _ID.fullmatch(name)]
        if strange or record.pipeline.name != folder.name:
            raise OdnbenchError(
                f"the plan of run {run_id} names {one_line([*strange, record.pipeline.name][0])}, "
                f"which is no trial or not the pipeline {folder.name}; remove the run"
            )
        record.save(folder)
        if SEARCH in brought:
            shutil.copyfile(brought[SEARCH], folder / SEARCH)
    return record
