"""The data folders that come with odnbench: registry/, pipelines/ and reports/templates/.

They stand at the root of a checkout; Hatchling puts them below `odnbench/_shipped/` in the wheel.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(folder: str) -> Path:
    """The path of a shipped folder: "registry", "pipelines" or "reports/templates"."""
    in_wheel = _PACKAGE / "_shipped" / folder
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / folder
