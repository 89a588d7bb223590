"""The two copies of a pipeline's folder, the local one and the one behind a URI, and how either is
brought up to date from the other.

The marker that a trial is done travels last in both directions, so that half a trial is never taken
for a finished one; a finished trial is never transferred again, but for files that are added to it
later. Of an unfinished trial, the copy
that was changed since both were equal is taken; if both were changed, the one with more epochs.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from odnbench.files.whole import write_whole
from odnbench.results.folder import (
    DONE,
    EPOCHS,
    PROGRESS,
    TRIAL,
    TrialFolder,
    is_added,
    transfer_order,
)
from odnbench.results.plans import is_kept_beside_trials
from odnbench.storage.remote import access_errors, download, upload

Stamps = dict[str, tuple[int, int]]  # name of a file → time of its last change in ns, size in bytes


class PipelineCopies:
    """The local copy `here` and the copy `there` on `remote`, a pyarrow.fs.FileSystem.

    A unit is what is transferred as one: a trial's folder, named by the trial's id, or a file
    beside the trials, named by its file name, which has a dot in it. `last_equal` holds, for each
    unit, the stamps of both copies when they last had the same content; it is kept in a file, so
    that the next process knows it too.

    Methods raise one of `access_errors` where `remote` cannot be used.
    """

    def __init__(self, remote: Any, here: Path, there: str):
        self.remote, self.here, self.there = remote, here, there
        self.record = here / ".remote.json"
        self.last_equal: dict[str, tuple[Stamps, Stamps]] = {}  # unit → stamps here, there
        with suppress(OSError, ValueError):  # not there, or cut off: all is compared anew
            for unit, pair in json.loads(self.record.read_text(encoding="utf-8")).items():
                ours, theirs = ({n: (t, size) for n, (t, size) in side.items()} for side in pair)
                self.last_equal[unit] = ours, theirs

    def trials(self) -> list[str]:
        """The ids of the trials that the local copy has."""
        return sorted(path.parent.name for path in self.here.glob(f"*/{TRIAL}"))

    def pull(self, *, progress: bool) -> None:
        """Brings here what is newer there.

        progress: whether to bring what unfinished trials need to go on, which is large.
        """
        found = self._stamps_there()
        # What is no longer there was removed there, and is to be pushed again.
        self.last_equal = {unit: both for unit, both in self.last_equal.items() if unit in found}
        for unit, theirs in found.items():
            try:
                self._pull(unit, theirs, progress)
            except access_errors():
                if self._stamps_there(unit).get(unit) == theirs:
                    raise  # else it was changed meanwhile, and the next pull brings it
        self._save()

    def push(self, trials: Collection[str]) -> None:
        """Brings there what is newer here: of `trials` and of the files beside the trials."""
        files = [path.name for path in self.here.glob("*") if is_kept_beside_trials(path.name)]
        try:
            for unit in (*sorted(files), *sorted(trials)):
                self._push(unit)
        finally:
            self._save()

    def _pull(self, unit: str, theirs: Stamps, progress: bool) -> None:
        ours = self._stamps_here(unit)
        known_ours, known_theirs = self.last_equal.get(unit, ({}, {}))
        if DONE in ours:
            if DONE in theirs:
                self._pull_added(unit, ours, theirs)
            return
        if not progress or DONE in theirs:
            theirs = {name: stamp for name, stamp in theirs.items() if name != PROGRESS}
        if ours == known_ours:
            wanted = theirs != known_theirs or bool(theirs.keys() - ours.keys())
        else:
            wanted = DONE in theirs or _length(unit, theirs) > _length(unit, ours)
        if not wanted:
            if progress and theirs != known_theirs:
                self.last_equal[unit] = {}, theirs  # all that is here is to be pushed
            return
        folder = self._folder(unit)
        folder.mkdir(parents=True, exist_ok=True)
        old = {n for n in theirs if n in ours and theirs[n] == known_theirs.get(n)}
        unchanged = old if ours == known_ours else set()
        for name in ours.keys() - theirs.keys() - (set() if progress else {PROGRESS}):
            (folder / name).unlink()
        for name in sorted(theirs.keys() - unchanged, key=transfer_order):
            self._download(unit, name, theirs)
        if DONE in theirs:
            (folder / PROGRESS).unlink(missing_ok=True)
        self.last_equal[unit] = self._stamps_here(unit), theirs

    def _pull_added(self, unit: str, ours: Stamps, theirs: Stamps) -> None:
        """Brings here what was added there to a trial that is finished in both copies."""
        for name in filter(is_added, theirs.keys() - ours.keys()):
            self._download(unit, name, theirs)
        here = self._stamps_here(unit)
        # What was added here is to be pushed.
        equal = {name: here[name] for name in here if name in theirs or not is_added(name)}
        self.last_equal[unit] = equal, theirs

    def _download(self, unit: str, name: str, theirs: Stamps) -> None:
        changed_ns, _ = theirs[name]
        download(self.remote, self._path(unit, name), self._folder(unit) / name, changed_ns)

    def _push(self, unit: str) -> None:
        ours = self._stamps_here(unit)
        known_ours, known_theirs = self.last_equal.get(unit, ({}, {}))
        changed = [name for name, stamp in ours.items() if stamp != known_ours.get(name)]
        if DONE in known_theirs:
            changed = list(filter(is_added, changed)) if DONE in ours else []
            known_theirs = {}  # nothing of a finished trial is removed
        if ours == known_ours or not (changed or known_theirs):
            return
        with ExitStack() as stack:
            # The progress is opened first and sent after the epochs: it must not be ahead of them.
            files = {}
            for name in sorted(changed, key=transfer_order, reverse=True):
                try:
                    file = (self._folder(unit) / name).open("rb")
                except FileNotFoundError:  # the trial goes on; there is more to push soon
                    return
                files[name] = stack.enter_context(file)
            for name in sorted(changed, key=transfer_order):
                if name == DONE:
                    break
                upload(self.remote, files[name], self._path(unit, name))
            for name in known_theirs.keys() - ours.keys():
                with suppress(FileNotFoundError):
                    self.remote.delete_file(self._path(unit, name))
            if DONE in files:
                upload(self.remote, files[DONE], self._path(unit, DONE))
        self.last_equal[unit] = ours, self._stamps_there(unit).get(unit, {})

    def _folder(self, unit: str) -> Path:
        """The local folder in which the files of a unit lie."""
        return self.here if "." in unit else self.here / unit

    def _path(self, unit: str, name: str) -> str:
        """The remote path of a unit's file."""
        return f"{self.there}/{name}" if "." in unit else f"{self.there}/{unit}/{name}"

    def _stamps_here(self, unit: str) -> Stamps:
        """The stamps of a unit's local files."""
        folder = self._folder(unit)
        # The marker is looked at first: if it is there, so are all other files. The marker of a
        # damaged trial does not count, so that the trial is brought from the other copy.
        finished = TrialFolder(folder).finished
        names = [unit] if "." in unit else [path.name for path in folder.glob("[!.]*")]
        stamps = {}
        for name in names:
            with suppress(FileNotFoundError):
                stat = (folder / name).stat()
                stamps[name] = stat.st_mtime_ns, stat.st_size
        if not finished:
            stamps.pop(DONE, None)
        return stamps

    def _stamps_there(self, unit: str = "") -> dict[str, Stamps]:
        """Unit → the stamps of its remote files, for one unit, or by default for all."""
        from pyarrow.fs import FileSelector, FileType

        if "." in unit:
            found = [self.remote.get_file_info(self._path(unit, unit))]
        else:
            top = f"{self.there}/{unit}".rstrip("/")
            selector = FileSelector(top, allow_not_found=True, recursive=True)
            found = self.remote.get_file_info(selector)
        units: dict[str, Stamps] = defaultdict(dict)
        for info in found:
            parts = info.path.removeprefix(f"{self.there}/").split("/")
            if info.type != FileType.File or any(part.startswith(".") for part in parts):
                continue
            if len(parts) == 2 or (len(parts) == 1 and is_kept_beside_trials(parts[0])):
                units[parts[0]][parts[-1]] = info.mtime_ns, info.size
        return units

    def _save(self) -> None:
        if self.here.is_dir():
            write_whole(self.record, json.dumps(self.last_equal).encode())


def _length(unit: str, stamps: Stamps) -> int:
    """Bytes of the file that grows while a unit is worked on: of a trial, its list of epochs."""
    _, size = stamps.get(unit if "." in unit else EPOCHS, (0, 0))
    return size
