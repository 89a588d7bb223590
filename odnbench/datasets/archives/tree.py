"""The names below a folder, read once, and found whatever their case and however an archive was
unpacked.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_LEVELS = 4  # of folders below the root


@dataclass(frozen=True)
class Tree:
    """Folders (as text) in the order of their level, each with its entries: lower-case → name."""

    folders: dict[str, dict[str, str]]
    levels: dict[str, int]

    @classmethod
    def of(cls, root: Path, levels: int = _LEVELS) -> "Tree":
        """Reads the names below `root`, down to `levels` further folders."""
        tree = cls({}, {})
        here = [os.fspath(root)]
        for level in range(levels + 1):
            below: list[str] = []
            for folder in here:
                try:
                    with os.scandir(folder) as entries:
                        found = sorted(entries, key=lambda entry: entry.name, reverse=True)
                except OSError:  # a folder that may not be read, or a file
                    continue
                tree.folders[folder] = {entry.name.lower(): entry.name for entry in found}
                tree.levels[folder] = level
                below += [entry.path for entry in found if entry.is_dir()]
            here = sorted(below)
        return tree

    def find(self, wanted: str, depth: int = 2) -> Path | None:
        """The file or folder `wanted` ("helen/trainset"), through up to `depth` further levels
        (afw/afw, data/flickr); the nearest one.
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
        """Each folder that is `folder` or below it → the names in it."""
        start = os.fspath(folder)
        return {
            place: list(names.values())
            for place, names in self.folders.items()
            if place == start or place.startswith(f"{start}/")
        }
