"""TOML files, read as editors write them."""

import codecs
import math
import tomllib
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError

_DEEPEST = 20  # levels of tables and lists in a TOML file
# TOML is UTF-8 and has no mark in front; editors on Windows put one there, and write UTF-16. The
# mark of UTF-32 begins as that of UTF-16 does, so it stands first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file in UTF-8, or in the encoding that a byte-order mark names;
    OdnbenchError names the file and the line of a fault.
    """
    try:
        table = tomllib.loads(_text(path.read_bytes()))
        _check_bounds(table, "", depth=0)
    except OSError as error:
        raise OdnbenchError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise OdnbenchError(f"{path}: {error}") from error
    return table


def _text(content: bytes) -> str:
    """The text of a file; ValueError names the line of what cannot be read and the cure."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content:
        raise ValueError("it holds NUL bytes, as UTF-16 does; save the file as UTF-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            line = content.count(b"\n", 0, error.start) + 1
            fault = f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8"
        else:
            fault = f"it begins as {encoding.upper()} does, and cannot be read as that"
        raise ValueError(f"{fault}; save the file as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_bounds(value: Any, key: str, depth: int) -> None:
    """Raises ValueError for nesting too deep or numbers too large, which TOML itself allows.

    key: that `value` stands under.
    """
    if depth > _DEEPEST:
        raise ValueError(f"tables or lists more than {_DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, got {value}")
    if isinstance(value, dict):
        for name, item in value.items():
            _check_bounds(item, name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_bounds(item, key, depth + 1)
