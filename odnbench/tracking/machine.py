"""The load of the machine that a sweep runs on, in the run of its plan."""

import time


class LoadMonitor:
    """Logs the load of this machine with MLflow's monitor, in the thread that calls `measure`:
    MLflow's own would be a second writer.

    Raises ImportError where psutil, which the monitor needs, is not installed.
    """

    def __init__(self, run_id: str, uri: str):
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=uri)
        self._next = 0.0  # on the clock of time.monotonic

    @classmethod
    def where_possible(cls, run_id: str, uri: str) -> "LoadMonitor | None":
        """A monitor; None where psutil is not installed."""
        try:
            return cls(run_id, uri)
        except ImportError:
            return None

    def measure(self) -> None:
        """Logs a sample, if the last one is old enough."""
        if time.monotonic() >= self._next:
            self._monitor.collect_metrics()
            self._monitor.publish_metrics(self._monitor.aggregate_metrics())
            self._next = time.monotonic() + self._monitor.sampling_interval
