"""The file of an Optuna study, as a power cut may leave it: a line of JSON for each thing that
happened.

Optuna reads no line that follows a faulty one, and appends to a last line that is cut off.
"""

import json
import os
from pathlib import Path

from odnbench.files.whole import write_whole


def first_fault(path: Path) -> str:
    """The first line of the journal `path` that cannot be read; "" where all can be, or where there
    is no journal.
    """
    if not path.is_file():
        return ""
    good, rest = _divided(path)
    line = good.count(b"\n") + 1
    return f"{path}: line {line} cannot be read as a study" if rest else ""


def mend(path: Path) -> None:
    """Cuts the journal `path` off before its first faulty line, and keeps the damaged file beside
    it, with ".torn" after its name.
    """
    if first_fault(path):
        good, rest = _divided(path)
        write_whole(path.with_name(f"{path.name}.torn"), good + rest)
        write_whole(path, good)


def cut_torn_end(path: Path) -> None:
    """Cuts off the last line of the journal `path` where a process was killed while it wrote it."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _divided(path: Path) -> tuple[bytes, bytes]:
    """The lines before the first faulty one, and all from that line on."""
    content = path.read_bytes()
    end = 0
    for line in content.splitlines(keepends=True):
        try:
            whole = line.endswith(b"\n") and isinstance(json.loads(line), dict)
        except ValueError:
            whole = False
        if not whole:
            break
        end += len(line)
    return content[:end], content[end:]
