"""Checksums of whole files, as they name weights and teachers.

The trials of a plan start from a few files, and each trial asks for their checksums: a file is read
again only once its size or its time of change is another.
"""

import hashlib
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """SHA-256 of the file at `path`, in hex digits; OSError where it is not there."""
    stat = path.stat()
    return _sha256_of(path.absolute(), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=256)
def _sha256_of(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
