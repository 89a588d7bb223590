"""Results are read from MLflow alone, where the trial folders are not at hand.

The runs hold what a report needs: that of the plan its record (plan_artifacts.py), those of the
trials the files of their folders but for the weights. From these, a copy of the folders is made
again, which is read as any results are.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from odnbench.errors import OdnbenchError, without_secrets
from odnbench.plan.pipelines import check_name
from odnbench.results.folder import (
    EPOCHS,
    FOR_PEOPLE,
    PREDICTIONS,
    RESULT,
    TRIAL,
    TrialFolder,
    is_added,
)
from odnbench.results.plans import PLAN
from odnbench.results.records import State
from odnbench.tracking.address import check_address
from odnbench.tracking.client import (
    UNREACHABLE,
    connect,
    does_not_answer,
    experiment_name,
    tag_filter,
)
from odnbench.tracking.databases import is_made, sqlite_file
from odnbench.tracking.entries import COMPLETE_TAG, PLAN_TAG, SAVED_TAG, TRIAL_TAG
from odnbench.tracking.plan_artifacts import bring_plan

_STATES: dict[str, State] = {
    "FINISHED": "done", "FAILED": "failed", "KILLED": "stopped", "RUNNING": "running",
    "SCHEDULED": "waiting",
}  # fmt: skip
_NEEDED = (TRIAL, RESULT, EPOCHS, PREDICTIONS)  # files of a finished trial
_RUN = ".origin"  # in a trial's folder: the run that it was brought from


def fetch(
    uri: str, pipelines: Collection[str], cache: Path, tell: Callable[[str], None] = print
) -> list[Path]:
    """Brings the newest plan of each of `pipelines`, or of all that MLflow at `uri` holds, with its
    trials into a folder below `cache`. Returns the files of the plans.

    A trial that is there as the run has it stays. tell: takes a line for people. Raises
    OdnbenchError where MLflow does not answer, and for a pipeline of which it holds no plan.
    """
    shown = without_secrets(uri)
    path = sqlite_file(uri)
    if path is not None and not is_made(path):
        raise OdnbenchError(f"MLflow at {shown}: there is no file {path}; give the URI of a store")
    check_address(uri)
    folder = cache / "mlflow" / sha256(shown.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        client = connect(uri)
        held = dict(_experiments(client))
        if absent := [name for name in pipelines if name not in held]:
            known = f"there are results of {', '.join(held)}" if held else "there are no results"
            raise OdnbenchError(f"MLflow at {shown}: no results of '{absent[0]}'; {known}")
        if not held:
            raise OdnbenchError(f"MLflow at {shown}: there are no results of odnbench")
        found = []
        for name in pipelines or held:
            with FileLock(folder / f".{name}.lock"):
                if _bring_pipeline(client, held[name], folder / name, tell):
                    found.append(folder / name / PLAN)
    except UNREACHABLE as error:
        raise OdnbenchError(does_not_answer(uri, error)) from error
    if not found:
        raise OdnbenchError(f"MLflow at {shown}: none of its runs holds a plan")
    return found


def _experiments(client: MlflowClient) -> Iterator[tuple[str, str]]:
    """(pipeline, id of its experiment); names that cannot be those of a folder are left out."""
    prefix = experiment_name("")
    for experiment in _paged(client.search_experiments, filter_string=f"name LIKE '{prefix}%'"):
        name = experiment.name.removeprefix(prefix)
        try:
            check_name(name)
        except OdnbenchError:
            continue
        yield name, experiment.experiment_id


def _bring_pipeline(
    client: MlflowClient, experiment: str, folder: Path, tell: Callable[[str], None]
) -> bool:
    """Brings the newest plan of an experiment that holds its plan. Returns whether there is one."""
    runs = _paged(
        client.search_runs, experiment_ids=[experiment], filter_string=tag_filter({TRIAL_TAG: ""})
    )
    for run in sorted(runs, key=_when_planned, reverse=True):
        record = bring_plan(client, run.info.run_id, folder)
        if record is None:
            tell(
                f"{folder.name}: run {run.info.run_id} holds no plan, since an earlier version has "
                f"logged it; `odnbench sync {folder.name}` where the results are adds the plan"
            )
            continue
        of_plan = tag_filter({PLAN_TAG: record.id})
        for one in _paged(client.search_runs, experiment_ids=[experiment], filter_string=of_plan):
            if (identity := one.data.tags[TRIAL_TAG]) in record.trials:
                _bring_trial(client, one, folder / identity)
        return True
    return False


def _when_planned(run: Run) -> str:
    """When the plan of its parent `run` was made; of older runs, when the first trial began."""
    began = datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(timespec="seconds")
    return str(run.data.tags.get(SAVED_TAG, began))


def _bring_trial(client: MlflowClient, run: Run, path: Path) -> None:
    """Brings the files of a trial, unless its folder holds those of the finished run."""
    run_id, mark = run.info.run_id, run.data.tags.get(COMPLETE_TAG, "")
    source = f"{run_id} {mark}"
    origin = path / _RUN
    if origin.is_file() and origin.read_text(encoding="utf-8") == source:
        return
    held = [item.path for item in client.list_artifacts(run_id)]
    with TemporaryDirectory(dir=path.parent, prefix=".") as temporary:
        new = TrialFolder(Path(temporary) / path.name)
        new.path.mkdir()

        def bring(names: Iterable[str]) -> None:
            for name in names:
                client.download_artifacts(run_id, name, str(new.path))

        bring(name for name in FOR_PEOPLE if name in held)
        # Without its mark, a run may lack what was not delivered before the connection was lost.
        state = _STATES.get(run.info.status, "running") if mark else "running"
        lacking = [name for name in _NEEDED if not (new.path / name).is_file()]
        if state == "done" and lacking:
            new.set_status("failed", f"its run in MLflow holds no {lacking[0]}")
        else:
            new.set_status(state, run.data.tags.get("reason", ""))
        if state == "done" and not lacking:
            new.mark()
        bring(filter(is_added, held))  # of which the marker says nothing
        (new.path / _RUN).write_text(source, encoding="utf-8")
        if path.exists():
            shutil.rmtree(path)
        new.path.replace(path)


def _paged(find: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Everything that `find` finds, page by page."""
    token = None
    while True:
        page = find(page_token=token, **arguments)
        yield from page
        if not (token := page.token):
            return
