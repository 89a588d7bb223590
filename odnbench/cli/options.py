"""Option types that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

PipelinesArgument = Annotated[
    list[str] | None, typer.Argument(help="Pipelines; default: all with results.")
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets, or of one of them.", envvar="ODNBENCH_DATA"),
]
RegistryOption = Annotated[
    list[Path] | None,
    typer.Option("--registry", help="Folder with registry entries of your own."),
]
StorageOption = Annotated[
    str,
    typer.Option(
        help="Folder of results, or a URI as s3://bucket/prefix.", envvar="ODNBENCH_STORAGE"
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a field of every trial."),
]
