"""The names of files and folders below a folder, read once.

Names are found in any case, in any Unicode form (a Mac writes "é" as two characters), and also
where unpacking an archive added a level of folders. Nothing is left out in silence: a folder that
cannot be read and a link that leads nowhere are kept with their reason (`unread`), and where names
differ in case alone, all of them are kept.
"""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from odnbench.errors import OdnbenchError
from odnbench.files.regular import unreachable

# Levels of folders below the root that are read.
LEVELS = 4


@dataclass(frozen=True)
class Tree:
    """The names below a root folder. `folders` and `levels` are ordered by level, then by path."""

    # Path of a folder → key of an entry → its name, or its names where case tells them apart.
    folders: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)  # path of a folder → level, 0 for the root
    # Path of a folder → what is the same under all names that links give it.
    identities: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Path of a folder or link that could not be read → why.
    unread: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path, levels: int = LEVELS) -> "Tree":
        """Reads the names in `root` and in the folders of `levels` further levels.

        A link to a folder that holds it is not followed.
        """
        tree = cls()
        above_root = frozenset(_identity(folder) for folder in root.resolve().parents)
        here = [(os.fspath(root), above_root)]
        for level in range(levels + 1):
            below: list[tuple[str, frozenset[tuple[int, int]]]] = []
            for folder, above in here:
                try:
                    identity = _identity(folder)
                    if identity in above:
                        continue
                    with os.scandir(folder) as entries:
                        found = sorted(entries, key=lambda entry: entry.name)
                except OSError as error:
                    if level:  # of the root, nobody has said yet that it is there
                        tree.unread[folder] = unreachable(folder, error)
                    continue
                tree.levels[folder], tree.identities[folder] = level, identity
                names = tree.folders.setdefault(folder, {})
                for entry in found:
                    try:
                        is_folder = entry.is_dir()
                        # The system knows the kind of an entry, but not yet where a link leads.
                        if not is_folder and entry.is_symlink():
                            entry.stat()
                    except OSError as error:
                        tree.unread[entry.path] = unreachable(entry.path, error)
                        continue
                    names.setdefault(key(entry.name), []).append(entry.name)
                    if is_folder:
                        below.append((entry.path, above | {identity}))
            here = sorted(below)
        return tree

    def find(self, wanted: str, depth: int = 2, within: Path | None = None) -> Path | None:
        """The file or folder `wanted` ("WFLW_images"), or None where it is not found; see
        `find_all`.

        Of names that differ in case alone, it is the one that is spelled like `wanted`. Raises
        OdnbenchError where none is.
        """
        found = self.find_all(wanted, depth, within)
        exact = [path for path in found if path.as_posix().endswith(f"/{wanted}")]
        if len(exact or found) > 1:
            raise OdnbenchError(
                f"{' and '.join(map(str, found))} differ only in upper and lower case: keep one"
            )
        return next(iter(exact or found), None)

    def find_all(self, wanted: str, depth: int = 2, within: Path | None = None) -> list[Path]:
        """The files or folders `wanted` ("helen/trainset"): several where names differ in case
        alone, none where it is not found.

        They may stand up to `depth` levels of folders below the root (afw/afw, data/flickr), or
        below `within`. Those of the highest level are taken, and of several folders there those in
        the first.
        """
        words = key(wanted).split("/")
        for folder in self._places(within, depth):
            paths = [folder]
            for word in words:
                paths = [
                    f"{path}/{name}"
                    for path in paths
                    for name in self.folders.get(path, {}).get(word, ())
                ]
            if paths:
                return [Path(path) for path in paths]
        return []

    def below(self, folder: Path) -> dict[str, list[str]]:
        """`folder` and each folder below it, as text → the names of its entries.

        A folder that links lead to under several names is given once.
        """
        seen: dict[tuple[int, int], str] = {}
        places = self._places(folder, LEVELS)
        return {
            place: [name for names in self.folders[place].values() for name in names]
            for place in places
            if seen.setdefault(self.identities[place], place) == place
        }

    def faults(self, wanted: str) -> list[str]:
        """A line for each folder and link that could not be read and is below `wanted`, or has one
        of its names where `wanted` is not found.
        """
        found = [os.fspath(path) for path in self.find_all(wanted)]
        words = key(wanted).split("/")
        return [
            f"{path}: {why}"
            for path, why in self.unread.items()
            if any(_is_in(path, folder) for folder in found)
            or (not found and key(Path(path).name) in words)
        ]

    def _places(self, start: Path | None, depth: int) -> Iterator[str]:
        """The folder `start` (None: the root) and those of up to `depth` levels below it."""
        top = None if start is None else os.fspath(start)
        first = 0 if top is None else self.levels.get(top, 0)
        for folder, level in self.levels.items():
            if level > first + depth:
                return
            if top is None or _is_in(folder, top):
                yield folder


def key(name: str) -> str:
    """What names of one file have in common, whatever the case and the Unicode form."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def _is_in(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or is below it."""
    return path == folder or path.startswith(f"{folder}/")


def _identity(folder: str | Path) -> tuple[int, int]:
    """What is the same under all names of a folder."""
    status = os.stat(folder)  # noqa: PTH116  Path.stat takes three times as long
    return status.st_dev, status.st_ino
