"""One look at every face of a part, from which the doctor's checks are computed."""

# N faces, L landmarks, T side of a thumbnail in pixels

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.crop import THUMBNAIL_PX, window_of
from odnbench.datasets.faces import Face
from odnbench.datasets.inspection.symmetry import MirrorDifferences, MirrorSums
from odnbench.datasets.offsets import annotation_offsets
from odnbench.datasets.parallel import in_order
from odnbench.datasets.pictures import read_as_stored
from odnbench.errors import OdnbenchError
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
    # Why the picture cannot be read or cropped; empty where it can.
    unreadable: str = ""
    # Whether the picture is stored with one channel.
    grey: bool = False
    # (T, T) grey, the crop of the face.
    thumbnail: Bytes | None = None


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
        """The points of all faces: (N, L, 2)."""
        return np.stack([look.face.points for look in self.looks])


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
        kept = replace(face, image=face.image if isinstance(face.image, Path) else None)
        if face.image is None:
            return Look(kept), None
        try:
            picture = read_as_stored(face.image)
            window = window_of(face, _TIGHT, 1.0)
        except OdnbenchError as error:
            return Look(kept, unreadable=str(error)), None
        is_grey = picture.ndim == 2
        grey: Bytes = picture if is_grey else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
        look = Look(
            kept,
            size=(picture.shape[1], picture.shape[0]),
            grey=is_grey,
            thumbnail=window.cut(grey, np.empty((THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)),
        )
        scales = np.array([face.scale])
        meant = face.points - annotation_offsets(face.points[None], scales, offset, scheme)
        return look, MirrorDifferences.of(grey.astype(np.float32), meant, flip)

    for look, differences in in_order(look_at, archive.faces(part, seen.faults)):
        seen.looks.append(look)
        if differences is not None:
            seen.mirror.add(differences)
        advance()
    if not (seen.looks or seen.faults):
        seen.absent = archive.absent(part)
    return seen
