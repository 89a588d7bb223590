"""The leaderboard as a document: a section for each data set, a table for each board."""

from collections.abc import Sequence

from odnbench.plan.registry import Registry
from odnbench.reports.document import (
    Cell,
    Code,
    Column,
    Document,
    Line,
    Paragraph,
    Phrase,
    Section,
    Table,
)  # fmt: skip
from odnbench.reports.leaderboard import Board, Entry
from odnbench.reports.marks import numbered
from odnbench.reports.texts import NOTHING

_COLUMNS = (
    "Numbers of runs and of other tools' files have “here” for a year. Published figures were read "
    "in the sources below the tables, on the date beside them; primary: reported by those who "
    "trained the network, secondary: quoted by somebody else."
)
_NOT_KNOWN = (
    "Whether published figures are of the same box rule, faces and number of predictions per face "
    "as a run: their sources do not say, unless a note below the table does."
)
_RENDERED = "Rows on rendered faces stand in tables of their own and have no rank among real ones."


def document_of_boards(boards: Sequence[Board], registry: Registry) -> Document:
    """The leaderboard by itself."""
    rendered = any(board.rules.rendered for board in boards)
    datasets = dict.fromkeys(board.rules.split.partition("/")[0] for board in boards)
    titles = registry.entries["datasets"]
    sections = [
        Section(
            titles[dataset].title,
            tuple(tables_of([b for b in boards if b.rules.split.startswith(f"{dataset}/")])),
        )
        for dataset in datasets
    ]
    found = tuple(phrase for board in boards if (phrase := _lead(board)))
    return Document(
        name="leaderboard",
        title="Leaderboard",
        warnings=((_RENDERED,),) if rendered else (),
        found=found or (("Published figures alone: no run has a number on real faces of them.",),),
        not_shown=((_NOT_KNOWN,),),
        summary=None,
        sections=(*sections, Section("How to read the tables", (Paragraph((_COLUMNS,)),))),
    )


def _lead(board: Board) -> Phrase:
    """The place of the best number that was scored here on real faces; () where there is none."""
    ranked = [entry for entry in board.entries if not entry.unlike]
    own = next((entry for entry in ranked if entry.year is None), None)
    if own is None or board.rules.rendered:
        return ()
    place = f"place {ranked.index(own) + 1} of {len(ranked)}"
    return (
        Code(board.rules.split),
        f" over {board.rules.over}: {own.method} has {_with_limits(own)} %, {place}.",
    )


def section_of_boards(boards: Sequence[Board]) -> Section:
    """The leaderboard as a part of a report."""
    return Section(
        "Leaderboard",
        (*tables_of(boards), Paragraph((_COLUMNS,)), Paragraph((_NOT_KNOWN,))),
        folded=True,
    )


def tables_of(boards: Sequence[Board]) -> list[Table]:
    """A table for each board."""
    names: dict[str, int] = {}
    tables = []
    for board in boards:
        split = board.rules.split
        names[split] = names.get(split, 0) + 1
        stem = f"leaderboard-{split.replace('/', '-').replace('+', '-')}"
        tables.append(_table(board, stem if names[split] == 1 else f"{stem}-{names[split]}"))
    return tables


def _table(board: Board, name: str) -> Table:
    at = board.threshold_percent
    numbers = [Column("NME %", better="lower")]
    if any(entry.failures is not None for entry in board.entries):
        numbers.append(Column(f"FR@{at:g} %", better="lower"))
    if any(entry.auc is not None for entry in board.entries):
        numbers.append(Column(f"AUC@{at:g} %", better="higher"))
    sources = numbered([e.source for e in board.entries if e.year is not None])
    remarks = _lettered([remark for entry in board.entries for remark in entry.remarks])
    with_faces = any(entry.coverage is not None for entry in board.entries)
    columns = [
        Column("method", "text"), Column("year", "text"), *numbers,
        *([Column("faces")] if with_faces else []),
        Column("reported", "text"), Column("date", "text"), Column("source", "text"),
        Column("notes", "text"),
    ]  # fmt: skip
    lines = []
    for entry in board.entries:
        cells = [
            Cell(entry.method),
            Cell("here" if entry.year is None else str(entry.year)),
            Cell(_with_limits(entry), entry.nme, entry.unlike),
            *(_at(entry, column.title[:2], at) for column in numbers[1:]),
            *([_faces(entry)] if with_faces else []),
            Cell(entry.reported),
            Cell(entry.day or NOTHING),
            Cell(sources.get(entry.source, entry.source)),
            Cell(" ".join(remarks[remark] for remark in entry.remarks)),
        ]
        lines.append(Line(tuple(cells), entry.method if entry.year is None else ""))
    notes: list[Phrase] = [(f"{sign}: {text}",) for text, sign in remarks.items()]
    notes += [(f"{sign} {text}",) for text, sign in sources.items()]
    return Table(name, _caption(board), tuple(columns), tuple(lines), tuple(notes))


def _caption(board: Board) -> Phrase:
    rules = board.rules
    faces = "; on rendered faces, which tell nothing of real ones"
    if not rules.over:
        return (
            Code(rules.split),
            ": NME in percent, of sources that do not state the normaliser. These numbers cannot "
            "be compared with each other or with those of another table; they stand by year.",
        )
    return (
        Code(rules.split),
        f": NME in percent; error {rules.error}, over {rules.over}, points {rules.points}, mean "
        f"per {rules.mean_per}{faces if rules.rendered else ''}.",
    )


def _with_limits(entry: Entry) -> str:
    """The NME, with its interval where it was measured here."""
    if entry.interval is None:
        return f"{entry.nme:.2f}"
    return f"{entry.nme:.2f} ({entry.interval.low:.2f}–{entry.interval.high:.2f})"


def _at(entry: Entry, which: str, threshold_percent: float | None) -> Cell:
    """FR or AUC, marked where its threshold is not the table's, and where the NME is marked."""
    value = entry.failures if which == "FR" else entry.auc
    if value is None:
        return Cell(NOTHING)
    unlike = entry.unlike
    if entry.threshold_percent != threshold_percent:
        unlike = f"at {entry.threshold_percent:g} %, not {threshold_percent:g} %"
    return Cell(f"{value:.2f}", value, unlike)


def _faces(entry: Entry) -> Cell:
    if entry.coverage is None:
        return Cell(NOTHING)
    faces = entry.coverage.faces
    return Cell(str(faces) if entry.coverage.rendered else str(entry.coverage), float(faces))


def _lettered(texts: Sequence[str]) -> dict[str, str]:
    """Text → "a", "b", …, "z", "aa", …"""
    signs = {}
    for number, text in enumerate(dict.fromkeys(texts)):
        first, last = divmod(number, 26)
        signs[text] = (chr(96 + first) if first else "") + chr(97 + last)
    return signs
