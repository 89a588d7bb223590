"""TOML files, read as editors write them."""

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError, one_line
from odnbench.files.text import decoded

_DEEPEST = 20  # levels of tables and lists in a TOML file


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file in UTF-8, or in the encoding that a byte-order mark names;
    OdnbenchError names the file and the line of a fault.
    """
    try:
        text = decoded(path.read_bytes())
        table = tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
        _check_bounds(table, "", depth=0)
    except OSError as error:
        raise OdnbenchError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise OdnbenchError(f"{path}: {error}") from error
    return table


def _check_bounds(value: Any, key: str, depth: int) -> None:
    """Raises ValueError for nesting too deep or numbers too large, which TOML itself allows.

    key: that `value` stands under.
    """
    if depth > _DEEPEST:
        raise ValueError(f"tables or lists more than {_DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")
    if isinstance(value, date | time):  # a datetime is a date
        raise ValueError(f"{key} is a date or a time, which no key takes; write it in quotes")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, got {value}")
    if isinstance(value, dict):
        for name, item in value.items():
            _check_bounds(item, name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_bounds(item, key, depth + 1)


def toml_of(values: Mapping[str, Any], remarks: Iterable[str]) -> str:
    """TOML with a line for each dotted key and its text, number or truth value, below `remarks`."""
    lines = [f"# {one_line(remark)}" for remark in remarks]
    for key, value in values.items():
        # JSON writes these as TOML does.
        lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
