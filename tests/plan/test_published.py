"""Published figures: each with a source, and none that contradicts another of its own."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from helpers import REGISTRY

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import from_mapping
from odnbench.plan.entries import Dataset, Published, PublishedRow, Variant

TABLES = REGISTRY.all(Published)
ROWS = [(name, row) for name, table in TABLES.items() for row in table.rows]

# Of methods of which the paper's Tables 1 and 2 quote figures that do not fit together, as printed.
QUOTED_AS_PRINTED = {"DR", "RDR"}


def half_of_last_digit(value: float) -> float:
    """The largest error of `value` by rounding; figures have at least two digits."""
    digits = max(2, len(f"{value:.10f}".rstrip("0").partition(".")[2]))
    return 0.5 * 10.0**-digits


def test_figures_of_300w_are_means_of_their_parts() -> None:
    parts = {name: REGISTRY.get(Dataset, "300w").split(name).faces for name in
             ("common", "challenging", "full")}  # fmt: skip
    assert parts["common"] + parts["challenging"] == parts["full"] == 689
    figures: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for name, row in ROWS:
        if TABLES[name].dataset == "300w" and TABLES[name].quantity == "nme":
            figures[row.variant or row.method, row.normaliser] |= row.values
    whole = {who: found for who, found in figures.items() if len(found) == len(parts)}
    assert len(whole) >= 12
    for (method, _), found in whole.items():
        mean = sum(parts[n] * found[n] for n in ("common", "challenging")) / parts["full"]
        slack = sum(parts[n] * half_of_last_digit(found[n]) for n in parts) / parts["full"]
        contradicts = abs(mean - found["full"]) > slack + 1e-9
        assert contradicts == (method in QUOTED_AS_PRINTED), (method, mean, found)


def test_areas_are_no_smaller_than_the_mean_error_allows() -> None:
    """A face adds max(0, 1 − e / t) to the area, which is at least 1 − e / t."""
    checked = 0
    for name, row in ROWS:
        for column, area in row.auc.items():
            least = 100 * (1 - row.values[column] / row.threshold_percent)
            assert area >= least - 0.15, (name, row.method, column)  # figures are rounded
            assert area <= 100 - row.failures.get(column, 0.0)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_tells_where_it_was_read(name: str, row: PublishedRow) -> None:
    table = TABLES[name]
    source, day = row.source or table.source, row.read_on or table.read_on
    address = re.fullmatch(r"https://\S+\.\S+?(, .+)?", source)
    document = re.fullmatch(r".+, (CVPR|ICCV|WACV|BMVC) \d{4}, (Table|Sec\.|Fig\.) \S+", source)
    assert address or document, source
    if address:
        assert date.fromisoformat(day) >= date(2026, 11, 30)
    assert re.search(r"https://|github\.com/|arXiv|the paper", row.normaliser_source or "the paper")
    assert set(row.failures) | set(row.auc) <= set(row.values) <= set(table.columns)
    assert not row.variant or row.variant in REGISTRY.all(Variant)


def test_no_method_has_two_figures_for_one_thing() -> None:
    seen: dict[tuple[str, ...], float] = {}
    for name, row in ROWS:
        table = TABLES[name]
        for column, value in row.values.items():
            key = (row.variant or row.method, table.dataset, column, row.normaliser, table.quantity)
            assert seen.setdefault(key, value) == value, key


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"read_on": "30.11.2026"}, "mine: read_on must be a date as 2026-11-30, got '30.11.2026'"),
        ({"auc": {"full": 50.0}}, "mine: failures and auc must be given with threshold_percent"),
        ({"threshold_percent": 8.0}, "mine: failures and auc must be given with threshold_perc"),
    ],
)
def test_a_row_that_lacks_what_its_figures_mean_is_refused(
    stated: Mapping[str, object], told: str
) -> None:
    row = {"method": "mine", "year": 2019, "values": {"full": 1.0}}
    with pytest.raises(OdnbenchError, match=re.escape(told)):
        from_mapping(PublishedRow, row | stated, "table")


def test_the_example_of_the_page_is_a_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "leaderboard.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    table = from_mapping(Published, {"name": "mine", **tomllib.loads(example)}, "the page")
    shipped = next(r for r in TABLES["later-300w"].rows if r.method == table.rows[0].method)
    assert table.rows[0].values == shipped.values and table.is_primary(table.rows[0])
