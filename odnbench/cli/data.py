"""`odnbench data …`: check, prepare, look at and render faces."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.commands import Commands
from odnbench.cli.options import DataRootOption, RegistryOption
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import (
    cache_folder,
    data_root_of,
    load_registry,
    progress_bar,
    say,
)
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.plan.registry import Registry
    from odnbench.plan.specs import DataSpec

data_app = Commands(
    help="Faces: check a data set, prepare it, look at it, render one.", no_args_is_help=True
)


@data_app.command("doctor")
def data_doctor_command(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Data sets; default: all below the data root.")
    ] = None,
    data_root: DataRootOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    registry_folders: RegistryOption = None,
) -> None:
    """Check data sets on disk; exit status 1 where something is wrong."""
    from odnbench.datasets.archives.archive import open_archive
    from odnbench.datasets.archives.roots import find_root, not_found, nothing_found
    from odnbench.datasets.inspection.doctor import examine
    from odnbench.plan.conversion import to_mapping
    from odnbench.plan.entries import Dataset
    from odnbench.plan.protocols import Scheme

    registry, place = load_registry(registry_folders), data_root_of(data_root)
    named = [registry.get(Dataset, name) for name in datasets or registry.all(Dataset)]
    diagnoses, not_read = [], []
    for dataset in named:
        try:
            root = find_root(dataset, place)
            if root is None:
                not_read += [not_found(dataset, place)] if datasets else []
                continue
            archive = open_archive(dataset, root)
            total = sum(archive.official(part) for part in dataset.parts)
            with progress_bar(f"{dataset.name}: looking at every face", total) as advance:
                scheme = registry.get(Scheme, dataset.scheme)
                diagnoses.append(examine(archive, scheme, advance))
        except OdnbenchError as error:  # the other data sets can be looked at all the same
            not_read.append(str(error))
    if not diagnoses:
        told = "\n".join(dict.fromkeys(not_read))
        raise OdnbenchError(told or nothing_found(named, place))
    if as_json:
        print(json.dumps([to_mapping(diagnosis) for diagnosis in diagnoses], indent=1))
    for diagnosis in diagnoses if not as_json else ():
        say(diagnosis.text())
    for line in not_read:
        typer.echo(f"error: {line}", err=True)
    if not_read or any(not diagnosis.healthy for diagnosis in diagnoses):
        raise typer.Exit(1)


@data_app.command("prepare")
def data_prepare_command(
    splits: Annotated[
        list[str], typer.Argument(help="Data sets or splits of them: 300w, cofw68/test.")
    ],
    protocol: Annotated[
        str, typer.Option(help="Protocol whose box rule crops; default: the usual one.")
    ] = "",
    input_size: Annotated[int, typer.Option(help="Side of the network's input in pixels.")] = 224,
    margin: Annotated[
        float, typer.Option(help="Side of the prepared picture over that of the input.")
    ] = 1.25,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Crop and resize every face once, for all trials to come."""
    from odnbench.plan.entries import Dataset
    from odnbench.plan.protocols import Protocol
    from odnbench.plan.specs import DataSpec

    registry, place = load_registry(registry_folders), data_root_of(data_root)
    if protocol:
        registry.get(Protocol, protocol)
    wanted = []
    for name in splits:
        dataset = registry.get(Dataset, name.partition("/")[0])
        members = [name] if "/" in name else [f"{name}/{part}" for part in dataset.parts]
        for member in members:
            registry.split(member)
        usual = registry.protocol_of(dataset).name
        data = DataSpec(protocol=protocol or usual, input_size=input_size, margin=margin)
        wanted.append((name, members, data))
    not_prepared = []
    for name, members, data in wanted:
        try:
            _prepare(name, members, data, registry, place)
        except OdnbenchError as error:  # the other data sets can be prepared all the same
            not_prepared.append(str(error))
    if not_prepared:
        raise OdnbenchError("\n".join(not_prepared))


