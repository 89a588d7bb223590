"""Whether what a sweep writes can be written, found out before anything is trained."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from odnbench.errors import OdnbenchError
from odnbench.plan.paths import is_utf8


def check_writable(folder: Path, option: str, name: str = "file") -> None:
    """Raises OdnbenchError unless a new file `name` can be written in `folder`, which need not be
    there. Leaves nothing behind.

    option: with which the user names another folder. name: may have folders in it.
    """
    check_utf8(folder, option)
    probe = (folder / name).absolute()  # absolute, as locks are
    there = next(parent for parent in probe.parents if os.path.lexists(parent))
    try:
        # Hidden and of a name of its own: no other command meets a folder that will go.
        with TemporaryDirectory(
            prefix=".odnbench-", dir=there, ignore_cleanup_errors=True
        ) as hidden:
            below = (part for part in probe.relative_to(there).parts if part != "..")
            tried = Path(hidden, *below)
            tried.parent.mkdir(parents=True, exist_ok=True)
            tried.write_bytes(b"odnbench")
    except OSError as error:
        raise OdnbenchError(
            f"{folder} cannot be written: {error.strerror}; give another {option}"
        ) from error


def check_home() -> None:
    """Raises OdnbenchError where there is no home folder, which Ray and MLflow look for when they
    are imported.
    """
    try:
        Path.home()
    except RuntimeError as error:
        raise OdnbenchError(
            "there is no home folder, which Ray and MLflow need; set HOME to a folder"
        ) from error


def check_utf8(folder: Path, option: str) -> None:
    """Raises OdnbenchError unless the path of `folder` is UTF-8: Arrow and OpenCV take no other
    path. option: with which the user names another folder.
    """
    if not is_utf8(folder):
        raise OdnbenchError(
            f"{folder}: the name of the folder is not UTF-8; rename it, or give another {option}"
        )
