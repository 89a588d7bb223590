"""Where registry/, pipelines/ and reports/templates/ live: at the root of a checkout, or in the
wheel.

They are data, not packages: hatchling maps them to `odnbench/_shipped/` in the wheel.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(folder: str) -> Path:
    """The folder `folder` ("registry", "pipelines", "reports/templates") that came with
    odnbench.
    """
    in_wheel = _PACKAGE / "_shipped" / folder
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / folder
