"""One picture of many faces with their landmarks: the quickest check of a data set."""

from pathlib import Path

import cv2
import numpy as np

from odnbench.arrays import Bytes, Flags, Floats
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.sources import FaceSource
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec
from odnbench.plan.trials import Coverage

TILE_PX = 192
VISIBLE, OCCLUDED, RING = (60, 230, 60), (255, 60, 60), (255, 255, 255)  # RGB
BOX = (250, 220, 60)


def contact_sheet(
    registry: Registry, split: str, data_root: Path | None, out: Path, count: int, cache: Path
) -> Coverage:
    """Writes `count` faces, evenly spread over `split`, to the picture `out`.

    Visible landmarks are green, occluded ones red, the annotated box is yellow. Returns the
    coverage of the split. Raises OdnbenchError for faulty files and for a split without faces.
    """
    # A margin of 1.25 over the crop shows what augmentation sees.
    size = TILE_PX * 4 // 5 // 32 * 32
    protocol = registry.protocol_of(registry.split(split)[0])
    data = DataSpec(train=split, test=(split,), protocol=protocol.name, input_size=size)
    source = FaceSource(data, registry, data_root, cache)
    face_set, (coverage,) = source.union([split], rendered_count=count)
    if source.faults:
        raise OdnbenchError("\n".join(source.faults))
    if face_set is None:
        raise OdnbenchError(f"{split}: none of its faces is below {data_root}")
    chosen = face_set[np.unique(np.linspace(0, len(face_set) - 1, count).astype(int))]
    boxes = chosen.to_crop(chosen.boxes.reshape(-1, 2, 2))  # (N, 2, 2) two corners
    tiles = [
        draw_landmarks(draw_box(picture, box), points, occluded)
        for picture, box, points, occluded in zip(
            chosen.images, boxes, chosen.points_crop, chosen.occluded, strict=True
        )
    ]
    columns = min(len(tiles), 6)
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack((tiles + blank)[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_picture(np.vstack(rows), out)
    return coverage


def draw_box(picture: Bytes, corners: Floats) -> Bytes:
    """A copy of `picture` (S, S, 3) with the box that has the two `corners` (2, 2).

    No box is drawn where a corner is NaN.
    """
    copy = np.array(picture)
    if np.isfinite(corners).all():
        first, second = (tuple(np.rint(corner).astype(int).tolist()) for corner in corners)
        cv2.rectangle(copy, first, second, BOX, 1)
    return copy


def draw_landmarks(
    picture: Bytes, points: Floats, occluded: Flags, truth: Floats | None = None
) -> Bytes:
    """`picture` (S, S, 3) resized to side TILE_PX, with a dot on each of `points` (L, 2) and, where
    given, a ring around each of `truth` (L, 2).
    """
    scale = TILE_PX / picture.shape[0]
    tile = cv2.resize(
        np.ascontiguousarray(picture), (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR
    )

    def sixteenths(points: Floats) -> list[tuple[int, int]]:
        moved = ((points + 0.5) * scale - 0.5) * 16
        return [(round(x), round(y)) for x, y in moved.tolist()]

    for centre in sixteenths(truth) if truth is not None else ():
        cv2.circle(tile, centre, 40, RING, 1, cv2.LINE_AA, shift=4)
    for centre, hidden in zip(sixteenths(points), occluded, strict=True):
        cv2.circle(tile, centre, 24, OCCLUDED if hidden else VISIBLE, -1, cv2.LINE_AA, shift=4)
    return tile  # type: ignore[return-value]
