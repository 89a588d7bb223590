"""How the numbers were made: protocols, notes of the plan, trials, versions and settings."""

from collections import Counter

from odnbench.plan.conversion import leaves
from odnbench.plan.protocols import FLIP_TEST
from odnbench.plan.specs import NONE
from odnbench.plan.trials import Coverage
from odnbench.reports import texts
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Items,
    Line,
    Paragraph,
    Phrase,
    Section,
    Table,
    joined,
)
from odnbench.reports.report import Report
from odnbench.reports.sections.cells import number

_MOST_VALUES = 8  # of a setting that are listed; a search may have hundreds


def protocols(report: Report) -> Section:
    """The protocol of each kind of row, the training faces, and the notes of the plan."""
    by_protocol: dict[tuple[str, str], list[str]] = {}
    for row in report.rows:
        trial = row.trials[0].trial
        told = f"{trial.protocol.describe()}; {trial.box.describe()}"
        by_protocol.setdefault((trial.protocol.name, told), []).append(row.title)
    flip_test = f"; {FLIP_TEST}" if report.flip_tested == report.rows else ""
    items: list[Phrase] = []
    for (name, told), titles in by_protocol.items():
        whose = f" ({'; '.join(titles)})" if len(by_protocol) > 1 else ""
        items.append(("Protocol ", Code(name), f"{whose}: {told}{flip_test}."))
    training = report.training
    tested = [_tested(*held) for held in report.columns.items()] or [("none",)]
    items += [
        (f"Training faces: {texts.faces(training)} of ", Code(training.split), "."),
        ("Test faces: ", *joined(tested, ", "), "."),
        (f"Epoch chosen on: {report.common.get('train.select', 'mixed')}.",),
    ]
    blocks: list[Block] = [Items(tuple(items))]
    if report.notes:
        notes = Items(tuple((note,) for note in report.notes))
        blocks += [Paragraph(("Notes of the plan:",)), notes]
    return Section("Protocol", tuple(blocks))


def _tested(column: str, coverage: Coverage) -> Phrase:
    return f"{texts.faces(coverage)} of ", Code(column)


def missing(report: Report) -> Section | None:
    """The trials without numbers, each with its reason; None where there are none."""
    if not report.missing:
        return None
    columns = (Column("trial", "text"), Column("where it stands", "text"))
    lines = tuple(Line((Cell(one.title), Cell(str(one.standing)))) for one in report.missing)
    caption: Phrase = ("Trials of the plan that no number contains.",)
    return Section("Trials without numbers", (Table("missing", caption, columns, lines),))


def environment(report: Report) -> Section:
    """Versions, settings that all trials share, and each trial."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    shared = tuple(
        Line((Cell(key), Cell(_text(value)))) for key, value in report.common.items()
    )  # fmt: skip
    blocks: list[Block] = [
        Paragraph((f"Versions: {versions}. Plan of {report.saved_at}.",)),
        Table(
            "settings",
            ("What all trials share.",),
            (Column("setting", "code"), Column("value", "text")),
            shared,
        ),
    ]
    if varied := _varied(report):
        blocks.append(varied)
    blocks.append(_trials(report))
    return Section("How these numbers were made", tuple(blocks), folded=True)


def _varied(report: Report) -> Table | None:
    """What trials differ in; None where it is nothing but the seed."""
    specs, shared = [leaves(trial.trial.spec) for trial in report.trials], report.common
    lines = []
    for key in dict.fromkeys(key for spec in specs for key in spec):
        if key in shared or key == "seed":
            continue
        counts = Counter(_text(spec.get(key, NONE)) for spec in specs).most_common()
        told = [f"{value} ({count})" for value, count in counts[:_MOST_VALUES]]
        if len(counts) > _MOST_VALUES:
            told.append(f"{len(counts) - _MOST_VALUES} more")
        lines.append(Line((Cell(key), Cell(", ".join(told)))))
    caption = (
        "What trials differ in, with the number of trials that have each value. Titles are silent "
        "about the value of more than half of the rows."
    )
    columns = (Column("setting", "code"), Column("values", "text"))
    return Table("varied", (caption,), columns, tuple(lines)) if lines else None


def _trials(report: Report) -> Table:
    columns = (
        Column("trial", "text"), Column("id", "code"), Column("device", "text"),
        Column("precision", "text"), Column("best epoch"), Column("seconds"),
    )  # fmt: skip
    lines = tuple(
        Line((
            Cell(one.trial.title), Cell(one.trial.id), Cell(one.result.device),
            Cell(one.result.precision),
            Cell(f"{one.result.best_epoch} of {one.trial.spec.train.epochs}",
                 one.result.best_epoch),
            number(one.result.seconds, "{:.1f}"),
        ))
        for one in report.trials
    )  # fmt: skip
    return Table("trials", ("Every trial with numbers.",), columns, lines)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
