"""Reading and writing the folders of trials for processes that do not see the disk they lie on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from odnbench.files.whole import write_whole


class Keeper:
    """Actor on the driver's machine, through which workers read and write trial folders.

    It stands here, not with its callers, since a process that imports those takes seconds to start.

    base: the pipeline's folder, below which each trial's folder is named by the trial's id.
    """

    def __init__(self, base: Path):
        self.base = base

    def fetch(self, trial: str) -> dict[str, bytes]:
        """The contents of every file in the folder of the trial with id `trial`, by file name."""
        files = (self.base / trial).glob("[!.]*")
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    def keep(self, trial: str, files: Mapping[str, bytes], gone: Sequence[str]) -> None:
        """Writes `files` (file name → content) into the folder of the trial with id `trial`, in
        the order given, each whole or not at all; then removes the files that `gone` names.
        """
        folder = self.base / trial
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        for name in gone:
            (folder / name).unlink(missing_ok=True)
