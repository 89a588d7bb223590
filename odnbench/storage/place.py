"""Where results are kept: a folder, or a URI that pyarrow's file systems open (s3://, gs://, …).

Results are worked on in a local folder in either case. For a URI, that folder lies in the cache:
`ResultStore.pull` brings there what other machines have pushed, and `StorageMirror`
(storage/mirror.py) pushes what a sweep writes.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from odnbench.errors import OdnbenchError, without_secrets
from odnbench.results.plans import is_at_work
from odnbench.storage.copies import PipelineCopies
from odnbench.storage.lease import Lease
from odnbench.storage.remote import access_errors, cannot_be_used, reason_of


@dataclass(frozen=True)
class ResultStore:
    """A place of results. `folder` is the local folder in which they are worked on; `uri`, `remote`
    and `base` are empty if there is no other place.
    """

    folder: Path
    uri: str = ""
    remote: Any = None  # a pyarrow.fs.FileSystem
    base: str = ""  # path of the results on `remote`

    def __str__(self) -> str:
        return without_secrets(self.uri) if self.uri else str(self.folder)

    def pull(self, pipelines: Collection[str] = (), *, progress: bool = False) -> None:
        """Brings into `folder` what the URI holds of `pipelines` and `folder` does not; by default
        of all pipelines.

        A pipeline that a sweep on this machine is at work on is left alone. progress: whether to
        bring what unfinished trials need to go on, which is large. Raises OdnbenchError where the
        URI cannot be read.
        """
        if self.remote is None:
            return
        try:
            for name in pipelines or self._pipelines():
                if not is_at_work(self.folder / name):
                    copies = self.copies(name)
                    with FileLock(copies.here / ".pull"):
                        copies.pull(progress=progress)
        except access_errors() as error:
            raise OdnbenchError(cannot_be_used(self, error)) from error

    def sweeping_elsewhere(self, pipeline: str) -> bool:
        """Whether a sweep of another machine is at work on `pipeline`."""
        return self.remote is not None and bool(self.lease(pipeline).held_elsewhere())

    def copies(self, pipeline: str) -> PipelineCopies:
        """The local and the remote copy of a pipeline's folder."""
        return PipelineCopies(self.remote, self.folder / pipeline, f"{self.base}/{pipeline}")

    def lease(self, pipeline: str) -> Lease:
        """The lease on a pipeline's folder."""
        return Lease(self.remote, self.folder / pipeline, f"{self.base}/{pipeline}")

    def _pipelines(self) -> list[str]:
        """The pipelines of which the URI holds results."""
        from pyarrow.fs import FileSelector, FileType

        found = self.remote.get_file_info(FileSelector(self.base, allow_not_found=True))
        folders = (info.base_name for info in found if info.type == FileType.Directory)
        return sorted(name for name in folders if not name.startswith("."))


def open_storage(text: str, cache: Path) -> ResultStore:
    """The store that `text`, a folder or a URI, names; the local folder of a URI lies in `cache`.

    Raises OdnbenchError where no file system knows the URI, or the URI cannot be reached.
    """
    if "://" not in text:
        return ResultStore(Path(text))
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
            f"{without_secrets(uri)}: {reason_of(error)}; give a folder, or a URI that pyarrow "
            "opens, as s3://bucket/prefix, gs://bucket/prefix or file:///folder"
        ) from error
    except access_errors() as error:
        raise OdnbenchError(cannot_be_used(ResultStore(folder, uri), error)) from error
    if not base:
        raise OdnbenchError(
            f"{without_secrets(uri)}: it names no bucket; give one, as s3://bucket/prefix"
        )
    return ResultStore(folder, uri, remote, base.rstrip("/"))
