"""The command line. Every command is a few lines that call the library; heavy imports wait for a
command.

Exit status: 0 all done, 1 a trial failed or is interrupted, 2 a mistake in names, values or files,
130 ended by Ctrl-C, 143 by SIGTERM, 138 by SIGUSR1, 129 by SIGHUP.
"""

import errno
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from odnbench import __version__
from odnbench.cli.bench import bench_app
from odnbench.cli.commands import Commands
from odnbench.cli.data import data_app
from odnbench.cli.evaluate import evaluate_command
from odnbench.cli.export import export_command
from odnbench.cli.leaderboard import leaderboard_command
from odnbench.cli.plain_console import PlainConsole, lines
from odnbench.cli.predict import predict_command
from odnbench.cli.registry import registry_app
from odnbench.cli.report import report_command
from odnbench.cli.run import run_command
from odnbench.cli.score import rescore_command, score_command
from odnbench.cli.signals import interruption
from odnbench.cli.status import status_command
from odnbench.cli.streams import prepare_streams
from odnbench.cli.terminal import cache_folder, console
from odnbench.cli.tracking import sync_command, ui_command
from odnbench.cli.tune import tune_command
from odnbench.errors import OdnbenchError

# What the system says of a disk that is full, and of a path that this user cannot use.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR,
    errno.EEXIST, errno.ELOOP,
)  # fmt: skip

app = Commands(
    help="Benchmarks and ablations for occlusion-robust facial landmark detection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("tune")(tune_command)
app.command("report")(report_command)
app.command("status")(status_command)
app.command("ui")(ui_command)
app.command("leaderboard")(leaderboard_command)
app.command("sync")(sync_command)
app.command("predict")(predict_command)
app.command("score")(score_command)
app.command("rescore")(rescore_command)
app.command("evaluate")(evaluate_command)
app.command("export")(export_command)
app.add_typer(data_app, name="data")
app.add_typer(registry_app, name="registry")
app.add_typer(bench_app, name="bench")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        console.print(f"odnbench {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the console script: a user's mistake gets one line and no traceback; a bug
    shows its traceback.
    """
    prepare_streams()
    _make_current_folder_importable()
    try:
        with interruption.heeded():
            status = _status_of_app()
    except KeyboardInterrupt:
        status = 1
    sys.exit(interruption.status or status)


def _status_of_app() -> int:
    try:
        app()
    except OdnbenchError as error:
        _print_error(str(error))
        return 2
    except OSError as error:
        if error.errno in _FULL:
            _print_error(f"{error}; with more room the same command goes on with what is missing")
            return 1
        if error.errno not in _NO_PLACE or error.filename is None:
            raise
        _print_error(f"{error.filename}: {error.strerror}; {_cure(Path(error.filename))}")
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _cure(path: Path) -> str:
    """What to do about a path that cannot be used."""
    with suppress(OdnbenchError):  # where there is no home folder, the cache is not known
        if path.is_relative_to(cache_folder()):
            return "set ODNBENCH_CACHE to a folder for prepared faces that can be written"
    return "name another place, or let this user read and write there"


def _make_current_folder_importable() -> None:
    """Lets targets of the registry name modules of the current folder, from the console script as
    from `python -m odnbench`. Under `python -P` or PYTHONSAFEPATH neither does.
    """
    current = str(Path.cwd())
    if not sys.flags.safe_path and not {"", current} & set(sys.path):
        sys.path.insert(0, current)


def _print_error(text: str) -> None:
    shown = Text.assemble(("error:", "bold red"), f" {lines(text)}")
    PlainConsole(stderr=True).print(shown, soft_wrap=True)
