"""The sentences at the top of a report: what was found, and what was not shown.

Someone who reads nothing else must not take away more than the numbers hold, so that whatever keeps
a conclusion from being drawn stands beside what was found.
"""

from odnbench.metrics.factorial import Effect
from odnbench.metrics.significance import SIGNIFICANT, Comparison
from odnbench.reports import texts
from odnbench.reports.escaping import Markdown, code, escaped
from odnbench.reports.report import Report
from odnbench.reports.search import Confirmed, Decision, Searched
from odnbench.reports.summary import Lead


def found(report: Report) -> list[Markdown]:
    """What was found, in at most four sentences of Markdown; in a search, the decision stands in
    place of the first two.
    """
    if report.search is not None:
        first = [*map(escaped, decision(report))]
    else:
        first = [Markdown(_lead(report)), Markdown(_effects(report))]
    parts = (*first, _map(report), _inert(report))
    told = [part for part in parts if part] or ["Nothing: no network of this plan was trained."]
    return list(map(Markdown, told))


def not_shown(report: Report) -> list[Markdown]:
    """What cannot be concluded and why, in at most four sentences of Markdown."""
    parts = (_no_difference(report), _beyond(report), _map_unclear(report), _incomplete(report))
    return [Markdown(part) for part in parts if part]


def decision(report: Report) -> list[str]:
    """What a search has come to, in sentences without markup; [] for a report of no search."""
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
        return f"{_counted(search.ended, 'point')} searched: {told}."
    asked = f"{search.ended} of {_counted(search.record.trials, 'point')} have ended"
    return f"The search is not finished: {asked}{f' ({told})' if told else ''}."


