"""A trial's folder on a worker's disk, and how its files travel to the driver's disk and back."""

from typing import Any

import ray

from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder, transfer_order


class KeptFolder:
    """A trial's folder on a worker's disk, which is kept equal to the folder on the driver's disk.

    It begins with the files that the driver's disk has, so that a trial goes on from its progress.
    """

    def __init__(self, folder: TrialFolder, trial: Trial, keeper: Any):
        self.folder, self.trial, self.keeper = folder, trial, keeper
        folder.path.mkdir(parents=True)
        for name, content in ray.get(keeper.fetch.remote(trial.id)).items():
            (folder.path / name).write_bytes(content)
        self._sent = self._stamps()

    def send(self) -> None:
        """Sends each file that has changed since the last call, in the order of `transfer_order`,
        and has those removed that are gone. Raises RayTaskError where the driver cannot write.
        """
        stamps = self._stamps()
        changed = [name for name, stamp in stamps.items() if self._sent.get(name) != stamp]
        changed.sort(key=transfer_order)
        files = {name: (self.folder.path / name).read_bytes() for name in changed}
        gone = [name for name in self._sent if name not in stamps]
        ray.get(self.keeper.keep.remote(self.trial.id, files, gone))
        self._sent = stamps

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """File name → time of the last change in nanoseconds, and size in bytes."""
        stats = {path.name: path.stat() for path in self.folder.path.iterdir()}
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}
