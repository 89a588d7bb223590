"""One look at every face of a part, from which the doctor's checks are computed."""

# N faces, L landmarks, T side of a thumbnail in pixels

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from odnbench.arrays import Bytes, Flags, Floats, Rows
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.crop import THUMBNAIL_PX, window_of
from odnbench.datasets.decoders import listening
from odnbench.datasets.faces import Face
from odnbench.datasets.inspection.placeholders import placeholders
from odnbench.datasets.inspection.symmetry import PROBES_PX, MirrorDifferences, MirrorSums
from odnbench.datasets.offsets import annotation_offsets
from odnbench.datasets.orientation import fits_only, orientation_of
from odnbench.datasets.parallel import in_order
from odnbench.datasets.pictures import damage_of, read_as_shown, read_as_stored
from odnbench.errors import OdnbenchError
from odnbench.files.regular import read_file
from odnbench.plan.entries import Offset
from odnbench.plan.protocols import BoxRule, Scheme

_TIGHT = BoxRule("tight", "", "landmarks", "square", 1.0)


@dataclass(frozen=True)
class Look:
    """The properties of one face and of its picture."""

    # Without an array as its picture.
    face: Face
    # Width and height of the picture; None where it is missing or cannot be read.
    size: tuple[int, int] | None = None
    # Why the picture cannot be read; empty where it can.
    unreadable: str = ""
    # What is odd about a picture of which all pixels can be read; empty where nothing is.
    odd: str = ""
    # Of the picture file; 1 where it is shown as it is stored.
    orientation: int = 1
    # Where `orientation` is not 1: the frame that the points were read in, "shown" or "stored".
    frame: str = ""
    # Where both frames hold the points: by how much less the face is like its mirror image as
    # stored than as shown, in squared units of the patches' deviation (symmetry.py).
    oddness_as_stored: float | None = None
    # (L,) whether a point stands for one that was not annotated; None where nobody has looked.
    placeholders: Flags | None = None
    # Whether the picture is stored with one channel.
    grey: bool = False
    # (T, T) grey, the crop of the face.
    thumbnail: Bytes | None = None

    @property
    def points(self) -> Floats:
        """The points that were annotated, (L, 2) where the face is whole, else fewer."""
        return (
            self.face.points if self.placeholders is None else self.face.points[~self.placeholders]
        )

    @property
    def is_whole(self) -> bool:
        """Whether each point was annotated."""
        return self.placeholders is None or not self.placeholders.any()


@dataclass
class Survey:
    """The looks at all faces of one part."""

    part: str
    official: int  # number of faces of the official part
    optional: bool  # whether the data set counts as whole without this part
    offset: Offset  # of the official annotations
    # What was looked for where the part has no file.
    absent: str = ""
    # A line for each faulty annotation.
    faults: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    # Of the points that annotators meant, as far as the registry states an offset.
    mirror: MirrorSums = field(default_factory=lambda: MirrorSums(0))

    @property
    def points(self) -> Floats:
        """The points of all faces that have all their points: (N, L, 2)."""
        whole = [look.face.points for look in self.looks if look.is_whole]
        return np.stack(whole) if whole else np.empty((0, 0, 2))


def survey(
    archive: Archive, part: str, scheme: Scheme, advance: Callable[[], None] = lambda: None
) -> Survey:
    """The survey of `part`, with points of `scheme`. `advance` is called after each face."""
    entry = archive.dataset.parts[part]
    offset = Offset() if archive.rendered else archive.dataset.offset_of(part)
    sums = MirrorSums(scheme.points)
    seen = Survey(part, archive.official(part), entry.optional, offset, mirror=sums)
    flip = np.array(scheme.flip)

    def look_at(face: Face) -> tuple[Look, MirrorDifferences | None]:
        image = face.image if isinstance(face.image, Path) else None
        look = Look(replace(face, image=image), placeholders=placeholders(face.points, scheme))
        if len(look.points) < 2:
            x, y = face.points[0]
            raise OdnbenchError(
                f"{face.part}, {face.id}: none of its points was annotated: all are at {x:g} {y:g}"
            )
        window = window_of(replace(face, points=look.points), _TIGHT, 1.0)
        if face.image is None:
            return look, None
        try:
            picture = read_as_stored(face.image, face.points)
            if image and (orientation := orientation_of(read_file(image))) != 1:
                look = replace(look, orientation=orientation, **_frame(image, face.points, flip))
        except OdnbenchError as error:
            return replace(look, unreadable=str(error)), None
        grey = _grey(picture)
        look = replace(
            look,
            size=(picture.shape[1], picture.shape[0]),
            grey=picture.ndim == 2,
            thumbnail=window.cut(grey, np.empty((THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)),
        )
        if not look.is_whole:
            return look, None
        scales = np.array([face.scale])
        meant = face.points - annotation_offsets(face.points[None], scales, offset, scheme)
        return look, MirrorDifferences.of(grey.astype(np.float32), meant, flip)

    def try_to_look_at(face: Face) -> tuple[Look, MirrorDifferences | None] | str:
        try:
            return look_at(face)
        except OdnbenchError as error:  # its points span no area
            return str(error)

    with listening() as suspects:
        for looked in in_order(try_to_look_at, archive.faces(part, seen.faults)):
            advance()
            if isinstance(looked, str):
                seen.faults.append(looked)
                continue
            look, differences = looked
            seen.looks.append(look)
            if differences is not None:
                seen.mirror.add(differences)
    damaged = {path: damage_of(path) for path in suspects}
    for index, look in enumerate(seen.looks):
        if look.size and isinstance(look.face.image, Path) and look.face.image in damaged:
            said, whole = damaged[look.face.image]
            kept = replace(look, odd=said) if whole else replace(look, unreadable=said, size=None)
            seen.looks[index] = kept
    if not (seen.looks or seen.faults):
        seen.absent = archive.absent(part)
    return seen


def _frame(image: Path, points: Floats, flip: Rows) -> dict[str, Any]:
    """The fields of a look at a picture that is stored turned. Raises OdnbenchError where it cannot
    be read.
    """
    stored, shown = (_grey(picture) for picture in (read_as_stored(image), read_as_shown(image)[0]))
    if fits_only(points, shown.shape, stored.shape):
        return {"frame": "shown"}
    if fits_only(points, stored.shape, shown.shape):
        return {"frame": "stored"}
    unlike = [
        float((found.values[len(PROBES_PX) // 2] ** 2).mean())
        for grey in (stored, shown)
        if (found := MirrorDifferences.of(grey.astype(np.float32), points, flip))
    ]
    return {"frame": "stored", "oddness_as_stored": unlike[0] - unlike[1] if unlike else None}


def _grey(picture: Bytes) -> Bytes:
    """(H, W) of a picture (H, W) or (H, W, 3)."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
