"""Pictures of test faces to look at: rendered ones, and real ones where they are asked for."""

# L landmarks, S side of a prepared picture

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from odnbench.arrays import Floats
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.pictures import jpeg_of
from odnbench.datasets.sources import FaceSource
from odnbench.errors import OdnbenchError

# How far a prepared face's points may be from those of a result that names it: files hold them
# rounded to float32.
_SAME_PX = 0.1


@dataclass(frozen=True)
class Album:
    """The prepared faces of some splits, which are read when the first face is asked for."""

    source: FaceSource
    splits: Sequence[str]
    rendered: Sequence[str]  # those of `splits` whose faces were rendered ones
    with_real: bool = False  # whether real faces may be shown

    def tile(self, part: str, face: str, points: Floats) -> tuple[bytes, Floats] | None:
        """(a JPEG file, the points in units of the picture's side); None for a face that may not be
        shown, or is not the one that the points are of.

        points: (K, L, 2), image frame, the first ones the true ones.
        """
        if (part, face) not in self._places:
            return None
        faces, row = self._places[part, face]
        one = faces[np.array([row])]
        if not np.allclose(one.points[0], points[0], atol=_SAME_PX):
            return None
        side = one.images.shape[1]
        placed: Floats = np.concatenate([one.to_crop(each[None]) for each in points])
        return jpeg_of(one.images[0]), (placed + 0.5) / side

    @cached_property
    def _places(self) -> dict[tuple[str, str], tuple[FaceSet, int]]:
        """Part and id of a face → the set that holds it, and where.

        Raises OdnbenchError for real faces that are asked for and not there, and faulty files.
        """
        real = [split for split in self.splits if split not in self.rendered]
        if self.with_real and (absent := self.source.absent(real)):
            raise OdnbenchError(
                f"--with-faces: {', '.join(absent)} is not on this machine; give --data-root, or "
                "leave out --with-faces"
            )
        places: dict[tuple[str, str], tuple[FaceSet, int]] = {}
        for split in self.splits if self.with_real else self.rendered:
            sets, coverage = self.source.sets(split, self.source.data.rendered_test)
            for faces in sets if coverage.rendered or self.with_real else ():
                identities = zip(faces.parts, faces.ids, strict=True)
                places |= {identity: (faces, row) for row, identity in enumerate(identities)}
        if self.source.faults:
            raise OdnbenchError("\n".join(dict.fromkeys(self.source.faults)))
        return places
