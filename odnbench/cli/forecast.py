"""What `--dry-run` says of the cost of a plan: trials, memory, time and disk."""

from typing import TYPE_CHECKING

from rich.table import Table

from odnbench.cli.terminal import amount, console, duration, plain, say

if TYPE_CHECKING:
    from odnbench.sweep.plan import Plan
    from odnbench.sweep.resources import Resources


def print_forecast(
    plan: "Plan",
    resources: "Resources",
    *,
    slots: int | None = None,
    search_trials: int | None = None,
    at_most: bool = False,
) -> None:
    """Measures on this machine what `plan` costs, and prints it.

    resources: what each trial gets; of a cluster the number of slots is not known. slots: how many
    trials run side by side; by default as many as fit on this machine. search_trials: number of
    trials of a search, those of earlier runs included. at_most: whether the cost is an upper bound,
    because trials may be stopped early.
    """
    from odnbench.sweep.forecast import Slot, forecast

    slot = Slot(resources.cpus, resources.gpus)
    side_by_side = None if resources.address is not None else slots or slot.here
    with console.status("measuring"):
        cost = forecast(plan, slot, slots=side_by_side, search_trials=search_trials)
    threads = "1 thread" if slot.threads == 1 else f"{slot.threads} threads"
    device = "on a GPU" if slot.gpu_share else f"{threads} per trial"
    took = duration(cost.measured_seconds)
    counts = f"{len(cost.trial_seconds)} to run, {cost.finished} finished (reused)"
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
    hours = (
        f"{cost.gpu_hours:.2g} GPU-hours" if cost.gpu_hours else f"{cost.core_hours:.2g} core-hours"
    )
    bound = "at most" if at_most else "about"
    where = (
        "per slot of the cluster: divide by their number"
        if cost.slots is None
        else f"{cost.slots} side by side"
    )
    early = " (early stopping ends trials sooner)" if at_most else ""
    say(f"  time       {bound} {duration(cost.seconds)}, {where}; {hours} in all{early}")
    say(
        f"  disk       {bound} {amount(cost.bytes)}: checkpoint and predictions, "
        f"{amount(cost.trial_bytes)} per trial"
    )
