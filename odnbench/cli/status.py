"""`odnbench status`: how far the trials are; and what `--dry-run` says of their cost."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from odnbench.cli.terminal import Storage, amount, console, duration, plain, plans_of, results_in

if TYPE_CHECKING:
    from odnbench.results.status import PlanStatus
    from odnbench.sweep.plan import Plan

_STYLES = {"failed": "red", "interrupted": "yellow", "running": "bold", "waiting": "dim"}


def status_command(
    pipelines: Annotated[
        list[str] | None, typer.Argument(help="Pipelines; default: all with results.")
    ] = None,
    storage: Storage = "runs",
) -> None:
    """Show how far the trials of a plan are, and how long the rest will take.

    The exit status is 0 where all are done or on their way, 1 where one failed or is interrupted.
    """
    from odnbench.results.status import read_status

    results = results_in(storage)
    found = [
        read_status(path, elsewhere=results.sweeping_elsewhere(path.parent.name))
        for path in plans_of(results, pipelines)
    ]
    for status in found:
        _print_status(status)
    if not all(status.well for status in found):
        raise typer.Exit(1)


def print_forecast(
    plan: "Plan",
    cpus: float,
    gpus: float | None,
    *,
    slots: int | None = None,
    address: str | None = None,
    search_trials: int | None = None,
    at_most: bool = False,
) -> None:
    """Measures here what `plan` costs, and prints it.

    slots: trials side by side, if it is not as many as fit this machine. address: of a cluster.
    search_trials: of a search in all. at_most: whether trials may be stopped early.
    """
    from odnbench.sweep.forecast import Slot, forecast

    slot = Slot(cpus, gpus)
    side_by_side = None if address is not None else slots or slot.here
    with console.status("measuring"):
        cost = forecast(plan, slot, slots=side_by_side, search_trials=search_trials)
    threads = "1 thread" if slot.threads == 1 else f"{slot.threads} threads"
    on = "on a GPU" if slot.gpu_share else f"{threads} per trial"
    took = duration(cost.measured_seconds)
    measured = f"; measured here in {took}, one at a time, {on}" if cost.kinds else ""
    console.print(
        f"  trials     {len(cost.trial_seconds)} to run, {cost.finished} finished (reused)"
        f"{measured}",
        soft_wrap=True,
    )
    if not cost.kinds:
        return
    table = Table("  network", box=None)
    for name in ("parameters", "memory", "step", "trial"):
        table.add_column(name, justify="right")
    for kind in cost.kinds:
        table.add_row(
            f"  {plain(kind.title)}",
            f"{kind.footprint.parameters:,}",
            f"about {amount(kind.footprint.training_bytes)}" if kind.trained else "",
            f"{1000 * kind.probe.step_seconds:.0f} ms" if kind.trained else "",
            duration(kind.trial_seconds),
        )
    console.print(table)
    hours = (
        f"{cost.gpu_hours:.2g} GPU-hours" if cost.gpu_hours else f"{cost.core_hours:.2g} core-hours"
    )
    how = "at most" if at_most else "about"
    where = (
        "per slot of the cluster: divide by their number"
        if cost.slots is None
        else f"{cost.slots} side by side"
    )
    early = " (early stopping ends trials sooner)" if at_most else ""
    console.print(
        f"  time       {how} {duration(cost.seconds)}, {where}; {hours} in all{early}",
        soft_wrap=True,
    )
    console.print(
        f"  disk       {how} {amount(cost.bytes)}: checkpoint and predictions, "
        f"{amount(cost.trial_bytes)} per trial",
        soft_wrap=True,
    )


def _print_status(status: "PlanStatus") -> None:
    at_work = "a sweep is at work" if status.running else "no sweep is at work"
    table = Table(title=f"{status.pipeline}: {at_work}", title_justify="left", box=None)
    table.add_column("trial")
    table.add_column("state")
    for name in ("epoch", "best val. NME %", "time"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    for trial in status.trials:
        table.add_row(
            plain(trial.title),
            trial.state,
            "" if trial.epochs is None else f"{trial.epoch}/{trial.epochs}",
            "" if trial.best_nme_percent is None else f"{trial.best_nme_percent:.2f}",
            duration(trial.seconds) if trial.seconds else "",
            plain(trial.reason),
            style=_STYLES.get(trial.state),
        )
    console.print(table)
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    console.print(f"{len(status.trials)} trials: {counts}{_remaining(status)}", soft_wrap=True)


def _remaining(status: "PlanStatus") -> str:
    """What is left to train, for people."""
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
