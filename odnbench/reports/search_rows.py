"""From the record of a search to its rows, and to what its fresh seeds say."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.plan.spaces import Point
from odnbench.plan.titles import point_title
from odnbench.reports.rows import Missing, Row
from odnbench.reports.search import DEFAULTS, Confirmed, Decision, Searched, trained_points
from odnbench.reports.trials import TrialReader, row_of, with_intervals
from odnbench.results.folder import TrialFolder
from odnbench.results.searches import OBJECTIVES, SEARCH, SearchedPoint, SearchRecord


@dataclass(frozen=True)
class SearchRows:
    """A search with the rows of its report."""

    search: Searched
    rows: tuple[Row, ...]  # the lowest validation NME first; the defaults are the reference
    missing: tuple[Missing, ...]  # of which the section of the search does not tell


def read_search_rows(
    record: SearchRecord, planned: Mapping[str, str], reader: TrialReader
) -> SearchRows:
    """The rows of a search: the points that were trained again, each with its finished fresh seeds.

    Until one of these is finished, the rows are the complete points of the search. Other trials are
    not scored: there may be hundreds. planned: content id → title, of the trials of the plan.
    """
    titles = titles_of(record, reader.registry)
    known = {i: titles[point.number] for point in record.points for i in point.trials} | {
        i: titles[candidate.number] for candidate in record.candidates for i in candidate.trials
    }
    known |= planned
    groups = trained_points(record.candidates)
    finished, lacking = reader.read(_trials(groups))
    is_confirmed = bool(finished)
    if not is_confirmed:
        groups = trained_points([point for point in record.points if point.state == "complete"])
        finished, unread = reader.read(_trials(groups))
        lacking |= unread
    lacking |= reader.unscored(known.keys() - finished.keys() - lacking.keys())
    rows = {
        number: row_of(titles[number], own, reader.registry, is_reference=number == DEFAULTS)
        for number, trials in groups.items()
        if (own := [finished[i] for i in trials if i in finished])
    }
    rows = dict(zip(rows, with_intervals(rows.values()), strict=True))
    given_up = {i for p in record.points if p.state in ("pruned", "failed") for i in p.trials}
    missing = [
        Missing(title, lacking[i])
        for i, title in known.items()
        if i in lacking
        if lacking[i].state != "stopped" and (i not in given_up or lacking[i].state == "damaged")
    ]
    ordered = sorted(rows.items(), key=lambda held: (held[1].validation_nme_percent, held[0]))
    decision = decision_of(record, rows if is_confirmed else {}, reader.folder)
    search = Searched(record, titles, decision)
    return SearchRows(search, tuple(row for _, row in ordered), tuple(missing))


def read_search(folder: Path, trials: Collection[str]) -> SearchRecord | None:
    """The record in a pipeline's `folder` of the search that has made a plan.

    trials: content ids, of the plan. None where the folder holds no record, or one of a search that
    had none of these trials. Raises OdnbenchError where the record is damaged.
    """
    if not (folder / SEARCH).is_file():
        return None
    record = SearchRecord.load(folder)
    if fault := _fault(record):
        raise OdnbenchError(f"{folder / SEARCH}: cannot be read as a search: {fault}")
    known = {identity for point in record.points for identity in point.trials}
    known |= {identity for candidate in record.candidates for identity in candidate.trials}
    return None if trials and known.isdisjoint(trials) else record


def _fault(record: SearchRecord) -> str:
    """In what a record contradicts itself; "" where it does not."""
    objectives = record.settings.objectives
    if not objectives or not set(objectives) <= OBJECTIVES.keys():
        return f"its objectives must be of {', '.join(OBJECTIVES)}, got {list(objectives)}"
    numbers = [point.number for point in record.points]
    if len(set(numbers)) < len(numbers):
        return "two of its points have one number"
    for point in record.points:
        whole = len(point.values) == len(objectives) and all(map(math.isfinite, point.values))
        if point.state == "complete" and not whole:
            return f"point {point.number} is complete without a number for each objective"
        if not all(step.isdecimal() for step in point.steps):
            return f"point {point.number} has steps that are no whole numbers"
    for candidate in record.candidates:
        if candidate.number not in numbers:
            return f"it confirms a point {candidate.number}, which it does not have"
    if not all(one.values for one in record.importances):
        return "an importance has no values"
    return ""


def titles_of(record: SearchRecord, registry: Registry) -> dict[int, str]:
    """The title of each point, by its number. Points of unlike values have unlike titles."""
    defaults = next((p.point for p in record.points if p.number == DEFAULTS), None)
    told: dict[int, str] = {}
    alike: dict[str, list[Point]] = {}
    for point in record.points:
        title = point_title(point.point, registry)
        told[point.number] = f"{title} (defaults)" if point.point == defaults else title
        values = alike.setdefault(told[point.number], [])
        if point.point not in values:
            values.append(point.point)
    # Titles are rounded, and rows are told apart by their titles.
    return {
        number: f"{title} (point {number})" if len(alike[title]) > 1 else title
        for number, title in told.items()
    }


def decision_of(record: SearchRecord, rows: Mapping[int, Row], folder: Path) -> Decision:
    """What the rows of the points that were trained again say.

    rows: by number of the point. folder: the pipeline's.
    """
    points = {point.number: point for point in record.points}
    confirmed = [
        Confirmed(number, points[number].point, row, _searched_nme(points[number], record, folder))
        for number, row in rows.items()
    ]
    confirmed.sort(key=lambda one: (one.validation_nme_percent, one.number))
    planned = {identity for candidate in record.candidates for identity in candidate.trials}
    return Decision(tuple(confirmed), len(planned), sum(len(row.trials) for row in rows.values()))


def _searched_nme(point: SearchedPoint, record: SearchRecord, folder: Path) -> float | None:
    """The validation NME of a complete point in the search, in percent: the mean over its repeats.

    None where NME was no objective and the results of the point's trials cannot be read.
    """
    objectives = record.settings.objectives
    if "nme" in objectives and point.values:
        return point.values[objectives.index("nme")]
    try:
        results = [TrialFolder(folder / identity).result for identity in point.trials]
    except OdnbenchError:
        return None
    return fmean(result.validation_nme_percent for result in results) if results else None


def _trials(groups: Mapping[int, tuple[str, ...]]) -> list[str]:
    """The content ids in groups, each once."""
    return list(dict.fromkeys(identity for trials in groups.values() for identity in trials))
