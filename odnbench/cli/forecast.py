"""What `--dry-run` says of the cost of a plan: trials, memory, time and disk."""

import dataclasses
from typing import TYPE_CHECKING

from rich.table import Table

from odnbench.cli.terminal import amount, console, duration, plain, say
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.sweep.forecast import Forecast
    from odnbench.sweep.plan import Plan
    from odnbench.sweep.resources import Resources
    from odnbench.sweep.search import Confirmation
    from odnbench.sweep.study import Design


def print_forecast(plan: "Plan", resources: "Resources", *, slots: int | None = None) -> None:
    """Measures on this machine what `plan` costs, and prints it.

    resources: what each trial gets; of a cluster the number of slots is not known. slots: how many
    trials run side by side; by default as many as fit on this machine.
    """
    from odnbench.sweep.forecast import Slot, forecast

    slot = Slot(resources.cpus, resources.gpus)
    side_by_side = None if resources.address is not None else slots or slot.here
    with console.status("measuring"):
        cost = forecast(plan, slot, slots=side_by_side)
    _print_table(cost)
    if cost.kinds or cost.predicting_seconds:
        _print_time(cost, "about", exact=True)


def print_search_forecast(
    plan: "Plan",
    design: "Design",
    confirmation: "Confirmation",
    resources: "Resources",
    *,
    slots: int | None = None,
) -> None:
    """Measures what a search costs, with its confirmation, and prints it. See `print_forecast`."""
    from odnbench.sweep.forecast import Searched, Slot, expected_share, forecast

    slot = Slot(resources.cpus, resources.gpus)
    side_by_side = None if resources.address is not None else slots or slot.here
    ended = _ended_points(plan)
    settings = design.settings
    left = max(0, design.trials - ended) * settings.repeats
    again = (confirmation.points + 1) * confirmation.seeds if confirmation.points else 0
    share = expected_share(settings, design.steps)
    with console.status("measuring"):
        cost = forecast(plan, slot, slots=side_by_side, searched=Searched(left, 1.0, again, ended))
    _print_table(cost)
    say(
        f"             {left} that search, {again} that confirm the best {confirmation.points} "
        "points and the defaults"
    )
    if not cost.kinds:
        return
    if share is None:
        _print_time(cost, "at most", " (the pruner ends trials sooner)")
        return
    _print_time(cost, "about", " without pruning" if share < 1 else "")
    if share < 1:
        seconds = tuple(share * s for s in cost.trial_seconds[:left]) + cost.trial_seconds[left:]
        pruned = dataclasses.replace(cost, trial_seconds=seconds)
        say(
            f"             about {duration(pruned.seconds)} with it, where it leaves "
            f"{100 * share:.0f} % of the epochs"
        )


def _ended_points(plan: "Plan") -> int:
    """The number of points that earlier runs of the search have ended."""
    from odnbench.results.searches import SearchRecord

    try:
        record = SearchRecord.load(plan.file.parent)
    except OdnbenchError:  # there is none, or it is damaged, which `Plan.faults` tells
        return 0
    return sum(point.state != "running" for point in record.points)


def _print_table(cost: "Forecast") -> None:
    """Prints how many trials are to run, and what each kind of network costs."""
    slot = cost.slot
    threads = "1 thread" if slot.threads == 1 else f"{slot.threads} threads"
    device = "on a GPU" if slot.gpu_share else f"{threads} per trial"
    took = duration(cost.measured_seconds)
    counts = f"{len(cost.trial_seconds)} to run, {cost.finished} finished (reused)"
    if predicting := len(cost.predicting_seconds):
        counts += f", {predicting} of which predict disturbed test faces"
    measured = f"; measured here in {took}, one at a time, {device}" if cost.kinds else ""
    say(f"  trials     {counts}{measured}")
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


def _print_time(cost: "Forecast", bound: str, condition: str = "", *, exact: bool = False) -> None:
    """Prints the time that the trials take together, and their room on disk.

    exact: whether all of the trials are trained to their end.
    """
    hours = (
        f"{cost.gpu_hours:.2g} GPU-hours" if cost.gpu_hours else f"{cost.core_hours:.2g} core-hours"
    )
    where = (
        "per slot of the cluster: divide by their number"
        if cost.slots is None
        else f"{cost.slots} side by side"
    )
    say(f"  time       {bound} {duration(cost.seconds)}{condition}, {where}; {hours} in all")
    each = f": checkpoint and predictions, {amount(cost.trial_bytes)} per trial"
    say(
        f"  disk       {'about' if exact else 'at most'} {amount(cost.bytes)}"
        f"{each if cost.kinds else ': predictions'}"
    )
