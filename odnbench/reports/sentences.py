"""The sentences at the top of a report: what was found, and what was not shown.

Someone who reads nothing else must not take away more than the numbers hold, so that whatever keeps
a conclusion from being drawn stands beside what was found.
"""

from odnbench.metrics.factorial import Effect
from odnbench.metrics.significance import SIGNIFICANT
from odnbench.reports import texts
from odnbench.reports.decision import decision
from odnbench.reports.document import Code, Phrase, Piece, Strong
from odnbench.reports.report import Report
from odnbench.reports.summary import Lead


def found(report: Report) -> tuple[Phrase, ...]:
    """What was run and found, in at most five sentences and one for each kind of disturbance, the
    answer first after what was run; in a search, its decision stands in place of effects, of the
    leading row and of disturbances.
    """
    if report.search is not None:
        first: list[Phrase] = [(sentence,) for sentence in decision(report)]
    else:
        first = [_effects(report), _lead(report), *_benches(report)]
    told = [part for part in (*first, _map(report), _inert(report)) if part]
    if not told:
        is_trained = any(row.is_trained for row in report.rows)
        why = "no test face has a number" if is_trained else "no network of this plan was trained"
        told = [(f"Nothing: {why}.",)]
    return tuple(part for part in (_run(report), *told) if part)


def not_shown(report: Report) -> tuple[Phrase, ...]:
    """What cannot be concluded and why, in at most four sentences."""
    parts = (_no_difference(report), _beyond(report), _map_unclear(report), _incomplete(report))
    return tuple((part,) for part in parts if part)


def _run(report: Report) -> Phrase:
    """What was run, on which faces."""
    trained = [row for row in report.rows if row.is_trained]
    counts = sorted({len(row.trials) for row in trained})
    seeds = " to ".join(map(str, counts))
    each = "one seed" if counts == [1] else f"{seeds} seeds"
    told: list[Piece] = []
    if trained:
        each += " each" if len(trained) > 1 else ""
        what = f"{texts.count_of(len(trained), 'network')}, {each}"
        told = [
            f"{what}; trained on {texts.faces(report.training)} of ",
            Code(report.training.split),
            ", ",
        ]
    main = report.main_column
    if main is None:
        return (*told, "tested on no faces.") if told else ()
    others = len(report.columns) - 1
    more = f" and {texts.count_of(others, 'other set')}" if others else ""
    is_mixed = any(report.unlike_of(row, main) for row in report.table)
    marked = "; rows that differ are marked" if is_mixed else ""
    told += [
        f"{'t' if told else 'T'}ested on {texts.faces(report.columns[main])} of ", Code(main),
        f"{more}, under protocol ", Code(report.protocol.name), f"{marked}.",
    ]  # fmt: skip
    return tuple(told)


def _lead(report: Report) -> Phrase:
    lead = report.lead
    if lead is None:
        return ()
    number, title = f"{texts.with_interval(lead.nme)} %", lead.row.title
    column = Code(report.main_column or "")
    end = f"{_beside(lead, column.text)}.{_tally(report)}"
    if lead.is_search:
        what = f", the trial with the lowest validation error, {title}, has NME {number}{end}"
        return ("On ", column, what)
    several = sum(row.is_trained for row in report.rows) > 1
    has = " has the lowest NME, " if several else " has NME "
    return ("On ", column, ", ", Strong(title), f"{has}{number}{end}")


def _beside(lead: Lead, column: str) -> str:
    """The other row of a lead, as the end of a sentence."""
    if lead.other is None:
        return ""
    if lead.comparison is None:
        number = lead.other.number("nme", column)
        return "" if number is None else f"; {lead.other.title} has {texts.with_interval(number)} %"
    against = f"{texts.relative(lead.comparison)}: {lead.comparison.text}"
    if lead.row.is_reference:
        return f"; next is {lead.other.title}, {against}"
    return f", against {lead.other.title} {against}"


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
    return f" Of {len(trained)} networks against {report.reference.title}: {told}."


def _benches(report: Report) -> list[Phrase]:
    """For each kind of disturbance, the row with the smallest area under its curve."""
    column = report.main_column or ""
    told: list[Phrase] = []
    for bench in report.disturbed.get(column, {}).values():
        areas = {
            one.area.mean: one
            for one in bench.rows
            if one.area is not None and one.row.is_trained and report.is_alike(one.row, column)
        }
        if not areas:
            continue
        best = areas[min(areas)]
        reference, compared = report.reference, best.area_comparison
        against = (
            ""
            if reference is None or compared is None
            else f", against {reference.title} {texts.relative(compared)}: {compared.text}"
        )
        levels = f"{bench.levels[0]:g} to {bench.levels[-1]:g}"
        told.append((
            f"{bench.about.title}, {levels}, ", Code(column), ": over all levels, ",
            Strong(best.row.title), f" has the lowest mean NME, {texts.with_interval(best.area)} %"
            f"{against}.",
        ))  # fmt: skip
    return told


