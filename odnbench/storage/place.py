"""Where results are kept: a folder, or a URI that pyarrow's file systems open (s3://, gs://, …).

Results are worked on in a local folder in either case. For a URI that is a folder of the cache:
`Storage.pull` brings there what others have pushed, and `StorageMirror` pushes what a sweep writes.

The marker that a trial is done travels last in both directions, so that half a trial is never taken
for a finished one; a finished one is never transferred again. Of an unfinished trial, whichever
copy was changed since both were equal is taken; if both were, the one with more epochs.
"""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Any

from filelock import FileLock

from odnbench.errors import OdnbenchError
from odnbench.files import write_whole
from odnbench.plan.trials import Trial
from odnbench.results.folder import DONE, EPOCHS, PROGRESS, TRIAL, TrialFolder, transfer_order
from odnbench.results.observers import Observer
from odnbench.results.plans import is_at_work, is_kept_beside_trials
from odnbench.results.records import Epoch, State

_LEASE = ".lease"  # in a pipeline's remote folder: who sweeps into it
_LEASE_SECONDS = 120  # after which a lease that is not renewed is void
_RENEWAL_SECONDS = 30

Stamps = dict[str, tuple[int, int]]  # name of a file → time of its last change in ns, size


@dataclass(frozen=True)
class Storage:
    """A place of results. `folder` is where they are worked on; `remote` is None if that is all."""

    folder: Path
    uri: str = ""
    remote: Any = None  # a pyarrow.fs.FileSystem
    base: str = ""  # path in it

    def __str__(self) -> str:
        return _without_secrets(self.uri) if self.uri else str(self.folder)

    def pull(self, pipelines: Collection[str] = (), *, progress: bool = False) -> None:
        """Brings what the URI holds of `pipelines`, by default of all, and `folder` does not.

        progress: whether to bring what unfinished trials need to go on, which is large. What a
        sweep on this machine is at work on is left alone. OdnbenchError where the URI cannot be
        read.
        """
        if self.remote is None:
            return
        try:
            for name in pipelines or self._listed(""):
                if not is_at_work(self.folder / name):
                    copies = _Copies(self, name)
                    with FileLock(copies.here / ".pull"):
                        copies.pull(progress)
        except _errors() as error:
            raise OdnbenchError(_unusable(self, error)) from error

    def sweeping_elsewhere(self, pipeline: str) -> bool:
        """Whether a sweep of another machine is at work on `pipeline`."""
        return self.remote is not None and bool(_Copies(self, pipeline).tenant())

    def _listed(self, folder: str) -> list[str]:
        """The folders in a folder below `base`."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(f"{self.base}/{folder}".rstrip("/"), allow_not_found=True)
        found = self.remote.get_file_info(selector)
        folders = (f.base_name for f in found if f.type == FileType.Directory)
        return sorted(name for name in folders if not name.startswith("."))


def open_storage(text: str, cache: Path) -> Storage:
    """The storage that `text`, a folder or a URI, names; results of a URI are kept in `cache`.

    OdnbenchError where no file system knows the URI, or it cannot be reached.
    """
    if "://" not in text:
        return Storage(Path(text))
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    uri = text.rstrip("/")
    folder = cache / "storage" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    opened = uri
    if uri.startswith(("gs://", "gcs://")) and "retry_limit_seconds=" not in uri:
        opened += f"{'&' if '?' in uri else '?'}retry_limit_seconds=30"  # else a quarter of an hour
    try:
        remote, base = FileSystem.from_uri(opened)
        remote.get_file_info(base)
    except pa.ArrowInvalid as error:
        raise OdnbenchError(
            f"{_without_secrets(uri)}: {_reason(error)}; give a folder, or a URI that pyarrow "
            "opens, as s3://bucket/prefix, gs://bucket/prefix or file:///folder"
        ) from error
    except _errors() as error:
        raise OdnbenchError(_unusable(Storage(folder, uri), error)) from error
    if not base:
        raise OdnbenchError(f"{uri}: it names no bucket; give one, as s3://bucket/prefix")
    return Storage(folder, uri, remote, base.rstrip("/"))


class StorageMirror(Observer):
    """Observer that pushes what a sweep writes, without ever holding it up: a thread does it.

    Use it as a context around the sweep. It begins with a lease, so that no other machine sweeps
    into the same place, and a pull; it ends with a push of all that is missing. A connection that
    is lost meanwhile is told of and tried again. For a folder it does nothing.

    tell: takes a line for people. `complete`: whether, after the context, all is pushed.
    """

    def __init__(self, storage: Storage, pipeline: str, tell: Callable[[str], None] = print):
        self.storage, self.pipeline, self.tell = storage, pipeline, tell
        self.complete = storage.remote is None
        self._copies = _Copies(storage, pipeline)
        self._queue: Queue[str | None] = Queue()  # ids of trials, or "" for the plan alone
        self._pusher = Thread(target=self._push_what_comes, name="storage", daemon=True)
        self._lost = False

    def __enter__(self) -> "StorageMirror":
        if self.storage.remote is not None and not is_at_work(self._copies.here):
            try:
                if tenant := self._copies.tenant():
                    raise OdnbenchError(
                        f"another sweep is at work in {self.storage}, that of {tenant}; wait for "
                        f"it (if it was killed: {_LEASE_SECONDS // 60} minutes), or give this one "
                        "another --storage"
                    )
                self._copies.lease()
            except _errors() as error:
                raise OdnbenchError(_unusable(self.storage, error)) from error
            self.storage.pull([self.pipeline], progress=True)
            self._copies = _Copies(self.storage, self.pipeline)
            self._pusher.start()
        return self

    def planned(self, trials: Sequence[Trial]) -> None:
        """See Observer."""
        self._queue.put("")

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._pusher.is_alive():
            return
        self._queue.put(None)
        self._pusher.join()
        try:
            self._copies.push(self._copies.trials())
            self._copies.end_lease()
        except Exception as failure:
            self.tell(
                f"{_unusable(self.storage, failure)}. Results lie in {self._copies.here}; the same "
                "command pushes them"
            )
        else:
            self.complete = True
            if self._lost:
                self.tell(f"{self.storage} answers again: all results are there")

    def _push_what_comes(self) -> None:
        """The pushing thread."""
        waiting: set[str] = set()
        while (came := self._take()) is not None:
            waiting |= came
            try:
                self._copies.lease()
                self._copies.push(waiting)
            except Exception as error:  # whatever happens here, the sweep goes on
                if not self._lost:
                    self._lost = True
                    self.tell(
                        f"{_unusable(self.storage, error)}. Results are kept in "
                        f"{self._copies.here} and pushed later"
                    )
            else:
                waiting.clear()

    def _take(self) -> set[str] | None:
        """All that is waiting, none after a while; None at the end."""
        taken: set[str] = set()
        try:
            one = self._queue.get(timeout=_RENEWAL_SECONDS)
            while one is not None:
                taken.add(one)
                one = self._queue.get_nowait()
        except Empty:
            return taken - {""}
        return None


class _Copies:
    """The local and the remote copy of a pipeline's folder.

    What is transferred as one is a unit: a trial's folder, named by its id, or a file beside them,
    named by itself, with a dot in it. `known` holds what both copies held when they were last
    equal.
    """

    def __init__(self, storage: Storage, pipeline: str):
        self.remote = storage.remote
        self.here = storage.folder / pipeline
        self.there = f"{storage.base}/{pipeline}"
        self.owner = {"host": socket.gethostname(), "folder": str(self.here.absolute())}
        self.record = self.here / ".remote.json"
        self.known: dict[str, tuple[Stamps, Stamps]] = {}  # unit → here, there
        with suppress(OSError, ValueError):  # not there, or cut off: all is compared anew
            for unit, pair in json.loads(self.record.read_text(encoding="utf-8")).items():
                here, there = ({n: (t, size) for n, (t, size) in side.items()} for side in pair)
                self.known[unit] = here, there

    def trials(self) -> list[str]:
        """The trials here."""
        return sorted(path.parent.name for path in self.here.glob(f"*/{TRIAL}"))

    def pull(self, progress: bool) -> None:
        """Brings here what is newer there."""
        listed = self._stamps_there()
        self.known = {u: k for u, k in self.known.items() if u in listed}  # else removed there
        for unit, there in listed.items():
            try:
                self._pull(unit, there, progress)
            except _errors():
                if self._stamps_there(unit).get(unit) == there:
                    raise  # else it was changed meanwhile, and the next pull brings it
        self._save()

    def push(self, trials: Collection[str]) -> None:
        """Brings there what is newer here: of `trials` and of the files beside them."""
        files = [path.name for path in self.here.glob("*") if is_kept_beside_trials(path.name)]
        try:
            for unit in (*sorted(files), *sorted(trials)):
                self._push(unit)
        finally:
            self._save()

    def tenant(self) -> str:
        """The machine and process of which a sweep is at work there, "" if it is this or none."""
        from pyarrow.fs import FileType

        info = self.remote.get_file_info(f"{self.there}/{_LEASE}")
        if info.type != FileType.File or time.time() - info.mtime_ns / 1e9 > _LEASE_SECONDS:
            return ""
        with self.remote.open_input_stream(info.path, compression=None) as stream:
            lease = json.loads(stream.read())
        ours = all(lease[key] == value for key, value in self.owner.items())
        return "" if ours else f"{lease['host']} (process {lease['pid']})"

    def lease(self) -> None:
        """Says that this machine is at work there."""
        content = json.dumps({**self.owner, "pid": os.getpid()}).encode()
        self._upload(io.BytesIO(content), f"{self.there}/{_LEASE}")

    def end_lease(self) -> None:
        """Lets others work there."""
        self.remote.delete_file(f"{self.there}/{_LEASE}")

    def _pull(self, unit: str, there: Stamps, progress: bool) -> None:
        here = self._stamps_here(unit)
        known_here, known_there = self.known.get(unit, ({}, {}))
        if DONE in here:
            if DONE in there:
                self.known[unit] = here, there
            return
        if not progress or DONE in there:
            there = {name: stamp for name, stamp in there.items() if name != PROGRESS}
        if here == known_here:
            wanted = there != known_there or bool(there.keys() - here.keys())
        else:
            wanted = DONE in there or _weight(unit, there) > _weight(unit, here)
        if not wanted:
            if progress and there != known_there:
                self.known[unit] = {}, there  # all that is here is to be pushed
            return
        folder = self._folder(unit)
        folder.mkdir(parents=True, exist_ok=True)
        old = {n for n in there if n in here and there[n] == known_there.get(n)}
        unchanged = old if here == known_here else set()
        for name in here.keys() - there.keys() - (set() if progress else {PROGRESS}):
            (folder / name).unlink()
        for name in sorted(there.keys() - unchanged, key=transfer_order):
            self._download(self._path(unit, name), folder / name, there[name])
        if DONE in there:
            (folder / PROGRESS).unlink(missing_ok=True)
        self.known[unit] = self._stamps_here(unit), there

    def _push(self, unit: str) -> None:
        here = self._stamps_here(unit)
        known_here, known_there = self.known.get(unit, ({}, {}))
        if here == known_here or DONE in known_there:
            return
        changed = [name for name, stamp in here.items() if stamp != known_here.get(name)]
        with ExitStack() as stack:
            # The progress is opened first, and sent after the epochs: it must not be ahead of them.
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
                self._upload(files[name], self._path(unit, name))
            for name in known_there.keys() - here.keys():
                with suppress(FileNotFoundError):
                    self.remote.delete_file(self._path(unit, name))
            if DONE in here:
                self._upload(files[DONE], self._path(unit, DONE))
        self.known[unit] = here, self._stamps_there(unit).get(unit, {})

    def _folder(self, unit: str) -> Path:
        return self.here if "." in unit else self.here / unit

    def _path(self, unit: str, name: str) -> str:
        return f"{self.there}/{name}" if "." in unit else f"{self.there}/{unit}/{name}"

    def _stamps_here(self, unit: str) -> Stamps:
        folder = self._folder(unit)
        finished = (folder / DONE).is_file()  # looked at first: then all the rest is there
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
        """By unit, of one or of all."""
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

    def _upload(self, file: Any, path: str) -> None:
        # An object store shows an object when it is whole; elsewhere it is written beside, and
        # renamed.
        folder, _, name = path.rpartition("/")
        local = self.remote.type_name == "local"
        target = f"{folder}/.{name}.{os.getpid()}" if local else path
        if local:
            self.remote.create_dir(folder)
        with self.remote.open_output_stream(target, compression=None) as stream:
            shutil.copyfileobj(file, stream)
        if local:
            self.remote.move(target, path)

    def _download(self, path: str, target: Path, stamp: tuple[int, int]) -> None:
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with (
                self.remote.open_input_stream(path, compression=None) as stream,
                temporary.open("wb") as file,
            ):
                shutil.copyfileobj(stream, file)
            os.utime(temporary, ns=(stamp[0], stamp[0]))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _save(self) -> None:
        if self.here.is_dir():
            write_whole(self.record, json.dumps(self.known).encode())


def _weight(unit: str, stamps: Stamps) -> int:
    """How far a copy of a unit is."""
    return stamps.get(unit if "." in unit else EPOCHS, (0, 0))[1]


def _errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises where a file system cannot be used."""
    import pyarrow as pa

    return OSError, pa.ArrowException


def _unusable(storage: Storage, error: Exception) -> str:
    return (
        f"{storage} cannot be used: {_reason(error)}; credentials are taken from the environment, "
        "as the tools of that file system do"
    )


def _reason(error: Exception) -> str:
    return _without_secrets(" ".join(str(error).split())) or type(error).__name__


def _without_secrets(uri: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//…@", uri)
