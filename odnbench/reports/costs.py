"""What the networks of a report cost, and which of them nothing else beats in error and cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from odnbench.reports.rows import Row


@dataclass(frozen=True)
class Machine:
    """What a cost was measured on; times and memory of unlike machines cannot be compared."""

    device: str  # "cpu", or the name of a GPU
    threads: int
    precision: str


@dataclass(frozen=True)
class CostRow:
    """The cost of predicting a face with the networks of one row (results/records.py: `Cost`).

    Times and memory are means over seeds; None where the seeds ran on unlike machines.
    Multiply-adds and memory are None of networks that do not run in torch.
    """

    row: Row
    multiply_adds: int | None
    machines: tuple[Machine, ...]
    ms_single: float | None
    ms_batched: float | None
    peak_bytes: float | None


def costs_of(rows: Iterable[Row]) -> tuple[CostRow, ...]:
    """The costs of the rows whose trials have all measured one."""
    found = []
    for row in rows:
        results = [trial.result for trial in row.trials]
        costs = [result.cost for result in results if result.cost is not None]
        if not costs or len(costs) < len(results):
            continue
        machines = dict.fromkeys(
            Machine(result.device, cost.threads, result.precision)
            for result, cost in zip(results, costs, strict=True)
        )
        alike = len(machines) == 1
        found.append(
            CostRow(
                row,
                costs[0].multiply_adds,
                tuple(machines),
                _mean([cost.ms_single for cost in costs if alike]),
                _mean([cost.ms_batched for cost in costs if alike]),
                _mean([cost.peak_bytes for cost in costs if alike]),
            )
        )
    return tuple(found)


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of `values`; None where there is none, or one is not known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each point is on the front: no other one is as small in both values and smaller in
    one of them.
    """
    return [
        not any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in points)
        for own in points
    ]


def front_of(costs: Iterable[CostRow], column: str) -> tuple[Row, ...]:
    """The rows on the front of multiply-adds and mean NME on `column`."""
    scored = [
        (cost.row, (cost.multiply_adds, nme.mean))
        for cost in costs
        if cost.multiply_adds is not None and (nme := cost.row.number("nme", column)) is not None
    ]
    on_front = pareto_front([point for _, point in scored])
    return tuple(row for (row, _), is_on in zip(scored, on_front, strict=True) if is_on)
