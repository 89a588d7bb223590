"""The connection to MLflow: where it is, and what it raises where it does not answer."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from odnbench.errors import OdnbenchError, without_secrets
from odnbench.plan.paths import path_of
from odnbench.tracking import databases

DEFAULT_STORE = "sqlite:///mlflow.db"
EXPERIMENTS = "odnbench/"  # how the names of our experiments begin
# What a client raises where MLflow does not answer; the errors of `requests` are OSErrors.
UNREACHABLE = (MlflowException, SQLAlchemyError, OSError)
_LONGEST = 1000  # characters of a reason; MLflow's own cures stand at the end of long ones
_Entity = TypeVar("_Entity")


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the SQLite store in the current folder. `~` in the
    path of an SQLite file is the home folder.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or DEFAULT_STORE
    scheme, separator, path = uri.partition(":///")
    is_in_home = scheme.startswith("sqlite") and path.startswith("~")
    return f"{scheme}{separator}{path_of(path)}" if is_in_home else uri


def mlflow_ui_arguments(port: int) -> list[str]:
    """The program and the arguments that serve MLflow's page of the runs, on this machine's
    loopback only; the environment says of which store (MLFLOW_BACKEND_STORE_URI).
    """
    return [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]


def connect(uri: str) -> MlflowClient:
    """A client of MLflow at `uri`. Raises one of UNREACHABLE at once where a database server is
    away, for which MLflow itself waits 100 seconds; OdnbenchError where the database can never
    work.
    """
    if uri.startswith(databases.SCHEMES):
        databases.probe(uri, without_secrets(uri))
        databases.make_file(uri)
    return MlflowClient(tracking_uri=uri)


def experiment_name(pipeline: str) -> str:
    """The experiment that holds the runs of `pipeline`."""
    return f"{EXPERIMENTS}{pipeline}"


def refuse_deleted(experiment: Any, shown: str) -> None:
    """Raises OdnbenchError where `experiment`, an Experiment or its JSON, was deleted: MLflow would
    neither log to it nor let another one have its name. shown: the address, for people.
    """
    values = experiment if isinstance(experiment, dict) else dict(experiment or {})
    if values.get("lifecycle_stage") == "deleted":
        raise OdnbenchError(
            f"MLflow at {shown}: the experiment {values['name']} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {values['experiment_id']}`, or remove it "
            "for good with `mlflow gc`"
        )


def find_or_create(
    find: Callable[[], list[_Entity]],
    create: Callable[[], object],
    delete: Callable[[_Entity], object],
) -> _Entity:
    """The first of what `find` finds, after `create` if there is none; the others are deleted.

    There are several where the answer to an earlier `create` was lost: MLflow's client then asks
    again, or the next synchronisation does.
    """
    found = find()
    if not found:
        create()
        found = find()
    first, *others = found
    for other in others:
        delete(other)
    return first


def tag_filter(tags: Mapping[str, str]) -> str:
    """The condition, in MLflow's search language, that an entity has all of `tags`."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def reason_of(error: Exception) -> str:
    """What is at the bottom of an error, in one line and without passwords."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = re.search(r"""Caused by \w+\(["']?(.*?)["']?\)\)""", line)
    return without_secrets(cause[1] if cause else line)[:_LONGEST]


def does_not_answer(uri: str, error: Exception) -> str:
    """The beginning of the message that MLflow at `uri` is away, or refuses what is sent."""
    status = error.get_http_status_code() if isinstance(error, MlflowException) else 500
    does = "refuses what is sent" if 400 <= status < 500 else "does not answer"
    return f"MLflow at {without_secrets(uri)} {does} ({reason_of(error)})"
