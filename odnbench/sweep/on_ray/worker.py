"""What a worker does: it trains one trial and reports each epoch to Tune."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayTaskError

from odnbench.datasets.sources import TrialFaces
from odnbench.plan.conversion import to_mapping
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch
from odnbench.results.teachers import teacher_files
from odnbench.sweep.environment import openmp_threads
from odnbench.sweep.on_ray.folders import KeptFolder
from odnbench.sweep.run import run_trial

# A worker reports to Tune, under MEASURED, all that an epoch measured. The last report of a trial
# that is finished has the key ENDED as well; that of a trial that failed has no other key than
# FAILED: the reason.
MEASURED = "measured"
ENDED = "ended"
FAILED = "failed"

# Tune's configuration of a trial → the trial.
TrialOf = Callable[[Mapping[str, Any]], Trial]


def train(
    config: dict[str, Any],
    trial_of: TrialOf,
    faces: Mapping[str, TrialFaces],
    registry: Registry,
    weights: Mapping[str, bytes],
    keeper: Any,
    cpus: float,
    disturbances: Sequence[Disturbance] = (),
) -> None:
    """Trains the trial that `config` stands for, in a temporary folder of this worker, and sends
    the files of the trial's folder to the driver after each epoch.

    faces: by the fingerprint that `Trial.faces` names.
    weights: path of a file on the driver's disk, of weights or of a teacher → its content.
    keeper: handle of the `Keeper` actor.
    cpus: cores of each trial.
    disturbances: see `run_trial`.
    """
    # Where the variable is not set, Ray sets it to the trial's cores; empty, Ray leaves it.
    threads = openmp_threads() or max(1, int(cpus))
    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray would leave every GPU in sight
    trial = trial_of(config)
    with tempfile.TemporaryDirectory() as temporary:
        folder = TrialFolder(Path(temporary) / trial.id)
        kept = KeptFolder(folder, trial, keeper)
        # An earlier worker was lost after it had finished the trial, or the search has proposed
        # the same weights before.
        if folder.finished and not folder.lacks(disturbances):
            _report_end(folder)
            return
        if (content := weights.get(trial.spec.model.pretrained)) is not None:
            file = Path(temporary) / Path(trial.spec.model.pretrained).name
            file.write_bytes(content)
        else:
            file = None
        teacher = teacher_from(weights, trial, Path(temporary) / "teacher")

        def on_epoch(epoch: Epoch) -> None:
            kept.send()
            if epoch.epoch < trial.spec.train.epochs:
                tune.report({MEASURED: to_mapping(epoch)})

        try:
            reason = run_trial(
                trial,
                faces[trial.faces],
                registry,
                folder,
                on_epoch,
                threads,
                file,
                teacher,
                disturbances,
            )
            kept.send()
        except RayTaskError as error:  # the keeper could not write, as on a full disk
            reason = str(error.cause)
        if reason:
            tune.report({FAILED: reason})
            return
        _report_end(folder)


def teacher_from(files: Mapping[str, bytes], trial: Trial, folder: Path) -> Path | None:
    """`folder`, with the files of the teacher of `trial` in it; None where `files` holds none.

    files: path on the driver's disk → content.
    """
    if not trial.spec.train.teacher:
        return None
    own = teacher_files(TrialFolder(Path(trial.spec.train.teacher)))
    if not all(str(file) in files for file in own):
        return None
    folder.mkdir()
    for file in own:
        (folder / file.name).write_bytes(files[str(file)])
    return folder


def _report_end(folder: TrialFolder) -> None:
    """Reports the last epoch to Tune. It is reported only once the folder is finished, since a
    scheduler may stop the trial as soon as it gets the report.
    """
    last = {MEASURED: to_mapping(folder.epochs[-1])} if folder.epochs else {}
    tune.report({**last, ENDED: True})
