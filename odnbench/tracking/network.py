"""The best network of a plan as a model of MLflow, which MLflow can serve.

This is the only part of tracking that needs torch, and imports torch only when it writes a model.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, infer_signature
from mlflow.tracking import MlflowClient

from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.tracking.client import find_or_create, reason_of, tag_filter
from odnbench.tracking.entries import faces_tag


def log_network(
    client: MlflowClient,
    run: Run,
    trial: Trial,
    folder: TrialFolder,
    registry: Registry,
    identity: Mapping[str, str],
    tell: Callable[[str], None],
) -> bool:
    """Logs the network of a finished trial as the model "best" of the trial's `run`.

    Returns False where a library that the network needs cannot be imported here: the model stays
    pending, and a later call completes it. A network that cannot be exported at all is a failed
    model. `tell` is told of either; the weights are in MLflow in any case, as an artifact of the
    run. identity: the tags by which the model is found.
    """
    experiment_id, run_id = run.info.experiment_id, run.info.run_id

    def find() -> list[Any]:
        found = client.search_logged_models([experiment_id], tag_filter(identity))
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    tags = {**identity, "variant": trial.spec.variant, "faces": faces_tag(trial)}
    model = find_or_create(
        find,
        create=lambda: client.create_logged_model(experiment_id, "best", run_id, tags=tags),
        delete=lambda model: client.delete_logged_model(model.model_id),
    )
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in [output.model_id for output in outputs]:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    if model.status == LoggedModelStatus.READY:
        return True
    status = LoggedModelStatus.READY
    described = Model(model.artifact_location, run_id, model_id=model.model_id)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "model"
        try:
            save_network(trial, folder, registry, path, described)
        except Exception as error:
            if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
                tell(
                    f"the network of {trial.title} is not yet logged as a model: "
                    f"{reason_of(error)}; `odnbench sync` in an installation with torch adds it"
                )
                return False
            status = LoggedModelStatus.FAILED
            tell(f"the network of {trial.title} is not logged as a model: {reason_of(error)}")
        else:
            client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, status)
    return True


def save_network(
    trial: Trial, folder: TrialFolder, registry: Registry, path: Path, described: Model
) -> None:
    """Writes the network of a finished trial to `path` as a model of MLflow.

    Raises ImportError, or OdnbenchError from an ImportError, where a library that the network needs
    cannot be imported.
    """
    import mlflow.pytorch
    import torch

    from odnbench.engine.export import ServedNetwork, load_network

    size = trial.spec.data.input_size
    served = ServedNetwork(load_network(trial, folder, registry), size).eval()
    # Two pictures: of a batch of one, the export would make a fixed size.
    example = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        mlflow.pytorch.save_model(
            served,
            str(path),
            mlflow_model=described,
            signature=infer_signature(example, served(torch.from_numpy(example)).numpy()),
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )
