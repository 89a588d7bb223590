"""What a search has come to, in sentences for the first lines of a report and the terminal."""

from odnbench.reports import texts
from odnbench.reports.report import Report
from odnbench.reports.search import Confirmed, Decision, Searched
from odnbench.reports.summary import Lead


def decision(report: Report) -> list[str]:
    """What a search has come to, in sentences; [] for a report of no search."""
    search = report.search
    if search is None:
        return []
    if search.decision.winner is None:
        parts = [progress(search), _not_confirmed(report, search), _tested(report)]
    else:
        parts = [progress(search), _chosen(search, search.decision.winner), _tested(report)]
        parts.append(_optimism(search.decision))
    return [part for part in parts if part]


def progress(search: Searched) -> str:
    """How many points were searched, and what became of them."""
    told = texts.states(search.counts)
    if search.is_finished:
        return f"{texts.count_of(search.ended, 'point')} searched: {told}."
    asked = f"{search.ended} of {texts.count_of(search.record.trials, 'point')} have ended"
    return f"The search is not finished: {asked}{f' ({told})' if told else ''}."


def _not_confirmed(report: Report, search: Searched) -> str:
    complete, repeats = search.counts["complete"], search.record.settings.repeats
    if not complete:
        return "Not confirmed: no point is complete."
    why = "none of the trainings with fresh seeds is finished; " if search.decision.planned else ""
    told = (
        f"Not confirmed: {why}{'one training' if repeats == 1 else f'{repeats} trainings'} each; "
        f"the lowest of {texts.count_of(complete, 'error')} is lower than that of the same point "
        "trained again."
    )
    lead = report.lead
    if lead is None:
        return told
    return (
        f"{told} So far {lead.row.title} has the lowest validation NME"
        f"{' beside the defaults' if lead.other else ''}, {lead.row.validation_nme_percent:.2f} %."
    )


def _chosen(search: Searched, winner: Confirmed) -> str:
    """Which point was chosen on validation faces, by how many fresh seeds."""
    decision = search.decision
    fewest, most = decision.seeds
    seeds = (
        texts.count_of(fewest, "fresh seed")
        if fewest == most
        else f"{fewest} to {most} fresh seeds"
    )
    told = f"{winner.row.title}, {winner.validation_nme_percent:.2f} %"
    others = len(decision.confirmed) - (decision.defaults is not None)
    among = f" of the {others} points trained again" if others > 1 else ""
    if decision.defaults is None:
        text = f"Over {seeds} each, the lowest validation NME{among} has {told}; the defaults are "
        text += "not trained again yet"
    elif decision.beats_defaults:
        text = (
            f"Over {seeds} each, the lowest validation NME{among} has {told}; the defaults have "
            f"{decision.defaults.validation_nme_percent:.2f} %"
        )
    else:
        text = (
            f"No point beat the defaults on validation: over {seeds} each, they have a validation "
            f"NME of {decision.defaults.validation_nme_percent:.2f} %; next{among} is {told}"
        )
    if decision.finished < decision.planned:
        text += f" ({decision.finished} of {decision.planned} trainings with fresh seeds finished)"
    return f"{text}."


def _tested(report: Report) -> str:
    """The error of the leading point on test faces, against that of the defaults."""
    lead = report.lead
    return "" if lead is None else f"{_nme_of(report, lead)}."


def _nme_of(report: Report, lead: Lead) -> str:
    """The lead of a search on test faces, as a sentence without its point."""
    column = report.main_column or ""
    told = f"On {column}, {lead.row.title} has a test NME of {texts.with_interval(lead.nme)} %"
    if lead.other is None:
        return told
    if lead.comparison is None:
        return (
            f"{told}; the defaults have {texts.with_interval(lead.other.number('nme', column))} %"
        )
    p, verdict = lead.comparison.p_holm, lead.comparison.text
    verdict += " than the defaults" if lead.comparison.is_detected else " from the defaults"
    against = f"{texts.relative(lead.comparison)} against the defaults, p {p:.4f}"
    return f"{told}, {against}: {verdict}"


def _optimism(decision: Decision) -> str:
    """How much of what the search has shown was left on fresh seeds."""
    winner, defaults = decision.winner, decision.defaults
    if winner is None or defaults is None:
        return ""
    apparent, remaining = decision.apparent_gain, decision.remaining_gain
    if apparent is None or remaining is None:
        return ""
    moved = texts.listed(
        [
            f"{one.searched_nme_percent:.2f} % became {one.validation_nme_percent:.2f} %{whose}"
            for one, whose in ((winner, ""), (defaults, " for the defaults"))
        ]
    )
    if apparent <= 0:
        return f"In the search it was no better than the defaults; on fresh seeds, {moved}."
    left = f"{remaining:.2f} points" if remaining > 0 else "nothing"
    return (
        f"Of the apparent gain of {apparent:.2f} points over the defaults in the search, {left} "
        f"remained on fresh seeds: {moved}."
    )
