"""MLflow, a mirror of the trial folders for people.

A parent run per plan, a child run per trial, written by the driver from what the trial folders
hold: they are the truth. Runs are found by the ids of plan and trial in their tags, and whatever is
missing is added. So one routine serves a trial that ends, one that is reused, the end of a sweep
and `odnbench sync`; it may be broken off anywhere and called again.

Without MLFLOW_TRACKING_URI, MLflow's own default store in the current folder is used, so that a
plain `mlflow ui` there shows everything.
"""

import logging
import os

# MLflow reads these when it is imported. It would try a server that is away for minutes, and print
# a line about every run that it ends.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

# These would tell of the tables that MLflow creates, and of GPUs that are absent.
for _name in ("store", "system_metrics"):
    logging.getLogger(f"mlflow.{_name}").setLevel(logging.WARNING)
