"""Results on disk are brought into MLflow, after a sweep whose server was away or without a
sweep.
"""

from collections.abc import Callable
from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.results.plans import all_plans
from odnbench.tracking.address import check_address
from odnbench.tracking.client import UNREACHABLE, does_not_answer, tracking_uri
from odnbench.tracking.runs import Delivered, PlanRuns


def sync(
    folder: Path, registry: Registry, uri: str | None = None, tell: Callable[[str], None] = print
) -> Delivered:
    """Brings the plans of the pipeline in `folder` (`<storage>/<pipeline>`) into MLflow: whatever
    of their parent runs, child runs, numbers and files is not there yet.

    uri: of MLflow, by default `tracking_uri`. tell: takes a line for people where a network cannot
    be logged as a model. Raises OdnbenchError if MLflow does not answer, or never can.
    """
    uri = uri or tracking_uri()
    check_address(uri, folder.name)
    files, faults = all_plans(folder)
    try:
        plans = [PlanRuns(path, registry, uri).deliver_all(tell) for path in files.values()]
    except UNREACHABLE as error:
        raise OdnbenchError(
            f"{does_not_answer(uri, error)}; when it does, the same command goes on with what is "
            "missing"
        ) from error
    # A trial may stand in several plans.
    left_out = dict.fromkeys(line for plan in plans for line in plan.left_out)
    return Delivered(
        sum(plan.brought for plan in plans),
        sum(plan.there for plan in plans),
        (*left_out, *faults),
    )