def _effects(report: Report) -> Phrase:
    """What each module does to the error, the largest effect first."""
    effects = report.factorial.get(report.main_column or "", ())
    if not effects:
        return ()
    alone = sorted(
        (effect for effect in effects if len(effect.modules) == 1),
        key=lambda effect: -abs(effect.interval.estimate),
    )
    parts: list[str] = []
    for verdict in dict.fromkeys(effect.text for effect in alone if effect.is_detected):
        first, *others = [effect for effect in alone if effect.text == verdict]
        told = f"{first.modules[0]} {verdict} by {_size(first, is_first=not parts)}"
        parts.append(", ".join([told, *(f"{e.modules[0]} by {_size(e)}" for e in others)]))
    if unseen := [effect.modules[0] for effect in alone if not effect.is_detected]:
        parts.append(f"{texts.listed(unseen)}: no detectable effect")
    together = [
        f"{' × '.join(effect.modules)} {100 * effect.interval.estimate:+.2f}"
        for effect in effects
        if len(effect.modules) > 1 and effect.is_detected
    ]
    if together:
        parts.append(f"interactions: {', '.join(together)}")
    return ("On ", Code(report.main_column or ""), f", {'; '.join(parts)}.")


def _size(effect: Effect, *, is_first: bool = False) -> str:
    """ "0.30 points (0.15 to 0.49; 5 seeds)", without unit and seeds but for the first."""
    of = effect.interval
    sign = 1 if of.estimate > 0 else -1
    low, high = sorted((sign * 100 * of.low, sign * 100 * of.high))
    inside = [f"{low:.2f} to {high:.2f}"] if of.is_bounded else []
    inside += [_seeds(of.seeds)] if is_first else []
    told = f" ({'; '.join(inside)})" if inside else ""
    return f"{100 * sign * of.estimate:.2f}{' points' if is_first else ''}{told}"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _map(report: Report) -> Phrase:
    seen = report.seen
    if seen is None:
        return ()
    told = seen.told
    pasted = " under pasted occluders" if seen.is_pasted else ""
    verdict = {
        "smaller": "P is smaller there, as the paper intends",
        "larger": "P is larger there, the reverse of what the paper intends",
        "unclear": "P does not tell them from visible ones (0.5 is chance)",
    }[told.map_is]
    return (
        f"The map P of {seen.row.title} against {told.truth}{pasted}, ",
        Code(report.main_column or ""),
        f": AUROC of 1 − P within a face {texts.within_faces(told)}, {told.faces} faces: "
        f"{verdict}.",
    )


def _inert(report: Report) -> Phrase:
    terms = report.inert
    if terms is None:
        return ()
    title = terms.row.title
    if terms.inert:
        symbols = texts.listed([term.weight.symbol for term in terms.inert])
        are, their, they_were = (
            ("are", "their gradients are", "they were")
            if len(terms.inert) > 1
            else ("is", "its gradient is", "it were")
        )
        return (
            f"{symbols} {are} inert in {title}: {their} below {texts.inert_below()} of the data "
            f"term's, so that the network is trained as if {they_were} not there.",
        )
    if terms.least is None:
        return ()
    return (
        f"No term of the objective is inert in {title}; the smallest share of the gradient is that "
        f"of {terms.least.weight.symbol}, {terms.least.share:.1e}.",
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
            f"that any network differs from {compared[0].reference}: no p is below "
            f"{SIGNIFICANT:g}, on any column"
        )
    on_main = report.comparisons.get(report.main_column or "", {})
    parts += [
        f"that {comparison.reference} is better than {title}"
        for title, comparison in on_main.items()
        if title in untrained and (comparison.is_better or not comparison.is_detected)
    ]
    if report.design is not None and report.design.differ_in:
        parts.append(
            "effects of the modules: the networks of the factorial differ in "
            f"{texts.listed(report.design.differ_in)} too"
        )
    column = report.main_column or ""
    parts += [
        f"how {row.title} compares with the others: {report.unlike_of(row, column)}"
        for row in report.table
        if row.scores_of(column) and not report.is_alike(row, column)
    ]
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
        size = texts.count_of(cells, "cell")
        return _sentence([f"whether P tells occluded places: its map has {size}, too few"])
    if report.seen.told.truth == "landmarks" and not report.seen.is_pasted:
        return _sentence(
            ["whether P tells covers from the far side of a turned head: the flags mark both"]
        )
    return ""


def _incomplete(report: Report) -> str:
    parts = []
    if report.missing:
        trials = texts.count_of(len(report.missing), "trial")
        parts.append(f"anything about {trials} without numbers, listed below")
    if report.limits:
        rows = dict.fromkeys(row.title for rows in report.limits.values() for row in rows)
        parts.append(
            "what modules do where they have room to work: in "
            f"{texts.count_of(len(rows), 'network')} sizes keep them from it (Limits, below)"
        )
    return _sentence(parts)


def _sentence(parts: list[str]) -> str:
    """The parts as one sentence; "" for none."""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""
