"""The leaderboard as CSV and JSON: a record for each number, with all rules that it follows."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from odnbench.plan.conversion import to_mapping
from odnbench.reports.leaderboard import Board

# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(boards: Sequence[Board]) -> str:
    """A JSON list of the boards' records."""
    return json.dumps(_records(boards), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(boards: Sequence[Board]) -> str:
    """A CSV table of the boards' records, with a header. Text that a spreadsheet would take for a
    formula has an apostrophe before it.
    """
    records = _records(boards)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [])
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in record.items()} for record in records)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _records(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """A mapping for each entry. `place` counts the comparable entries of a board from 1."""
    records = []
    for board in boards:
        rules = to_mapping(board.rules)
        ranked = [entry for entry in board.entries if not entry.unlike]
        for entry in board.entries:
            interval, coverage = entry.interval, entry.coverage
            records.append(
                {
                    **rules,
                    "place": None if entry.unlike else ranked.index(entry) + 1,
                    "method": entry.method,
                    "year": entry.year,
                    "nme_percent": entry.nme,
                    "low_percent": None if interval is None else interval.low,
                    "high_percent": None if interval is None else interval.high,
                    "failures_percent": entry.failures,
                    "auc_percent": entry.auc,
                    "threshold_percent": entry.threshold_percent,
                    "faces": None if coverage is None else coverage.faces,
                    "official_faces": None if coverage is None else coverage.official,
                    "reported": entry.reported,
                    "date": entry.day,
                    "source": entry.source,
                    "remarks": list(entry.remarks),
                    "unlike": entry.unlike,
                }
            )
    return records
