"""How commands that use a trained network are told which one."""

from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.terminal import plans_of, results_in

if TYPE_CHECKING:
    from odnbench.results.folder import TrialFolder

ModelArgument = Annotated[
    str,
    typer.Argument(help="Folder of a trial, its checkpoint, or best:PIPELINE."),
]


def model_of(model: str, storage: str) -> "TrialFolder":
    """The trial folder that `model` names. Of "best:PIPELINE" behind a URI, the pipeline's results
    are copied to this machine first.
    """
    from odnbench.results.models import find_model, pipeline_of

    results = results_in(storage)
    if pipeline := pipeline_of(model):
        plans_of(results, [pipeline])
    return find_model(model, results.folder, str(results))
