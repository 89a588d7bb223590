"""What the commands share besides option types: the console, the places that the options name,
and texts for people.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from odnbench.cli.configuration import configuration
from odnbench.cli.places import check_home, check_utf8, check_writable
from odnbench.cli.plain_console import PlainConsole
from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.paths import path_of

if TYPE_CHECKING:
    from odnbench.plan.registry import Registry
    from odnbench.storage.place import ResultStore

_is_terminal = sys.stdout is not None and sys.stdout.isatty()  # None where it was closed
piped = not (_is_terminal or os.environ.get("COLUMNS", "").isdigit())
# Both, or a width alone would not count where nothing may move.
console = PlainConsole(width=200 if piped else None, height=50 if piped else None)


def data_root_of(option: Path | None) -> Path | None:
    """The folder of the data sets: the value of --data-root or $ODNBENCH_DATA, else `data_root` in
    the user's configuration file; None where neither is given.
    """
    if option is None and (configured := configuration().data_root):
        option = path_of(configured)
    if option is not None:
        check_utf8(option, "--data-root")
    return option


def cache_folder() -> Path:
    """Where prepared faces are kept: $ODNBENCH_CACHE, else the user's cache folder.

    Raises OdnbenchError for a folder that is not there and cannot be made. One that is there and
    cannot be written may hold all that is needed.
    """
    if own := os.environ.get("ODNBENCH_CACHE"):
        folder = path_of(own)
    else:
        try:
            folder = path_of(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "odnbench"
        except OdnbenchError as error:
            raise OdnbenchError(
                "there is no home folder in which prepared faces can be kept; set ODNBENCH_CACHE "
                "to a folder, or HOME"
            ) from error
    check_utf8(folder, "ODNBENCH_CACHE")
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises where this user cannot look)
        check_writable(folder, "ODNBENCH_CACHE")
    return folder


def load_registry(folders: Sequence[Path] | None) -> "Registry":
    """The shipped registry entries and those of the folders that --registry names."""
    from odnbench.plan.registry import Registry

    return Registry.load(folders or ())


def results_in(storage: str) -> "ResultStore":
    """The place of results that the option --storage names, a folder or a URI."""
    from odnbench.storage.place import ResultStore, open_storage

    if "://" in storage:
        return open_storage(storage, cache_folder())
    if not storage:
        raise OdnbenchError("--storage is empty; name a folder, as runs, or leave the option out")
    return ResultStore(path_of(storage))


def plans_of(results: "ResultStore", pipelines: Sequence[str] | None) -> list[Path]:
    """The plan files of `pipelines`, or of all pipelines with results. Where the results are behind
    a URI, those of the pipelines are copied to this machine first.
    """
    from odnbench.plan.pipelines import check_name
    from odnbench.results.plans import plan_files

    for name in pipelines or () if results.uri else ():
        check_name(name)  # what is copied must not leave the folder of copies
    with console.status(f"bringing results from {plain(str(results))}"):
        results.pull(pipelines or ())
    return plan_files(results.folder, pipelines or [], str(results))


def readable(plans: Sequence[Path]) -> Iterator[Path]:
    """Those of the plan files `plans` that can be read. Raises OdnbenchError at the end, with a
    line for each of the others.
    """
    from odnbench.results.plans import PlanRecord

    faults = []
    for plan in plans:
        try:
            PlanRecord.load(plan)
        except OdnbenchError as error:
            faults.append(str(error))
        else:
            yield plan
    if faults:
        raise OdnbenchError("\n".join(faults))


def is_about(error: ModuleNotFoundError, library: str) -> bool:
    """Whether `error` says that `library` is missing, and not some module that it imports."""
    return (error.name or "").partition(".")[0] == library


@contextmanager
def needs(library: str, cure: str) -> Iterator[None]:
    """Turns the error of an import inside the context into one that gives the `cure` where
    `library` is not installed. Raises OdnbenchError where there is no home folder, which Ray and
    MLflow need.
    """
    check_home()
    try:
        yield
    except ModuleNotFoundError as error:
        if not is_about(error, library):
            raise
        raise OdnbenchError(f"{library} is not installed; {cure}") from error


def say(text: str) -> None:
    """Prints `text` as it is; no line is wrapped."""
    console.print(text, soft_wrap=True)


def plain(text: str) -> str:
    """`text` in one line; see `one_line`."""
    return one_line(text)


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
    """A bar on standard error that disappears when the context ends. Yields a function that is to
    be called after each of the `total` steps.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    errors = PlainConsole(stderr=True)
    hidden = not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
