"""Loaders: each reads the official archive of a data set as it is on disk.

    root = find_root(dataset, data_root)
    archive = open_archive(dataset, root)
    for face in archive.faces("helen-test", faults): …

`faces` does not stop at a faulty file: it adds a line to `faults` and goes on, so that an error can
list all faults. A face without its picture has image None. `write` is the inverse of `faces`: it
writes rendered faces in the official layout, so that every loader can be run without the data. The
folder then holds the file rendered.json, from which the loader knows that the faces are rendered.
"""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from odnbench.datasets.archives.roots import find_root as find_root
from odnbench.datasets.archives.tree import LEVELS, Tree
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError
from odnbench.files.regular import read_file
from odnbench.files.text import decoded
from odnbench.plan.conversion import convert
from odnbench.plan.entries import Dataset
from odnbench.plan.registry import import_target

_NOTE = "rendered.json"
_MOST_NAMED = 8  # files that one line names


class Archive(ABC):
    """The files of one data set below `root`."""

    def __init__(self, dataset: Dataset, root: Path):
        self.dataset, self.root = dataset, root

    @abstractmethod
    def files(self, part: str) -> list[Path]:
        """Every file that decides the faces of `part`, pictures included; empty where the part is
        absent.
        """

    @abstractmethod
    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """The faces of `part`, in a fixed order. Adds a line to `faults` for each faulty file.

        Raises OdnbenchError for a faulty file without which no further face can be read.
        """

    @abstractmethod
    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """Writes part → faces, with pictures as arrays, in the official layout."""

    def faces(self, part: str, faults: list[str]) -> Iterator[Face]:
        """The faces that `read` gives. An error that `read` raises becomes a line of `faults`."""
        try:
            yield from self.read(part, faults)
        except OdnbenchError as error:
            faults.append(str(error))

    @cached_property
    def tree(self) -> Tree:
        """The names below the root."""
        return Tree.of(self.root)

    def absent(self, part: str) -> str:
        """What was looked for where `part` has no face, and what was found, as part of a line."""
        source = self.dataset.parts[part].source
        if found := self.tree.find_all(source, LEVELS):
            return f"{found[0]} holds no face"
        names = [name for names in self.tree.folders[str(self.root)].values() for name in names]
        return (
            f"no {source} below {self.root}, which holds {', '.join(sorted(names)[:_MOST_NAMED])}"
        )

    @cached_property
    def rendered(self) -> Mapping[str, int]:
        """Part → number of faces where `odnbench data render` wrote the folder; else empty.

        Raises OdnbenchError for a note that cannot be read.
        """
        path = self.root / _NOTE
        if not os.path.lexists(path):
            return {}
        try:
            note = json.loads(decoded(read_file(path)))
        except (ValueError, RecursionError) as error:
            raise OdnbenchError(f"{path}: cannot be read: {error}") from error
        counts: dict[str, int] = convert(note, dict[str, int], str(path))
        if counts.keys() != self.dataset.parts.keys() or min(counts.values()) < 0:
            raise OdnbenchError(f"{path}: it must give a number of faces for each part")
        return counts

    def official(self, part: str) -> int:
        """The number of faces of the whole part, as published or, if rendered, as written."""
        return self.rendered.get(part, self.dataset.parts[part].faces)

    def signature(self, part: str) -> str:
        """Hash of names, sizes and modification times of the files of `part`."""
        above = len(os.fspath(self.root.parent))
        lines = []
        for path in sorted(map(os.fspath, self.files(part))):
            try:
                stat = os.stat(path)  # noqa: PTH116  Path.stat is slow for tens of thousands
            except OSError:  # a link that leads nowhere
                continue
            lines.append(f"{path[above:]}\0{stat.st_size}\0{stat.st_mtime_ns}")
        text = "\0".join(lines).encode(errors="surrogateescape")  # names need not be UTF-8
        return hashlib.sha256(text).hexdigest()

    def write_note(self, counts: Mapping[str, int]) -> None:
        """Marks the folder as one of rendered faces. counts: part → number of its faces."""
        text = json.dumps(dict(counts), indent=1) + "\n"
        (self.root / _NOTE).write_text(text, encoding="utf-8")


def open_archive(dataset: Dataset, root: Path) -> Archive:
    """The archive of `dataset` at `root`, read by the loader that the registry names."""
    archive: Archive = import_target(dataset.target)(dataset, root)
    return archive
