"""The teacher of a trial: the trained network in the folder of another trial."""

from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.files.digest import sha256_of
from odnbench.plan.ids import network_id
from odnbench.plan.paths import path_of
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec
from odnbench.results.folder import CHECKPOINT, TRIAL, TrialFolder


def teacher_folder(spec: TrialSpec) -> TrialFolder | None:
    """The folder of the teacher that `spec` names; None where it names none, or is not trained.

    Raises OdnbenchError where the folder does not hold a trial and its weights.
    """
    if not spec.train.teacher or not spec.train.epochs:
        return None
    path = path_of(spec.train.teacher)
    folder = TrialFolder(path.parent if path.name == CHECKPOINT else path)
    try:
        there = all(file.is_file() for file in teacher_files(folder))
    except OSError:  # a name that no file can have
        there = False
    if not there:
        raise OdnbenchError(
            f"train.teacher: {path} holds no trained network; give the folder of a finished trial, "
            f"with {TRIAL} and {CHECKPOINT} in it"
        )
    return folder


def teacher_files(folder: TrialFolder) -> tuple[Path, Path]:
    """The files that make the teacher in `folder`: its trial and its weights."""
    return folder.path / TRIAL, folder.checkpoint


def teacher_content(spec: TrialSpec, registry: Registry) -> str:
    """What the teacher of `spec` predicts by, an id of its weights and its network; "" without one.

    Raises OdnbenchError where the teacher is absent or cannot be read.
    """
    folder = teacher_folder(spec)
    if folder is None:
        return ""
    return network_id(folder.trial.spec, registry, sha256_of(folder.checkpoint))
