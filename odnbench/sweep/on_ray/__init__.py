"""Sweeps on a Ray cluster, or on a Ray that is started on this machine: the only package that
imports ray.

    run(plan, partial(run_on_ray, resources=Resources(cpus=1)), observers)

Everything that a worker needs travels through Ray, so that the machines of a cluster need not share
a disk. Faces, trials, registry and weights files lie in Ray's object store. The files of a trial's
folder go from and to a `Keeper`, an actor beside the driver (folders.py, files/keeper.py). A worker
trains one trial after the other and reports each epoch to Tune (worker.py). Tune runs in the
driver, where a callback passes the reports on to the observers (watch.py), so that workers need no
access to a terminal or to a tracking server. In a search, Tune takes its trials from an Optuna
study (searcher.py).

A trial whose worker or machine is lost is started again, on another machine if need be, from the
progress in its folder. A trial that fails by itself is not started again: it would fail again.
"""

import os

# Ray reads these variables when it is imported or started, so they stand before every import of
# ray. Ray is to send no statistics home and to show no progress display beside ours.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
# Ray's library would log lines of its own to the terminal where its processes are ended around it.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

# Ray leaves CUDA_VISIBLE_DEVICES as it is for a trial that asks for no GPU, and would warn of that.
# worker.py hides the GPUs from such a trial.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

# Signals are left to the process: else Tune would put a handler of its own for SIGINT, and Ray's
# library one that ends the process at SIGTERM with the stacks of its threads.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")

# The last report of a trial that failed holds a reason and no metric, which Tune would not accept.
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")

from odnbench.sweep.on_ray.executor import run_on_ray, search_on_ray
from odnbench.sweep.resources import Resources

__all__ = ["Resources", "run_on_ray", "search_on_ray"]
