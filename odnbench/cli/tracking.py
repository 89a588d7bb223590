"""`odnbench sync` and `odnbench ui`: the mirror of the results in MLflow."""

import subprocess
from typing import Annotated

import typer

from odnbench.cli.options import PipelinesArgument, RegistryOption, StorageOption
from odnbench.cli.terminal import load_registry, needs, plans_of, results_in, say


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
        from odnbench.tracking.client import mlflow_ui_arguments

    raise typer.Exit(subprocess.run(mlflow_ui_arguments(port), check=False).returncode)
