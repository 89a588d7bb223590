"""Contracts of data sets, and of what turns their faces into crops and errors."""

# N faces, L landmarks

import tempfile
from itertools import islice
from pathlib import Path

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.datasets.archives.archive import find_root, open_archive
from odnbench.datasets.crop import window_of
from odnbench.datasets.faces import Face
from odnbench.datasets.pictures import read_as_stored
from odnbench.datasets.rendering.face_model import SCHEME_POINTS
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.errors import OdnbenchError
from odnbench.metrics.nme import nme_per_face
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule, Protocol, Scheme, SchemeMap
from odnbench.plan.registry import Registry

_FACES, _SIDE_PX, _SEED = 2, 96, 5
_LARGEST_SHIFT_PX = 1e-3  # of a point that was written and read back


def check_dataset(registry: Registry, name: str) -> str:
    """Scheme and protocol are there and fit each other; rendered faces that are written in the data
    set's layout are found by its names and read back the same. A scheme without a rendered face
    leaves the loader unchecked.
    """
    dataset = registry.get(Dataset, name)
    registry.get(Scheme, dataset.scheme)
    protocol = registry.protocol_of(dataset)
    if protocol.scheme != dataset.scheme:
        raise OdnbenchError(
            f"its points are of scheme {dataset.scheme}, its protocol '{protocol.name}' counts "
            f"those of {protocol.scheme}; name another protocol"
        )
    for split in (*dataset.splits, *dataset.parts):
        dataset.split(split)
    open_archive(dataset, Path())
    if dataset.scheme not in SCHEME_POINTS:
        return (
            f"its loader was not tried: there are no rendered faces of {dataset.scheme} points, "
            f"only of {', '.join(SCHEME_POINTS)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        _check_layout(dataset, Path(folder))
    return ""


def _check_layout(dataset: Dataset, data_root: Path) -> None:
    render_layout(dataset, data_root / dataset.names[0], _FACES, _SIDE_PX, _SEED)
    root = find_root(dataset, data_root)
    if root is None:
        raise OdnbenchError(
            f"its folder is not found by what its loader writes; found_by "
            f"({', '.join(dataset.found_by)}) must name a file or folder of it in lower case"
        )
    archive = open_archive(dataset, root)
    for part in dataset.parts:
        if not archive.files(part):
            raise OdnbenchError(f"part {part}: its loader gives no files of what it wrote")
        faults: list[str] = []
        read = list(archive.faces(part, faults))
        if faults:
            raise OdnbenchError(f"part {part}: {faults[0]}")
        if len({face.id for face in read}) != len(read) or len(read) != _FACES:
            raise OdnbenchError(
                f"part {part}: {_FACES} faces with ids of their own were written, {len(read)} were "
                f"read: {', '.join(face.id for face in read)}"
            )
        drawn = islice(draw_faces(dataset, part, _SIDE_PX, seed=_SEED), _FACES)
        for face, original in zip(read, drawn, strict=True):
            if (differs := _difference(face, original, f"{dataset.name}/{part}")) is not None:
                raise OdnbenchError(
                    f"part {part}: a face that was written and read back has {differs}; write must "
                    "be the inverse of read"
                )


def _difference(face: Face, original: Face, part: str) -> str | None:
    """What of `face`, as it was read back, is not as in `original`."""
    if face.part != part:
        return f"the part {face.part}, not {part}"
    if face.points.shape != original.points.shape:
        return f"points {face.points.shape}, not {original.points.shape}"
    if np.abs(face.points - original.points).max() > _LARGEST_SHIFT_PX:
        shift = np.abs(face.points - original.points).max()
        return f"points that are {shift:.3g} pixels off"
    if face.image is None or original.image is None:
        return "no picture"
    if not np.array_equal(read_as_stored(face.image), read_as_stored(original.image)):
        return "another picture"
    return None


def check_scheme(registry: Registry, name: str) -> str:
    """A mirrored face has its eyes and components where they belong, and the lengths between eye
    corners and between pupils can normalise an error.
    """
    scheme = registry.get(Scheme, name)
    mirrored = {"eye_corners": [scheme.flip[point] for point in scheme.eye_corners][::-1]}
    if mirrored["eye_corners"] != list(scheme.eye_corners):
        raise OdnbenchError("flip must exchange the two eye_corners")
    first, second = scheme.pupils
    if {scheme.flip[point] for point in first} != set(second):
        raise OdnbenchError("flip must exchange the points of the two pupils")
    for component, points in scheme.components.items():
        if {scheme.flip[point] for point in points} != set(points):
            raise OdnbenchError(
                f"flip must lead from points of component {component} to points of it"
            )
    for normaliser in ("inter-ocular", "inter-pupil"):
        protocol = Protocol("", "", name, normaliser, "all", "face", "", (8.0,))
        _check_errors(protocol, scheme)
    return ""


def check_map(registry: Registry, name: str) -> str:
    """Both schemes are there, the map has the points of both, and it makes no difference whether a
    face is mirrored before or after it is mapped.
    """
    rule = registry.get(SchemeMap, name)
    takes, gives = registry.get(Scheme, rule.takes), registry.get(Scheme, rule.gives)
    if len(rule.points) != gives.points:
        raise OdnbenchError(
            f"points must list the {gives.points} landmarks of scheme {gives.name}, got "
            f"{len(rule.points)}"
        )
    for groups in rule.groups:
        for i, group in enumerate(groups):
            if max(group) >= takes.points:
                raise OdnbenchError(
                    f"landmark {i} is made of {list(group)}, but scheme {takes.name} has "
                    f"{takes.points} landmarks, counted from 0"
                )
            mirrored = sorted(takes.flip[point] for point in group)
            if mirrored != sorted(groups[gives.flip[i]]):
                raise OdnbenchError(
                    f"landmark {gives.flip[i]}, the mirror image of {i}, must be made of the "
                    f"mirror images {mirrored}, got {list(groups[gives.flip[i]])}"
                )
    return ""


def check_box(registry: Registry, name: str) -> str:
    """A face gets a crop. The rule itself is checked where its file is read."""
    box = np.array([100.0, 100.0, 200.0, 180.0])
    face = Face("face", "part", None, box.reshape(2, 2), box=box, detector_box=box)
    window_of(face, registry.get(BoxRule, name), margin=1.0)
    return ""


def check_protocol(registry: Registry, name: str) -> str:
    """Scheme and box rule are there; a perfect prediction has no error, any other has one."""
    protocol = registry.get(Protocol, name)
    registry.get(BoxRule, protocol.box)
    _check_errors(protocol, registry.get(Scheme, protocol.scheme))
    return ""


def _check_errors(protocol: Protocol, scheme: Scheme) -> None:
    rng = np.random.default_rng(_SEED)
    true: Floats = rng.uniform(20, 80, (_FACES, scheme.points, 2))
    boxes = np.tile([10.0, 10.0, 90.0, 90.0], (_FACES, 1))
    occluded: Flags = np.zeros((_FACES, scheme.points), bool)
    occluded[:, ::2] = True
    for shift_px, is_perfect in ((0.0, True), (1.0, False)):
        nme = nme_per_face(true + shift_px, true, protocol, scheme, occluded, boxes)
        if not np.isfinite(nme).all() or ((nme == 0) != is_perfect).any():
            raise OdnbenchError(
                f"over {protocol.normaliser}, {protocol.visibility} points: a prediction that is "
                f"{shift_px:g} pixels off in x and y has an NME of {nme[0]:g}"
            )
