"""JSON files of results, which a power cut may have emptied or filled with zeros."""

import json
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError


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