def _not_confirmed(report: Report, search: Searched) -> str:
    complete, repeats = search.counts["complete"], search.record.settings.repeats
    if not complete:
        return "Not confirmed: no point is complete."
    why = "none of the trainings with fresh seeds is finished; " if search.decision.planned else ""
    told = (
        f"Not confirmed: {why}{'one training' if repeats == 1 else f'{repeats} trainings'} each; "
        f"the lowest of {_counted(complete, 'error')} is lower than that of the same point trained "
        "again."
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
    seeds = _counted(fewest, "fresh seed") if fewest == most else f"{fewest} to {most} fresh seeds"
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


def _lead(report: Report) -> str:
    lead = report.lead
    if lead is None:
        return ""
    number, title = f"{texts.with_interval(lead.nme)} %", escaped(lead.row.title)
    if lead.is_search:
        text = f"the trial with the lowest validation error, {title}, has NME {number}"
    elif sum(row.is_trained for row in report.rows) > 1:
        text = f"**{title}** has the lowest NME, {number}"
    else:
        text = f"**{title}** has NME {number}"
    tally = _tally(report)
    return f"On {code(report.main_column)}, {text}{_beside(lead, report.main_column or '')}.{tally}"


def _beside(lead: Lead, column: str) -> str:
    """The other row of a lead, as the end of a sentence."""
    if lead.other is None:
        return ""
    if lead.comparison is None:
        number = texts.with_interval(lead.other.number("nme", column))
        return f"; {escaped(lead.other.title)} has {number} %"
    against = _against(lead.comparison)
    if lead.row.is_reference:
        return f"; next is {escaped(lead.other.title)}, {against}"
    return f", against {escaped(lead.other.title)} {against}"


def _against(comparison: Comparison) -> str:
    """A difference with its interval, p and verdict."""
    told = f"{texts.relative(comparison)}, p {comparison.p_holm:.4f}"
    return f"{told}: {comparison.text}"


def _tally(report: Report) -> str:
    """How many trained rows are better and worse than the reference on the main column."""
    compared = report.comparisons.get(report.main_column or "", {})
    trained = [row for row in report.rows if row.is_trained and row.title in compared]
    if report.reference is None or len(trained) < 2:
        return ""
    detected = [c for row in trained if (c := compared[row.title]).is_detected]
    better = sum(comparison.is_better for comparison in detected)
    counts = (
        (better, "better"),
        (len(detected) - better, "worse"),
        (len(trained) - len(detected), "with no detectable difference"),
    )
    told = texts.listed([f"{count} {what}" for count, what in counts if count])
    return f" Of {len(trained)} networks against {escaped(report.reference.title)}: {told}."


def _effects(report: Report) -> str:
    effects = report.factorial.get(report.main_column or "", ())
    if not effects or report.design is None:
        return ""
    seen = [effect for effect in effects if effect.is_detected]
    unseen = [e for e in effects if not e.is_detected and len(e.modules) == 1]
    parts = [_effect(effect) for effect in seen]
    if unseen:
        names = texts.listed([e.modules[0] for e in unseen])
        parts.append(f"no detectable effect of {escaped(names)}")
    carrier, column = escaped(texts.carrier(report.design.base)), code(report.main_column)
    return f"Modules on one backbone, {carrier}, {column}: {'; '.join(parts)}."


def _effect(effect: Effect) -> str:
    size = f"{texts.points(effect.interval, 100)} points, p {effect.p_holm:.4f}"
    if len(effect.modules) == 1:
        return f"{escaped(effect.modules[0])} {effect.text}, {size}"
    return f"interaction {escaped(' × '.join(effect.modules))} {size}"


def _map(report: Report) -> str:
    seen = report.seen
    if seen is None:
        return ""
    told = seen.told
    pasted = " under pasted occluders" if seen.is_pasted else ""
    verdict = {
        "smaller": "P is smaller there, as the paper intends",
        "larger": "P is larger there, the reverse of what the paper intends",
        "unclear": "P does not tell them from visible ones (0.5 is chance)",
    }[told.map_is]
    return (
        f"The map P of {escaped(seen.row.title)} against {told.truth}{pasted}, "
        f"{code(report.main_column)}: "
        f"AUROC of 1 − P within a face {texts.within_faces(told)}, {told.faces} faces: {verdict}."
    )


def _inert(report: Report) -> str:
    terms = report.inert
    if terms is None:
        return ""
    title = escaped(terms.row.title)
    if terms.inert:
        symbols = escaped(texts.listed([term.weight.symbol for term in terms.inert]))
        are, their, they_were = (
            ("are", "their gradients are", "they were")
            if len(terms.inert) > 1
            else ("is", "its gradient is", "it were")
        )
        return (
            f"{symbols} {are} inert in {title}: {their} below {texts.inert_below()} of the data "
            f"term's, so that the network is trained as if {they_were} not there."
        )
    if terms.least is None:
        return ""
    return (
        f"No term of the objective is inert in {title}; the smallest share of the gradient is that "
        f"of {escaped(terms.least.weight.symbol)}, {terms.least.share:.1e}."
    )


def _no_difference(report: Report) -> str:
    untrained = {row.title for row in report.rows if not row.is_trained}
    every = [c for by_row in report.comparisons.values() for c in by_row.values()]
    compared = [comparison for comparison in every if comparison.variant not in untrained]
    parts = []
    if not compared:
        few = " (too few faces)" if report.few_faces else ""
        parts.append(f"which network is better: none is compared with another by a test{few}")
    elif not any(comparison.is_detected for comparison in compared):
        parts.append(
            f"that any network differs from {escaped(compared[0].reference)}: no p is below "
            f"{SIGNIFICANT:g}, on any column"
        )
    on_main = report.comparisons.get(report.main_column or "", {})
    parts += [
        f"that {escaped(comparison.reference)} is better than {escaped(title)}"
        for title, comparison in on_main.items()
        if title in untrained and (comparison.is_better or not comparison.is_detected)
    ]
    if report.design is not None and report.design.differ_in:
        parts.append(
            "effects of the modules: the networks of the factorial differ in "
            f"{escaped(texts.listed(report.design.differ_in))} too"
        )
    return _sentence(parts)


def _beyond(report: Report) -> str:
    """Beyond which runs and faces nothing is known."""
    seeds = min((len(row.trials) for row in report.rows if row.is_trained), default=0)
    parts = []
    if limit := {
        1: "with one seed, the spread between seeds is not known",
        2: "two seeds hardly show their spread",
        3: "three seeds show their spread only roughly",
    }.get(seeds):
        parts.append(f"whether new trainings give the same: {limit}")
    if report.flip_tested not in ((), report.rows):
        parts.append(
            "what networks alone differ by where one has a flip test and the other has none"
        )
    if report.rendered:
        parts.append("anything about real faces: some or all of these are drawn")
    return _sentence(parts)


def _map_unclear(report: Report) -> str:
    """What keeps the map P from being judged."""
    if report.seen is None:
        if not report.small_maps:
            return ""
        cells = max(small.cells for small in report.small_maps)
        return _sentence(
            [f"whether P tells occluded places: its map has {_counted(cells, 'cell')}, too few"]
        )
    if report.seen.told.truth == "landmarks" and not report.seen.is_pasted:
        return _sentence(
            ["whether P tells covers from the far side of a turned head: the flags mark both"]
        )
    return ""


def _incomplete(report: Report) -> str:
    parts = []
    if report.missing:
        parts.append(
            f"anything about {_counted(len(report.missing), 'trial')} without numbers, listed below"
        )
    if report.limits:
        rows = dict.fromkeys(row.title for rows in report.limits.values() for row in rows)
        parts.append(
            f"what modules do where they have room to work: in {_counted(len(rows), 'network')} "
            "sizes keep them from it (Limits, below)"
        )
    return _sentence(parts)


def _sentence(parts: list[str]) -> str:
    """The parts as one sentence; "" for none."""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _counted(count: int, what: str) -> str:
    """ "1 trial", "2 trials"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
