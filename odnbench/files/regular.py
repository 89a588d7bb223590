"""Reading files of which nothing is known but the name.

What bears the name of a picture or an annotation can be anything: opening a named pipe waits for
ever, and a device has no end. `read_file` opens regular files alone.
"""

import os
import stat
from pathlib import Path

from odnbench.errors import OdnbenchError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path) -> bytes:
    """The content of `path`. Raises OdnbenchError that names what cannot be read, and why."""
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise OdnbenchError(f"{path}: {reason(error)}") from error


def check_file(path: Path) -> None:
    """Raises OdnbenchError unless `path` is a regular file or a link to one."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  Path.stat takes three times as long
    except OSError as error:
        raise OdnbenchError(f"{path}: {unreachable(path, error)}") from error
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OdnbenchError(f"{path}: it is {kind} where a file was expected")


def unreachable(path: str | Path, error: OSError) -> str:
    """Why `path` cannot be looked at: the `error` of the system, or that a link leads nowhere."""
    try:
        target = Path(path).readlink()
    except OSError:
        return reason(error)
    return f"it is a link to {target}, which cannot be followed ({reason(error)})"


def reason(error: OSError) -> str:
    """What the system says, without the path that Python adds."""
    return error.strerror or str(error)
