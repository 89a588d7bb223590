"""Whether MLflow can work at an address at all, told before a sweep and not after it.

A server that is merely away is no fault: a sweep does not wait for it, and `odnbench sync` brings
the runs later.
"""

from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _tracking_store_registry
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from mlflow.utils.uri import get_uri_scheme

from odnbench.errors import OdnbenchError, without_secrets
from odnbench.tracking import databases
from odnbench.tracking.client import (
    UNREACHABLE,
    connect,
    experiment_name,
    reason_of,
    refuse_deleted,
)

_SECONDS = 2.0  # that a server gets to answer before it counts as away
_AWAY = (408, 429)  # statuses of a server that asks to be called later, as all from 500 on
_LOGIN = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to a "
    "login that may write there"
)
_ADDRESSES = "http://HOST:PORT, sqlite:///mlflow.db or postgresql://USER:PASSWORD@HOST/DATABASE"


def check_address(uri: str, pipeline: str = "") -> None:
    """Raises OdnbenchError, with the cure, where the runs of `pipeline` can never be logged to
    MLflow at `uri`; returns where they can, and where a server does not answer.
    """
    shown = without_secrets(uri)
    try:
        store = _tracking_store_registry.get_store_builder(uri)
    except MlflowException as error:
        scheme = uri.partition(":")[0]
        raise OdnbenchError(
            f"MLflow at {shown}: '{scheme}' is no kind of store that MLflow knows; set "
            f"MLFLOW_TRACKING_URI to {_ADDRESSES}"
        ) from error
    scheme = get_uri_scheme(uri)
    if scheme in ("", "file"):
        _check_folder(store, uri)
    elif scheme in databases.SCHEMES:
        _check_database(uri, shown, pipeline)
    elif scheme in ("http", "https"):
        _check_server(uri, shown, pipeline)


def _check_folder(store: Any, uri: str) -> None:
    """Raises OdnbenchError where MLflow does not keep runs in plain files any more, or may not."""
    try:
        store(store_uri=uri, artifact_uri=None)
    except (MlflowException, OSError) as error:
        refused = f"MLflow {version('mlflow')} keeps no runs in plain files any more"
        reason = refused if isinstance(error, MlflowException) else reason_of(error)
        raise OdnbenchError(
            f"MLflow at {uri}: {reason}; set MLFLOW_TRACKING_URI=sqlite:///mlflow.db (`mlflow "
            "migrate-filestore` takes old runs there), or MLFLOW_ALLOW_FILE_STORE=true"
        ) from error


def _check_database(uri: str, shown: str, pipeline: str) -> None:
    try:
        databases.probe(uri, shown)
        path = databases.sqlite_file(uri)
        if pipeline and (path is None or databases.is_made(path)):
            experiment = connect(uri).get_experiment_by_name(experiment_name(pipeline))
            refuse_deleted(experiment, shown)
    except UNREACHABLE:
        return


def _check_server(uri: str, shown: str, pipeline: str) -> None:
    """Asks a server for the experiment of `pipeline`, once and not for long."""
    try:
        if not urlsplit(uri).hostname:
            raise requests.exceptions.InvalidURL("it names no host")
        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/get-by-name",
            "GET",
            params={"experiment_name": experiment_name(pipeline)},
            timeout=_SECONDS,
            max_retries=0,
            raise_on_status=False,
        )
    except (*UNREACHABLE, ValueError) as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, requests.exceptions.SSLError):
            raise OdnbenchError(
                f"MLflow at {shown}: no secure connection ({reason_of(cause)}); give http:// if "
                "the server has no certificate, or MLFLOW_TRACKING_SERVER_CERT_PATH"
            ) from error
        if isinstance(cause, ValueError):  # requests says so of an address that it cannot read
            raise OdnbenchError(
                f"MLflow at {shown}: not an address ({reason_of(cause)}); set MLFLOW_TRACKING_URI "
                f"to {_ADDRESSES}"
            ) from error
        return
    status = answer.status_code
    if status >= 500 or status in _AWAY:
        return
    if status == 401:
        raise OdnbenchError(f"MLflow at {shown}: the login is refused (status 401); {_LOGIN}")
    if status == 403:
        why = answer.text.strip().splitlines()[0][:100] if answer.text.strip() else "forbidden"
        raise OdnbenchError(f"MLflow at {shown}: access is refused (status 403: {why}); {_LOGIN}")
    try:
        content = answer.json()
        experiment = content.get("experiment")
        missing = content.get("error_code") == "RESOURCE_DOES_NOT_EXIST"
    except (ValueError, AttributeError):
        experiment, missing = None, False
    if not (experiment or missing):
        raise OdnbenchError(
            f"MLflow at {shown}: what answers there is no MLflow server (status {status}); check "
            "host, port and path of MLFLOW_TRACKING_URI"
        )
    if experiment:
        refuse_deleted(experiment, shown)
