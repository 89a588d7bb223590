"""Whether numbers of two rows may stand in one column, and what differs where they may not.

Two rows are alike on a column if their errors are of one measure, on the same faces, all rendered
or all real. Only rows that are alike are tested against each other. A flip test, and the box rule
of a tool that does not tell its own, leave the measure as it is; they are marked all the same.
"""

from odnbench.reports.rows import Row
from odnbench.scoring.scores import Score, differ_in


def unlike(row: Row, own: Row, column: str) -> str:
    """Why the number of `row` on `column` cannot be compared with that of `own`; "" where it can,
    and where either has no number.
    """
    scores, others = row.scores_of(column), own.scores_of(column)
    if not scores or not others or row is own:
        return ""
    score, other = scores[0], others[0]
    told = [
        score.protocol.differs_from(other.protocol),  # which names two box rules
        _box(row, own) if score.protocol.box == other.protocol.box else "",
        _faces(score, other, own.title),
        _flip_test(row, own),
        _limit(score, other),
    ]
    return "; ".join(part for part in told if part)


def is_alike(row: Row, own: Row, column: str) -> bool:
    """Whether both rows have numbers on `column`, of one measure and on the same faces."""
    scores, others = row.scores_of(column), own.scores_of(column)
    return bool(scores and others) and not (
        differ_in(scores[0], others[0]) or _faces(scores[0], others[0], "")
    )


def tested_otherwise(row: Row, own: Row, column: str) -> str:
    """Why predictions of `row` for `column` cannot be compared with those of `own` under any
    protocol: they are for other faces or other crops; "" where they can be.
    """
    scores, others = row.scores_of(column), own.scores_of(column)
    if not scores or not others:
        return "no number there"
    told = [_box(row, own), _faces(scores[0], others[0], own.title)]
    return "; ".join(part for part in told if part)


def _box(row: Row, own: Row) -> str:
    """How two box rules differ."""
    if not row.trials or not own.trials:
        return ""
    mine, theirs = row.trials[0].trial.box.describe(), own.trials[0].trial.box.describe()
    return "" if mine == theirs else f"{mine}, not {theirs}"


def _faces(score: Score, other: Score, whose: str) -> str:
    if score.coverage.rendered != other.coverage.rendered:
        kinds = ("real", "rendered")
        return f"{kinds[score.coverage.rendered]} faces, not {kinds[other.coverage.rendered]} ones"
    if score.face_ids == other.face_ids or set(score.face_ids) == set(other.face_ids):
        return ""
    count, others = len(score.face_ids), len(other.face_ids)
    if count == others:
        return f"other faces than {whose}"
    return f"{count} faces, not the {others} of {whose}"


def _limit(score: Score, other: Score) -> str:
    mine, theirs = score.protocol.failure_percent, other.protocol.failure_percent
    return "" if mine == theirs else f"FR and AUC at {mine:g} %, not {theirs:g} %"


def _flip_test(row: Row, own: Row) -> str:
    if not row.trials or row.is_flip_tested == own.is_flip_tested:
        return ""
    return "with a flip test" if row.is_flip_tested else "without a flip test"
