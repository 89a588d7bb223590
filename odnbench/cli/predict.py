"""`odnbench predict`: the landmarks of pictures, videos and a webcam by a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.models import model_of
from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import (
    data_root_of,
    load_registry,
    plain,
    progress_bar,
    say,
)
from odnbench.errors import OdnbenchError
from odnbench.plan.paths import path_of

if TYPE_CHECKING:
    from odnbench.datasets.boxes import Boxes
    from odnbench.datasets.inputs import Source
    from odnbench.plan.protocols import BoxRule
    from odnbench.plan.registry import Registry


def predict_command(
    model: Annotated[
        str,
        typer.Argument(help="Folder of a trial, its checkpoint, best:PIPELINE, or an ONNX file."),
    ],
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures, videos, folders of them, or webcam.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("predictions"),
    boxes: Annotated[
        str, typer.Option(help="Boxes of the faces: a .csv or .json file, or a data set.")
    ] = "",
    detector: Annotated[
        str, typer.Option(help="centerface, or an ONNX file of OpenCV's FaceDetectorYN.")
    ] = "",
    whole_picture: Annotated[
        bool, typer.Option("--whole-picture", help="Each picture is the box of one face.")
    ] = False,
    smoothing: Annotated[
        float,
        typer.Option(help="Of videos: weight of the frames before, below 1.", min=0, max=0.99),
    ] = 0.0,
    batch_size: Annotated[int, typer.Option(help="Faces predicted at once.", min=1)] = 32,
    overlays: Annotated[
        bool, typer.Option("--overlays/--no-overlays", help="Draw the points on the pictures.")
    ] = True,
    storage: StorageOption = "runs",
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Predict the landmarks of faces in pictures and videos."""
    from odnbench.datasets.inputs import sources_of
    from odnbench.results.models import exported_file

    _check_one(boxes, detector, whole_picture)
    check_writable(out, "--out")
    sources = sources_of(inputs)
    registry = load_registry(registry_folders)
    found = exported_file(model) or model_of(model, storage)

    from odnbench.sweep.predicted import files_in, open_predictor, predict_all, without_overlays

    sources, overlaid = without_overlays(sources, inputs, out)
    if overlaid:
        say(f"{overlaid} overlays of a run before are left out")
    predictor = open_predictor(found, registry)
    path = found if isinstance(found, Path) else found.path
    where = (
        _boxes_of(boxes, predictor.rule, sources, registry, data_root_of(data_root))
        if boxes
        else _other_boxes(detector, predictor.rule)
    )
    say(f"{plain(predictor.title)}, {path}: {where.describe()}; {predictor.rule.describe()}")
    for note in predictor.notes:
        say(note)
    count = predict_all(
        predictor,
        sources,
        where,
        files_in(out, predictor, path, where, smoothing),
        batch_size=batch_size,
        smoothing=smoothing,
        overlays=overlays,
        tell=lambda name, said: say(f"{plain(name)}: {plain(said)}"),
        bar=progress_bar,
    )
    speed = count.images / count.seconds
    failed = f", {count.failed} of {len(sources)} files failed" if count.failed else ""
    say(
        f"{count.faces} faces in {count.images} images{failed}; {speed:.1f} images/s; "
        f"written: {out}"
    )
    if count.failed:
        raise typer.Exit(1)


def _check_one(boxes: str, detector: str, whole_picture: bool) -> None:
    """Raises OdnbenchError unless one way to the boxes is given."""
    given = sum(map(bool, (boxes, detector, whole_picture)))
    if given > 1:
        raise OdnbenchError("give one of --boxes, --detector and --whole-picture")
    if not given:
        raise OdnbenchError(
            "where are the faces? Give --boxes FILE.csv with columns file, x, y, width, height; "
            "--boxes 300w for pictures of that data set; --detector centerface (pip install "
            "odnbench[detect]) or --detector FILE.onnx; or --whole-picture, where each picture "
            "is one face"
        )


def _boxes_of(
    boxes: str,
    rule: "BoxRule",
    sources: "list[Source]",
    registry: "Registry",
    data_root: Path | None,
) -> "Boxes":
    """The boxes of a file or of a data set."""
    from odnbench.datasets.boxes import AnnotatedBoxes, GivenBoxes

    file = path_of(boxes)
    if file.suffix.lower() not in (".csv", ".json") and not file.is_file():
        return AnnotatedBoxes(boxes, registry, data_root)
    given = GivenBoxes(file, rule, [source.path for source in sources])
    if given.unused:
        say(f"{boxes}: {len(given.unused)} of its files are not among the pictures")
    return given


def _other_boxes(detector: str, rule: "BoxRule") -> "Boxes":
    """The boxes that a detector finds, or whole pictures where none is given."""
    from odnbench.datasets.boxes import WholePicture
    from odnbench.datasets.detectors import boxes_found_by

    return boxes_found_by(detector, rule) if detector else WholePicture(rule)
