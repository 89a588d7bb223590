"""One picture of many faces with their landmarks: the quickest check of a data set."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from odnbench.datasets.faces import Bytes, Flags, Floats
from odnbench.datasets.sources import load_faces
from odnbench.errors import OdnbenchError
from odnbench.registry import Dataset, Registry
from odnbench.specs import Coverage, DataSpec, Protocol

TILE_PX = 192
VISIBLE, OCCLUDED, RING = (60, 230, 60), (255, 60, 60), (255, 255, 255)  # RGB


def contact_sheet(
    registry: Registry, split: str, data_root: Path | None, out: Path, count: int, cache: Path
) -> Coverage:
    """Writes `count` faces of `split`, evenly spread over it, to the picture `out`.

    Occluded landmarks are red. Returns what the faces are.
    """
    dataset = registry.get(Dataset, split.partition("/")[0])
    protocol = next(
        (p for p in registry.all(Protocol).values() if p.scheme == dataset.scheme), None
    )
    if protocol is None:
        raise OdnbenchError(f"no protocol in the registry has the scheme of {dataset.name}")
    # A margin of 1.25 over the crop shows what augmentation sees.
    size = TILE_PX * 4 // 5 // 32 * 32
    data = DataSpec(train=split, test=(split,), protocol=protocol.name, input_size=size)
    data = dataclasses.replace(data, rendered_train=count, rendered_test=count)
    faces = load_faces(data, registry, data_root, cache)
    chosen = faces.test[np.unique(np.linspace(0, len(faces.test) - 1, count).astype(int))]
    tiles = [
        draw_landmarks(picture, points, occluded)
        for picture, points, occluded in zip(
            chosen.images, chosen.points_crop, chosen.occluded, strict=True
        )
    ]
    columns = min(len(tiles), 6)
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack((tiles + blank)[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_picture(np.vstack(rows), out)
    return faces.coverage[-1]


def draw_landmarks(
    picture: Bytes, points: Floats, occluded: Flags, truth: Floats | None = None
) -> Bytes:
    """(S, S, 3) picture at TILE_PX with a dot on each of `points` (L, 2) and a ring on `truth`."""
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


def write_picture(picture: Bytes, path: Path) -> None:
    """Writes (H, W, 3) RGB as .jpg or .png; OdnbenchError where that cannot be done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise OdnbenchError(f"{path}: cannot be written as a picture; end its name in .png or .jpg")
