"""The names of files and folders below a folder, read once.

Names are found in any case, and also where unpacking an archive added a level of folders.
"""

import os
from dataclasses import dataclass
from pathlib import Path

# Levels of folders below the root that are read.
_LEVELS = 4


@dataclass(frozen=True)
class Tree:
    """The names below a root folder. Both mappings are ordered by level, then by path."""

    folders: dict[str, dict[str, str]]  # path of a folder → lower-case name of an entry → its name
    levels: dict[str, int]  # path of a folder → level, 0 for the root

    @classmethod
    def of(cls, root: Path, levels: int = _LEVELS) -> "Tree":
        """Reads the names in `root` and in the folders of `levels` further levels."""
        tree = cls({}, {})
        here = [os.fspath(root)]
        for level in range(levels + 1):
            below: list[str] = []
            for folder in here:
                try:
                    with os.scandir(folder) as entries:
                        found = sorted(entries, key=lambda entry: entry.name, reverse=True)
                except OSError:  # a folder that may not be read, or no folder
                    continue
                tree.folders[folder] = {entry.name.lower(): entry.name for entry in found}
                tree.levels[folder] = level
                below += [entry.path for entry in found if entry.is_dir()]
            here = sorted(below)
        return tree

    def find(self, wanted: str, depth: int = 2) -> Path | None:
        """The file or folder `wanted` ("helen/trainset"), or None where it is not found.

        It may stand up to `depth` levels of folders below the root (afw/afw, data/flickr); of
        several, the one of the highest level is taken.
        """
        for folder, level in self.levels.items():
            if level > depth:
                break
            path: str | None = folder
            for name in wanted.lower().split("/"):
                entry = self.folders.get(path or "", {}).get(name)
                path = None if entry is None else f"{path}/{entry}"
            if path is not None:
                return Path(path)
        return None

    def below(self, folder: Path) -> dict[str, list[str]]:
        """`folder` and each folder below it, as text → the names of its entries."""
        start = os.fspath(folder)
        return {
            place: list(names.values())
            for place, names in self.folders.items()
            if place == start or place.startswith(f"{start}/")
        }
