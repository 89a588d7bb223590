"""What the commands share: the console, and where data and caches are."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from odnbench.storage.place import ResultStore

piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
console = Console(highlight=False, width=200 if piped else None)

DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets, or of one of them.", envvar="ODNBENCH_DATA"),
]
Plugins = Annotated[
    list[Path], typer.Option("--registry", help="Folder with registry entries of your own.")
]
Storage = Annotated[
    str,
    typer.Option(
        help="Folder of results, or a URI as s3://bucket/prefix.", envvar="ODNBENCH_STORAGE"
    ),
]


def data_root_of(option: Path | None) -> Path | None:
    """The option or $ODNBENCH_DATA, else `data_root` in the user's configuration file."""
    if option is not None:
        return option
    file = Path(typer.get_app_dir("odnbench")) / "config.toml"
    if not file.is_file():
        return None
    from odnbench.plan.registry import read_toml

    configured = read_toml(file).get("data_root")
    return Path(configured).expanduser() if configured else None


def cache_folder() -> Path:
    """Where prepared faces are kept: $ODNBENCH_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ODNBENCH_CACHE") or Path(base) / "odnbench")


def results_in(storage: str) -> "ResultStore":
    """The place that the option --storage names."""
    from odnbench.storage.place import open_storage

    return open_storage(storage, cache_folder())


def plans_of(results: "ResultStore", pipelines: Sequence[str] | None) -> list[Path]:
    """The plans of `pipelines`, or of all; what a URI holds of them is brought here first."""
    from odnbench.results.plans import plan_files

    with console.status(f"bringing results from {plain(str(results))}"):
        results.pull(pipelines or ())
    return plan_files(results.folder, pipelines or [], str(results))


def plain(text: str) -> str:
    """Text in which rich sees no markup."""
    return text.replace("[", r"\[")


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def amount(count: float) -> str:
    """A number of bytes for people: 12 MB, 3.4 GB."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


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
