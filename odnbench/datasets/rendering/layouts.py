"""Rendered faces in the files of an official data set, so that its loader can be tried without
the data set.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from odnbench.datasets.archives.archive import open_archive
from odnbench.datasets.faces import Face
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset


def render_layout(
    dataset: Dataset,
    folder: Path,
    count: int,
    size: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> int:
    """Writes `count` faces of each part of `dataset` below `folder`; returns their total number.

    size: side of the pictures in px. `advance` is called after each face. Raises OdnbenchError,
    before anything is written, if the folder holds something already or the faces of `dataset`
    cannot be rendered.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OdnbenchError(f"{folder} is not an empty folder; give a new one")

    def counted(drawn: Iterator[Face]) -> Iterator[Face]:
        for face in islice(drawn, count):
            yield face
            advance()

    drawn = {part: draw_faces(dataset, part, size, seed=seed) for part in dataset.parts}
    archive = open_archive(dataset, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        archive.write_note(dict.fromkeys(dataset.parts, count))
        archive.write({part: counted(stream) for part, stream in drawn.items()})
    except OSError as error:
        raise OdnbenchError(f"{folder}: cannot be written: {error}") from error
    return count * len(dataset.parts)
