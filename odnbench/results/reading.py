"""Reading the files of results, of which a power cut may have emptied one or filled it with zeros,
and of which there may be many.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from odnbench.errors import OdnbenchError

T = TypeVar("T")
S = TypeVar("S")
_READERS = 4


def read_each(read: Callable[[T], S], items: Iterable[T]) -> list[S]:
    """What `read`, which may be called by several threads at once, returns for each of `items`.

    To wait for a file, to check its content and to unpack it leaves Python to another thread.
    """
    with ThreadPoolExecutor(_READERS) as threads:
        return list(threads.map(read, items))


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The object that the JSON file `path` holds; OdnbenchError where it holds none.

    what: what the file is read as, for that error.
    """
    try:
        content = path.read_bytes()
        if not content.strip(b"\0"):
            raise ValueError("it is empty" if not content else "it holds nothing but zeros")
        values = json.loads(content)
    except (OSError, ValueError) as error:
        raise OdnbenchError(f"{path}: cannot be read as {what}: {error}") from error
    if not isinstance(values, dict):
        raise OdnbenchError(f"{path}: cannot be read as {what}: it holds no object of JSON")
    return values
