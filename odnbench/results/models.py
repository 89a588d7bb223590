"""From what a user calls a trained network to the folder of the trial that holds its weights."""

from pathlib import Path

from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.paths import path_of
from odnbench.plan.pipelines import check_name
from odnbench.results.folder import CHECKPOINT, TrialFolder
from odnbench.results.plans import PLAN, PlanRecord, plan_files

BEST = "best:"  # before the name of a pipeline


def pipeline_of(model: str) -> str:
    """The pipeline that "best:PIPELINE" names; "" for any other text.

    Raises OdnbenchError for a name that no pipeline can have.
    """
    if not model.startswith(BEST):
        return ""
    name = model.removeprefix(BEST)
    check_name(name)
    return name


def exported_file(model: str) -> Path | None:
    """The exported file that `model` names by its ending, or None."""
    path = path_of(model)
    return path if path.suffix.lower() in (".onnx", ".pt2") else None


def find_model(model: str, storage: Path, shown: str = "") -> TrialFolder:
    """The folder of the trained network that `model` names.

    model: the folder of a trial, the checkpoint in such a folder, or "best:PIPELINE", the finished
    trial with the lowest validation NME in the last plan of that pipeline below `storage`. shown:
    the name of the storage in errors. Raises OdnbenchError where there is no such trial, or its
    weights are gone.
    """
    if name := pipeline_of(model):
        (plan,) = plan_files(storage, [name], shown)
        folder = _best(plan)
    else:
        folder = _named(model)
    if not folder.checkpoint.is_file():
        raise OdnbenchError(
            f"{one_line(folder.path)}: it holds no weights ({CHECKPOINT}); remove the folder, and "
            "the command that trained the trial trains it again"
        )
    return folder


def _best(plan: Path) -> TrialFolder:
    record = PlanRecord.load(plan)
    finished = [folder for folder, _ in record.folders(plan.parent) if folder.finished]
    if not finished:
        raise OdnbenchError(
            f"{record.pipeline.name}: none of its trials is finished yet; "
            f"`odnbench status {record.pipeline.name}` says how far they are"
        )
    return min(finished, key=lambda folder: folder.result.validation_nme_percent)


def _named(model: str) -> TrialFolder:
    path = path_of(model)
    folder = TrialFolder(path.parent if path.name == CHECKPOINT else path)
    if folder.started:
        return folder
    if (path / PLAN).is_file():
        raise OdnbenchError(
            f"{one_line(model)}: it is the folder of a pipeline; name a trial in it, or say "
            f"{BEST}{one_line(path.name)}"
        )
    raise OdnbenchError(
        f"{one_line(model)}: it is neither the folder of a trial nor its {CHECKPOINT}; give one of "
        f"these, or {BEST}PIPELINE for the finished trial with the lowest validation NME"
    )