def _prepare(
    name: str, members: list[str], data: "DataSpec", registry: "Registry", place: Path | None
) -> None:
    """Prepares the splits `members` of `name`, and says what there is."""
    from odnbench.datasets.archives.roots import not_found
    from odnbench.datasets.sources import FaceSource
    from odnbench.plan.entries import Dataset

    dataset = registry.get(Dataset, name.partition("/")[0])
    source = FaceSource(data, registry, place, cache_folder())
    if source.absent(members):
        raise OdnbenchError(not_found(dataset, place))
    started = time.perf_counter()
    official = sum(registry.split(split)[1].faces for split in members)
    with progress_bar(f"preparing {name}", official) as source.advance:
        coverage = [source.sets(split, rendered_count=0)[1] for split in members]
    if source.faults:
        raise OdnbenchError("\n".join(source.faults))
    if not any(c.faces for c in coverage):
        raise OdnbenchError(
            f"{name}: no face with picture and annotation was found; "
            f"`odnbench data doctor {dataset.name}` says what is missing"
        )
    seconds = time.perf_counter() - started
    there = ", ".join(f"{c.split} {c}" for c in coverage if c.faces)
    say(f"{name}: {there}; {data.stored_size} px, {seconds:.1f} s, kept in {source.cache}")


@data_app.command("show")
def data_show_command(
    split: Annotated[str, typer.Argument(help="A split, as 300w/common.")] = "300w/challenging",
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("faces.png"),
    faces: Annotated[int, typer.Option(help="How many faces.", min=1)] = 30,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Draw faces of a split with landmarks, occlusion flags and boxes into one picture."""
    from odnbench.datasets.inspection.contact_sheet import contact_sheet

    check_writable(out.parent, "--out")
    registry, place = load_registry(registry_folders), data_root_of(data_root)
    coverage = contact_sheet(registry, split, place, out, faces, cache_folder())
    say(f"{out}: {split} ({coverage})")


@data_app.command("render")
def data_render_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder to write to; it must be empty or not there.")
    ],
    faces: Annotated[int, typer.Option(help="Faces per part of the data set.", min=1)] = 20,
    layout: Annotated[str, typer.Option(help="Data set whose official layout to write.")] = "300w",
    size: Annotated[int, typer.Option(help="Side of a picture in pixels.", min=32)] = 256,
    seed: Annotated[int, typer.Option(help="Another seed, other faces.", min=0)] = 0,
    registry_folders: RegistryOption = None,
) -> None:
    """Draw faces and write them as a data set on disk."""
    from odnbench.datasets.rendering.layouts import render_layout
    from odnbench.plan.entries import Dataset

    dataset = load_registry(registry_folders).get(Dataset, layout)
    with progress_bar("rendering", faces * len(dataset.parts)) as advance:
        count = render_layout(dataset, folder, faces, size, seed, advance)
    say(f"{count} rendered faces in {folder}, in the layout of {layout}")


@data_app.command("fit-boxes")
def data_fit_boxes_command(
    detector: Annotated[
        str, typer.Argument(help="centerface, or an ONNX file of OpenCV's FaceDetectorYN.")
    ],
    split: Annotated[str, typer.Option(help="Annotated faces to fit on.")] = "300w/train",
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Fit a detector's boxes to the tight boxes of landmarks, for `odnbench predict`."""
    from odnbench.datasets.boxes import annotated_faces
    from odnbench.datasets.detectors import fit_box_map, map_file, open_detector, save_box_map

    opened, path = open_detector(detector), map_file(detector)
    check_writable(path.parent, "place for the detector's file", path.name)
    faces = annotated_faces(split, load_registry(registry_folders), data_root_of(data_root))
    with progress_bar(f"finding faces of {split}", len(faces)) as advance:
        fitted = fit_box_map(opened, faces, split, advance)
    save_box_map(fitted, path)
    say(
        f"{path}: from {fitted.faces} of {len(faces)} faces; turned boxes overlap the landmarks' "
        f"by {fitted.overlap:.2f} of their union, in the median"
    )
