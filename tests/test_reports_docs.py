"""docs/reports.md names the columns, keys and templates that there are."""

import csv
import json
import re
from pathlib import Path

from helpers import REGISTRY
from made_results import Faces, Made, report_of, spread_errors

from odnbench.plan.entries import Format
from odnbench.reports.json_format import write_json
from odnbench.reports.tabular import write_csv

PAGE = (Path(__file__).parents[1] / "docs" / "reports.md").read_text(encoding="utf-8")


def named_in(section: str) -> list[str]:
    """What the first column of the table of a section names."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [name for line in lines for name in re.findall("`([^`]+)`", line.split("|")[1])]


def test_the_page_names_all_columns_and_keys(tmp_path: Path) -> None:
    trials = (Made(variant, Faces(spread_errors(0.05))) for variant in ("brnet", "odn"))
    report = report_of(tmp_path / "runs", *trials)
    with write_csv(report, tmp_path).open(encoding="utf-8") as file:
        assert sorted(next(csv.reader(file))) == sorted(named_in("CSV"))
    keys = json.loads(write_json(report, tmp_path).read_text(encoding="utf-8"))
    assert sorted(keys) == sorted(named_in("JSON"))


def test_the_page_names_all_formats_and_templates() -> None:
    formats = REGISTRY.all(Format)
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)[: len(formats)] == list(formats)
    templates = {name for entry in formats.values() for name in entry.templates}
    assert set(named_in("Templates of your own")) == templates
