"""What a report says first: the row that does best, and the clearest answer about P."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from odnbench.metrics.significance import Comparison
from odnbench.reports.occlusion import Told
from odnbench.reports.pasted import PastedLine
from odnbench.reports.rows import Measured, Row
from odnbench.scoring.occlusion import Truth

# The truths, the clearest one first: P is meant for landmarks, a cell can hold visible and occluded
# places together, and features hardly show that the head hides its own far side.
_CLEAREST: tuple[Truth, ...] = (
    "covered landmarks", "landmarks", "cells", "self-occluded landmarks",
)  # fmt: skip


@dataclass(frozen=True)
class Lead:
    """The trained row with the lowest error on a column, beside another row.

    In a search, it is the row with the lowest error on validation faces, of those that are not the
    defaults: the lowest of many test errors is lower than that of the same network on new faces.
    """

    row: Row
    nme: Measured
    is_search: bool
    # The reference, which in a search are the defaults; where `row` is the reference, the row with
    # the next lowest error.
    other: Row | None
    # Of whichever of the two is not the reference; None where they cannot be compared.
    comparison: Comparison | None


@dataclass(frozen=True)
class Seen:
    """What the map P of one row tells, within single faces."""

    row: Row
    told: Told
    is_pasted: bool  # whether the occluders were pasted on the test faces


def lead_of(
    rows: Sequence[Row],
    column: str,
    reference: Row | None,
    comparisons: Mapping[str, Comparison],
    *,
    is_search: bool,
) -> Lead | None:
    """The leading row on `column`; None where no trained row has a number there.

    comparisons: title of a row → its comparison with the reference on `column`.
    """
    ranked = [
        (number, row)
        for row in rows
        if row.is_trained and (number := row.number("nme", column)) is not None
    ]
    if is_search:
        ranked.sort(
            key=lambda held: (held[1] is reference, held[1].validation_nme_percent, held[0].mean)
        )
    else:
        ranked.sort(key=lambda held: held[0].mean)
    if not ranked:
        return None
    nme, first = ranked[0]
    other = reference
    if first is reference:
        other = ranked[1][1] if len(ranked) > 1 else None
    compared = other if first is reference else first
    comparison = None if compared is None else comparisons.get(compared.title)
    return Lead(first, nme, is_search, other, comparison)


def seen_by(
    preferred: Row,
    rows: Sequence[Row],
    column: str | None,
    maps: Mapping[str, Sequence[tuple[Row, Told]]],
    pasted: Mapping[str, Sequence[PastedLine]],
) -> Seen | None:
    """The clearest answer of a map of `preferred`, or of the first row that has one, on `column`.

    None where no map was compared with anything on two faces.
    """
    if column is None:
        return None
    answers = [
        *(Seen(line.row, t, True) for line in pasted.get(column, ()) for t in line.told.values()),
        *(Seen(row, told, False) for row, told in maps.get(column, ())),
    ]
    answers = [seen for seen in answers if seen.told.within is not None]
    for row in [preferred, *rows]:
        own = [seen for seen in answers if seen.row is row]
        if own:
            return min(own, key=lambda s: (not s.is_pasted, _CLEAREST.index(s.told.truth)))
    return None
