"""A trained network for a notebook: `odnbench.load`."""

from collections.abc import Iterable
from pathlib import Path

from odnbench.engine.file_predictor import FilePredictor
from odnbench.engine.predictor import Predictor, TrainedPredictor
from odnbench.plan.paths import path_of
from odnbench.plan.registry import Registry
from odnbench.results.models import exported_file, find_model


def load(
    model: str | Path, *, storage: str | Path = "runs", registry: Iterable[str | Path] = ()
) -> Predictor:
    """A trained network, on the GPU of this machine if there is one; an exported one on the CPU.

    model: an ONNX file of `odnbench export`, a trial's folder or checkpoint, or "best:PIPELINE",
    the trial of the pipeline's last plan below `storage` with the lowest validation NME. registry:
    folders of entries that it was made of, beside those that are shipped or installed. Raises
    OdnbenchError where there is no such network, or its weights are gone or damaged.
    """
    if file := exported_file(str(model)):
        return FilePredictor(file)
    folder = find_model(str(model), path_of(storage))
    return TrainedPredictor.load(folder, Registry.load(registry))
