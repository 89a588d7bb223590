"""Whether what a sweep writes can be written, found out before anything is trained."""

import os
from contextlib import suppress
from pathlib import Path

from odnbench.errors import OdnbenchError

_ATTEMPTS = 5


def check_writable(folder: Path, option: str, name: str = ".odnbench-probe") -> None:
    """Raises OdnbenchError unless a new file `name` can be written in `folder`, which need not be
    there. Leaves nothing behind.

    option: with which the user names another folder. name: may have folders in it.
    """
    check_utf8(folder, option)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _write_and_remove((folder / name).absolute())  # absolute, as locks are
        except FileNotFoundError as error:
            # A command that started at the same moment may have removed a folder that it had tried.
            if attempt == _ATTEMPTS:
                raise _not_writable(folder, error, option) from error
        except OSError as error:
            raise _not_writable(folder, error, option) from error
        else:
            return


def _not_writable(folder: Path, error: OSError, option: str) -> OdnbenchError:
    return OdnbenchError(f"{folder} cannot be written: {error.strerror}; give another {option}")


def _write_and_remove(probe: Path) -> None:
    """Writes the file and removes it, with the folders that were not there before."""
    made = []
    try:
        for parent in reversed(probe.parents):
            if not os.path.lexists(parent):
                parent.mkdir(exist_ok=True)
                made.append(parent)
        probe.write_bytes(b"odnbench")
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
