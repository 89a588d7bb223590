"""A report is written in a format of the registry."""

from pathlib import Path

from odnbench.plan.entries import Format
from odnbench.plan.registry import Registry
from odnbench.reports.report import Report
from odnbench.reports.templating import SHIPPED, Templates


def write_report(
    report: Report,
    name: str,
    folder: Path,
    registry: Registry,
    templates: Templates = SHIPPED,
) -> Path:
    """Writes `report` into `folder` in the format `name`; returns the file to open first.

    A format that has no templates is called without them.
    """
    has_templates = bool(registry.get(Format, name).templates)
    beside = {"templates": templates} if has_templates else {}
    path: Path = registry.build(Format, name, report=report, folder=folder, **beside)
    return path
