"""`odnbench status`: how far the trials are, and how long the rest takes.

The command takes no --registry: a trial folder holds all that is shown of its trial, so that no
registry entry matters.
"""

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from odnbench.cli.options import PipelinesArgument, StorageOption
from odnbench.cli.terminal import console, duration, plain, plans_of, readable, results_in, say

if TYPE_CHECKING:
    from odnbench.results.status import PlanStatus, SearchStatus

_STYLES = {
    "failed": "red",
    "interrupted": "yellow",
    "trained": "yellow",
    "damaged": "red",
    "running": "bold",
    "waiting": "dim",
}


def status_command(
    pipelines: PipelinesArgument = None,
    storage: StorageOption = "runs",
) -> None:
    """Show how far the trials of a plan are, and how long the rest will take.

    The exit status is 0 where all are done or on their way, 1 where one failed, is interrupted or
    is damaged.
    """
    from odnbench.results.status import read_status

    results = results_in(storage)
    well = True
    for path in readable(plans_of(results, pipelines)):
        status = read_status(path, elsewhere=results.sweeping_elsewhere(path.parent.name))
        _print_status(status)
        well = well and status.well
    if not well:
        raise typer.Exit(1)


def _print_status(status: "PlanStatus") -> None:
    """Prints a line for each trial of the plan, and the numbers of trials by state."""
    at_work = "a sweep is at work" if status.running else "no sweep is at work"
    table = Table(title=f"{status.pipeline}: {at_work}", title_justify="left", box=None)
    table.add_column("trial")
    table.add_column("state")
    for name in ("epoch", "best val. NME %", "time"):
        table.add_column(name, justify="right")
    if any(trial.reason for trial in status.trials):
        table.add_column("reason")
    for trial in status.trials:
        cells = (
            plain(trial.title),
            trial.state,
            "" if trial.epochs is None else f"{trial.epoch}/{trial.epochs}",
            "" if trial.best_nme_percent is None else f"{trial.best_nme_percent:.2f}",
            duration(trial.seconds) if trial.seconds else "",
            plain(trial.reason),
        )
        shown = map(Text, cells[: len(table.columns)])  # a str would be parsed, which takes longer
        table.add_row(*shown, style=_STYLES.get(trial.state))
    console.print(table)
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    say(f"{len(status.trials)} trials: {counts}{_remaining(status)}")
    if status.search is not None:
        _print_search(status.search)
    if status.fault:
        say(plain(status.fault))


def _print_search(search: "SearchStatus") -> None:
    """Prints how many points of a search have ended, and how long the others will take."""
    states = ", ".join(f"{count} {state}" for state, count in search.states.items())
    line = f"search: {search.states.total()} of {search.wanted} points begun: {states or 'none'}"
    left, unpruned = search.left_seconds, search.left_seconds_unpruned
    if left and unpruned:
        line += (
            f"; the others take about {duration(left)} of training, {duration(unpruned)} if none "
            "of them is stopped early"
        )
    say(line)


def _remaining(status: "PlanStatus") -> str:
    """How long the training that is left takes, as the end of a sentence; nothing where none is."""
    left, side_by_side = status.remaining_seconds, status.counts["running"]
    if left == 0:
        return ""
    if left is None:
        return "; how long they will take is known when an epoch is measured"
    if side_by_side < 2:
        return f"; about {duration(left)} of training left"
    return (
        f"; about {duration(left)} of training left, {duration(left / side_by_side)} with "
        f"{side_by_side} side by side"
    )
