"""Writing files so that another process reads them whole or not at all, also after a power cut."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes `content` to `path`; see `write_pieces`."""
    write_pieces(path, [content])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Writes `pieces`, one after the other, to a temporary file in the same folder, then renames
    that file to `path`.

    After a power cut, `path` is as it was before the call or as it is after the call. Raises
    OSError, for example on a full disk, and then leaves `path` as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        # Without this, the disk may learn of the new name before it gets the content.
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until the content of the file `path`, or the names in the folder `path`, are on
    disk.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
