"""`odnbench sync` and `odnbench ui`: the mirror of the results in MLflow."""

import errno
import os
import socket
import subprocess
import time
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Annotated

import typer

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.terminal import load_registry, needs, plans_of, results_in, say
from odnbench.errors import OdnbenchError, unknown, without_secrets

_SECONDS_TO_END = 10
_SECONDS_TO_START = 120  # in which MLflow's server is up on a slow machine


def sync_command(
    pipelines: PipelinesArgument = None,
    storage: StorageOption = "runs",
    registry_folders: RegistryOption = None,
) -> None:
    """Bring results on disk into MLflow; what is there already stays as it is."""
    with needs("mlflow", "install it to log to it"):
        from odnbench.tracking.sync import sync

    registry = load_registry(registry_folders)
    whole = True
    results = results_in(storage)
    for plan_file in plans_of(results, pipelines):
        if results.sweeping_elsewhere(plan_file.parent.name):
            say(f"{plan_file.parent.name}: another machine sweeps into {results} and delivers it")
            continue
        delivered = sync(plan_file.parent, registry, tell=say)
        for line in delivered.left_out:
            say(line)
        say(f"{plan_file.parent.name}: {delivered}")
        whole = whole and not delivered.left_out
    if not whole:
        raise typer.Exit(1)


def ui_command(
    pipelines: PipelinesArgument = None,
    port: Annotated[
        int, typer.Option(help="Port on this machine's loopback.", min=1, max=65535)
    ] = 5000,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the table of runs in a browser.")
    ] = False,
) -> None:
    """Serve MLflow's page of the runs of this folder, and tell where its tables of runs are."""
    with needs("mlflow", "install it to see its page"):
        from odnbench.tracking.address import check_address
        from odnbench.tracking.client import connect, tracking_uri

    uri = tracking_uri()
    check_address(uri)
    is_server = uri.startswith("http")
    if not is_server:
        _check_port(port)
        connect(uri)  # makes the store, if it is not there
    page = uri if is_server else f"http://127.0.0.1:{port}"
    first = _tell_tables(uri, page, pipelines or ())
    if is_server:
        if open_page:
            webbrowser.open(first)
        return
    if open_page:
        Thread(target=_open_once_up, args=(first, port), daemon=True).start()
    raise typer.Exit(served(port, uri))


def served(port: int, uri: str) -> int:
    """Serves the page until it ends or this command is ended. Returns its exit status."""
    from odnbench.tracking.client import mlflow_ui_arguments

    # In the environment, where other users do not see the password of a database.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    with subprocess.Popen(mlflow_ui_arguments(port), env=environment) as page:
        try:
            return page.wait()
        except BaseException:
            page.terminate()  # MLflow passes it on to the processes that it has begun
            with suppress(subprocess.TimeoutExpired):
                page.wait(_SECONDS_TO_END)
            page.kill()
            raise


def _tell_tables(uri: str, page: str, pipelines: Sequence[str]) -> str:
    """Prints the address of the table of runs of each pipeline, of `pipelines` or of all. Returns
    the first one, which was changed last; that of MLflow's page where there are none.
    """
    from odnbench.tracking.client import UNREACHABLE, connect, does_not_answer
    from odnbench.tracking.page import runs_tables

    shown = without_secrets(page)
    try:
        tables = runs_tables(connect(uri), page)
    except UNREACHABLE as error:
        say(does_not_answer(uri, error))
        tables = []
    known = [table.pipeline for table in tables]
    for name in pipelines:
        if name not in known:
            raise unknown("pipeline in MLflow", name, known)
    tables = [table for table in tables if not pipelines or table.pipeline in pipelines]
    for table in tables:
        say(f"{table.pipeline}: {without_secrets(table.address)}")
    if not tables:
        say(f"MLflow has no runs of odnbench yet; its page is {shown}")
    return tables[0].address if tables else page


def _open_once_up(address: str, port: int) -> None:
    """Opens `address` in a browser as soon as something answers on `port` of the loopback."""
    for _ in range(_SECONDS_TO_START):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            webbrowser.open(address)
            return
        time.sleep(1)


def _check_port(port: int) -> None:
    """Raises OdnbenchError where MLflow's page cannot be served on `port` of the loopback."""
    try:
        _bind(port)
    except OSError as error:
        why = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        raise OdnbenchError(f"--port {port} {why}; try --port {_bind(0)}, which is free") from error


def _bind(port: int) -> int:
    """Takes `port` of this machine's loopback, any free one for 0, and gives it back at once.
    Returns its number.
    """
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server of the page
        taken.bind(("127.0.0.1", port))
        return int(taken.getsockname()[1])
