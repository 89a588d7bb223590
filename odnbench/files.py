"""Writing files so that another process reads them whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes `content` to a temporary file in the same folder, then renames that file to `path`.

    Raises OSError, for example on a full disk, and then leaves `path` as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
