"""`odnbench sync` and `odnbench ui`: the mirror of the results in MLflow."""

import errno
import socket
import subprocess
from typing import Annotated

import typer

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.terminal import load_registry, needs, plans_of, results_in, say
from odnbench.errors import OdnbenchError


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
    for plan_file in plans_of(results_in(storage), pipelines):
        delivered = sync(plan_file.parent, registry, tell=say)
        for line in delivered.left_out:
            say(line)
        say(f"{plan_file.parent.name}: {delivered}")
        whole = whole and not delivered.left_out
    if not whole:
        raise typer.Exit(1)


def ui_command(
    port: Annotated[
        int, typer.Option(help="Port on this machine's loopback.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Open MLflow's page of the runs of this folder."""
    with needs("mlflow", "install it to see its page"):
        from odnbench.tracking.address import check_address
        from odnbench.tracking.client import connect, mlflow_ui_arguments, tracking_uri

    uri = tracking_uri()
    check_address(uri)
    if uri.startswith("http"):
        say(f"MLflow's page of the runs is that of the server: {uri}")
        return
    _check_port(port)
    connect(uri)  # makes the store, if it is not there
    raise typer.Exit(subprocess.run(mlflow_ui_arguments(port), check=False).returncode)


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
