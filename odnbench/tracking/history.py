"""What a run of MLflow holds of a metric, step by step."""

import math
from collections.abc import Sequence

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from odnbench.results.records import Epoch


def history(client: MlflowClient, run_id: str, metric: str) -> dict[int, float]:
    """Step → value, for each step, as an epoch, at which a run has the metric."""
    return {point.step: point.value for point in client.get_metric_history(run_id, metric)}


def log_new(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    """Logs those of `metrics` that the run does not have at their steps."""
    new = [one for one in metrics if one.step not in history(client, run_id, one.key)]
    client.log_batch(run_id, metrics=new)


def contradicts(client: MlflowClient, run_id: str, epochs: Sequence[Epoch]) -> bool:
    """Whether the run has other epochs than the trial has: the trial began anew, on a device that
    does not repeat its numbers.
    """
    own = {epoch.epoch: epoch.loss for epoch in epochs}
    return any(
        step not in own or not math.isclose(loss, own[step])
        for step, loss in history(client, run_id, "loss").items()
    )
