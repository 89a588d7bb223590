"""`odnbench export`: a trained network as a file that needs no odnbench."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from odnbench.cli.models import ModelArgument, model_of
from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import cache_folder, data_root_of, load_registry, plain, say
from odnbench.errors import OdnbenchError


class ExportFormat(StrEnum):
    """What a network can be exported as."""

    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"


class Quantisation(StrEnum):
    """How the numbers in an exported network are rounded."""

    NONE = "none"
    DYNAMIC = "dynamic"


def export_command(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="File to write.")],
    format: Annotated[ExportFormat, typer.Option(help="What to write.")] = ExportFormat.ONNX,
    quantise: Annotated[
        Quantisation, typer.Option(help="Round weights and features to 8 bits (onnx).")
    ] = Quantisation.NONE,
    check_on: Annotated[
        str, typer.Option(help="Split, as 300w/common, on which the file's NME is measured too.")
    ] = "",
    storage: StorageOption = "runs",
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Export a trained network, with crop rule, points, protocol and data in the file.

    The file takes crops of faces, N×s×s×3 uint8 RGB, and gives points in pixels of the crop. It is
    written only if its points are those of PyTorch to 0.001 px.
    """
    quantised = quantise is Quantisation.DYNAMIC
    if quantised and format is not ExportFormat.ONNX:
        raise OdnbenchError("--quantise dynamic is of --format onnx alone; leave one of them out")
    if out.is_dir():
        raise OdnbenchError(f"{plain(str(out))} is a folder; give --out the name of a file")
    check_writable(out.parent, "--out")
    folder = model_of(model, storage)
    registry = load_registry(registry_folders)
    trial = folder.trial

    from odnbench.scoring.scores import scores
    from odnbench.sweep.trained import export, faces_for, nme_percent_of  # torch takes seconds

    tested = (
        faces_for(trial, folder, check_on, registry, data_root_of(data_root), cache_folder())
        if check_on
        else None
    )
    if tested is not None and tested.map is not None:
        raise OdnbenchError(
            f"{check_on} has other points than the network; --check-on needs a split that has them"
        )
    numbers = scores(folder.predictions, trial, registry, trial.spec.data.test)
    exported = export(
        trial,
        folder,
        registry,
        out,
        format.value,
        quantised=quantised,
        nme_percent={score.column: score.nme_percent for score in numbers},
    )
    say(
        f"{plain(str(out))}: {plain(trial.title)}, {_size(exported.bytes)}; on 32 pictures of "
        f"noise its points lie {exported.mean_difference_px:.2g} px from those of PyTorch on "
        f"average, {exported.largest_difference_px:.2g} px at most"
    )
    if tested is not None:
        for note in tested.notes:
            say(note)
        ours, of_file = nme_percent_of(exported, trial, folder, tested.faces, registry)
        say(
            f"{check_on} ({tested.coverage}): NME {of_file:.3f} % of the file, {ours:.3f} % of "
            f"PyTorch, both predicting each face once; {trial.protocol.describe()}"
        )


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
