"""The table of runs in MLflow's page: its address, columns and order.

MLflow opens an experiment in another view than the table. The table has an address, which names a
view that is kept as a tag of the experiment: the page makes such tags itself where people share a
view. Seen in the page of MLflow 3.17; another version that does not know the tag shows the table
with its own columns.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from mlflow.tracking import MlflowClient

from odnbench.tracking.client import EXPERIMENTS

_VIEW = "odnbench"
VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"
_WIDTH_PX = 230  # of a metric, whose name is long
_OTHER_WIDTH_PX = 90
_MOST = 8  # test metrics in a view, since MLflow cuts a tag at 5000 characters
ORDERED_BY = "best_validation_nme_percent"  # not by a test error, so that nobody chooses by it


@dataclass(frozen=True)
class RunsTable:
    """The runs of one pipeline in MLflow."""

    pipeline: str
    address: str


def view_of(test_metrics: Sequence[str]) -> str:
    """The view of an experiment's runs, by validation error, the lowest first.

    test_metrics: names of the metrics that stand beside it; the first _MOST of them.
    """
    numbers = [f"metrics.`{name}`" for name in (ORDERED_BY, *test_metrics[:_MOST], "parameters")]
    columns = [
        *numbers,
        *(f"tags.`{name}`" for name in ("variant", "seed", "faces", "protocol")),
        "attributes.`Duration`",
    ]
    view = {
        "orderByKey": numbers[0],
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(numbers, _WIDTH_PX)
        | dict.fromkeys(columns[len(numbers) :], _OTHER_WIDTH_PX),
    }
    return json.dumps(view)


def runs_tables(client: MlflowClient, page: str) -> list[RunsTable]:
    """The table of each pipeline with runs in MLflow, the last changed first. page: the address of
    MLflow's page, as http://127.0.0.1:5000.
    """
    found = client.search_experiments(
        filter_string=f"name LIKE '{EXPERIMENTS}%'", order_by=["last_update_time DESC"]
    )
    return [
        RunsTable(
            experiment.name.removeprefix(EXPERIMENTS),
            runs_address(page, experiment.experiment_id, has_view=VIEW_TAG in experiment.tags),
        )
        for experiment in found
    ]


def runs_address(page: str, experiment_id: str, *, has_view: bool) -> str:
    """The address of the table of runs of an experiment."""
    query = {"workflowType": "machine_learning"} | (
        {"viewStateShareKey": _VIEW} if has_view else {}
    )
    return f"{re.sub('/+$', '', page)}/#/experiments/{experiment_id}/runs?{urlencode(query)}"
