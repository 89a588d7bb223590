"""Whether what a sweep writes can be written, found out before anything is trained."""

import os
from contextlib import suppress
from pathlib import Path

from odnbench.errors import OdnbenchError


def check_writable(folder: Path, name: str, option: str) -> None:
    """Raises OdnbenchError unless the file `folder`/`name` can be written. Leaves nothing behind.

    name: may have folders in it. option: with which the user names another folder.
    """
    check_utf8(folder, option)
    probe, made = (folder / name).absolute(), []  # absolute, as locks are
    try:
        for parent in reversed(probe.parents):
            if not os.path.lexists(parent):
                parent.mkdir()
                made.append(parent)
        probe.write_bytes(b"odnbench")
    except OSError as error:
        raise OdnbenchError(
            f"{folder} cannot be written: {error.strerror}; give another {option}"
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
        for parent in reversed(made):
            with suppress(OSError):  # another sweep has written there meanwhile
                parent.rmdir()


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
    path, and OpenCV ends the process. option: with which the user names another folder.
    """
    try:
        os.fsencode(folder).decode("utf-8")
    except UnicodeDecodeError as error:
        raise OdnbenchError(
            f"{folder}: the name of the folder is not UTF-8; rename it, or give another {option}"
        ) from error
