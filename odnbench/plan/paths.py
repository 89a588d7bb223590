"""Paths as people write them: on the command line, in environment variables, in TOML files."""

import os
from pathlib import Path

from odnbench.errors import OdnbenchError


def path_of(text: str | Path) -> Path:
    """The path `text`, with the home folder in the place of a leading `~`, or `~name`.

    A shell does that only for some of the texts that it passes on: not in quotes, and not behind
    the `=` of an option. Raises OdnbenchError where the home folder is not known.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise OdnbenchError(
            f"{text}: the home folder that ~ stands for is not known; write the whole path, or set "
            "HOME"
        ) from error


def is_utf8(path: Path) -> bool:
    """Whether the name of `path` is UTF-8. OpenCV ends the process where it gets another one."""
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
