"""What the commands share: the console, and where data and caches are."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
console = Console(highlight=False, width=200 if piped else None)

DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets, or of one of them.", envvar="ODNBENCH_DATA"),
]
Plugins = Annotated[
    list[Path], typer.Option("--registry", help="Folder with registry entries of your own.")
]


def data_root_of(option: Path | None) -> Path | None:
    """The option or $ODNBENCH_DATA, else `data_root` in the user's configuration file."""
    if option is not None:
        return option
    file = Path(typer.get_app_dir("odnbench")) / "config.toml"
    if not file.is_file():
        return None
    from odnbench.registry import read_toml

    configured = read_toml(file).get("data_root")
    return Path(configured).expanduser() if configured else None


def cache_folder() -> Path:
    """Where prepared faces are kept: $ODNBENCH_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ODNBENCH_CACHE") or Path(base) / "odnbench")


def plain(text: str) -> str:
    """Text in which rich sees no markup."""
    return text.replace("[", r"\[")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error that goes when it is done. Yields what to call after each step."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    errors = Console(stderr=True)
    hidden = not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
