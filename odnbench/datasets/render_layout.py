"""Rendered faces written as a data set stands on disk, so that its loader can be tried without
it.
"""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2

from odnbench.datasets.pts import write_pts
from odnbench.datasets.rendered import RenderedFace, render_face
from odnbench.errors import OdnbenchError, unknown
from odnbench.registry import Dataset, Registry


def render_layout(
    registry: Registry, layout: str, folder: Path, faces: int, size: int, seed: int
) -> int:
    """Writes `faces` faces for each part of data set `layout` below `folder`; returns how many in
    all.

    Raises OdnbenchError if the folder holds something already, or the layout is not known.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OdnbenchError(f"{folder} is not an empty folder; give a new one")
    dataset = registry.get(Dataset, layout)
    for name, part in dataset.parts.items():
        place = folder / part.folder
        place.mkdir(parents=True)
        for index in range(faces):
            face = render_face(
                seed ^ zlib.crc32(name.encode()),
                index,
                scheme=dataset.scheme,
                size=size,
                difficulty=part.rendered,
            )
            LAYOUTS[layout](face, place, index)
    return faces * len(dataset.parts)


def _write_300w(face: RenderedFace, folder: Path, index: int) -> None:
    """A .png and a .pts beside it."""
    path = folder / f"image_{index:04d}.png"
    cv2.imwrite(str(path), cv2.cvtColor(face.image, cv2.COLOR_RGB2BGR))
    write_pts(path.with_suffix(".pts"), face.points)


LAYOUTS: dict[str, Callable[[RenderedFace, Path, int], None]] = {"300w": _write_300w}
