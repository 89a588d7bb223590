"""The leaderboard: rows of runs, files of other tools, and published figures, by split and rules.

Two NMEs stand in one table only if the same error was divided by the same distance and averaged
in the same way over the same points, on rendered or on real faces. What numbers of one table may
still differ in (box rule, flip test, training faces, training data) is a remark beside each; a
number on other faces than the table's is marked and has no rank.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from odnbench.errors import unknown
from odnbench.metrics.intervals import Interval
from odnbench.plan.entries import Dataset, Published, PublishedRow
from odnbench.plan.protocols import FLIP_TEST, Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage
from odnbench.reports.report import Report
from odnbench.reports.rows import Row

NOT_STATED = "the source does not state the normaliser"
# Of a published figure: its authors report it, or somebody else. The others were scored here.
Reported = Literal["run", "file", "primary", "secondary"]


@dataclass(frozen=True)
class Rules:
    """What the numbers of one table have in common. The texts are those of `Protocol.facts`; all of
    them are "" where the normaliser is not known.
    """

    split: str  # "300w/full"
    over: str
    error: str = ""
    points: str = ""
    mean_per: str = ""
    rendered: bool = False  # whether faces are rendered, in training or in the test

    @classmethod
    def of(cls, split: str, protocol: Protocol, *, rendered: bool = False) -> "Rules":
        """The rules of a number on `split` under `protocol`, whose box rule is none of them."""
        facts = protocol.facts
        over, error = facts["over"], facts["error"]
        return cls(split, over, error, facts["points"], facts["mean per"], rendered)


@dataclass(frozen=True)
class Entry:
    """The numbers of one method on one split, in percent."""

    method: str
    year: int | None  # None: scored here
    nme: float
    reported: Reported
    source: str  # the pipeline or the file; where a published figure was read
    day: str  # of the plan; on which a published figure was read; "" where that is not known
    interval: Interval | None = None
    failures: float | None = None
    auc: float | None = None
    threshold_percent: float | None = None  # of failures and auc
    coverage: Coverage | None = None  # of the test faces; None for a published figure
    remarks: tuple[str, ...] = ()  # what else decides or qualifies the numbers
    unlike: str = ""  # why it has no rank; "" where it has


@dataclass(frozen=True)
class Board:
    """The entries that follow the same rules: those with a rank by NME, then the others."""

    rules: Rules
    entries: tuple[Entry, ...]

    @property
    def threshold_percent(self) -> float | None:
        """The threshold of failures and areas: the first one of a run or file, else of any entry;
        None where no entry has one.
        """
        found = sorted(
            (entry.year is not None, index, entry.threshold_percent)
            for index, entry in enumerate(self.entries)
            if entry.threshold_percent is not None
        )
        return found[0][2] if found else None


def boards_of(
    reports: Iterable[Report],
    published: Iterable[Published],
    protocols: Mapping[str, Protocol],
    wanted: Sequence[str] = (),
) -> tuple[Board, ...]:
    """The boards of all rows of `reports` and of all figures of `published`, by split; on each
    split in the order of `protocols`, and last those of rendered faces and the one whose normaliser
    nobody states.

    protocols: name → protocol, of every table in `published`. wanted: the splits; all for ().
    """
    found: dict[Rules, list[Entry]] = {}
    for rules, entry in (*_scored(reports), *_published(published, protocols)):
        if (not wanted or rules.split in wanted) and entry not in found.setdefault(rules, []):
            found[rules].append(entry)
    splits = list(dict.fromkeys(rules.split for rules in found))
    lengths = [protocol.normaliser for protocol in protocols.values()]

    def place(rules: Rules) -> tuple[object, ...]:
        dataset = rules.split.partition("/")[0]
        length = lengths.index(rules.over) if rules.over in lengths else len(lengths)
        return dataset, splits.index(rules.split), rules.rendered, length

    order = sorted(found, key=place)
    return tuple(Board(rules, tuple(_in_order(found[rules], rules))) for rules in order)


def wanted_splits(
    boards: Iterable[Board], registry: Registry, dataset: str, split: str
) -> tuple[str, ...]:
    """The splits of the data set `dataset` ("" for any) that are named `split` ("" for any), which
    may be a whole name as 300w/full. Raises OdnbenchError for a name that no board has.
    """
    known = list(dict.fromkeys(board.rules.split for board in boards))
    if dataset:
        registry.get(Dataset, dataset)
        of_dataset = [name for name in known if name.partition("/")[0] == dataset]
        if not of_dataset:
            raise unknown("data set on the leaderboard", dataset, _datasets(known))
        known = of_dataset
    chosen = [name for name in known if split in ("", name, name.partition("/")[2])]
    if not chosen:
        raise unknown("split on the leaderboard", split, known)
    return tuple(chosen)


def _datasets(splits: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(split.partition("/")[0] for split in splits))


def _scored(reports: Iterable[Report]) -> Iterator[tuple[Rules, Entry]]:
    """Every row of `reports` on every column that it was scored on; where plans of several
    pipelines share the trials of a row, the first of them.
    """
    seen: set[tuple[str, ...]] = set()
    for report in reports:
        for row in report.table:
            trials = [trial.trial.id for trial in row.trials]
            for column in report.columns:
                key = (column, *trials)
                if (trials and key in seen) or not row.scores_of(column):
                    continue
                seen.add(key)
                yield _of_row(row, column, report)


def _of_row(row: Row, column: str, report: Report) -> tuple[Rules, Entry]:
    nme, failures, auc = (row.number(name, column) for name in ("nme", "failures", "auc"))
    assert nme is not None  # of every row that has scores
    score = row.scores_of(column)[0]
    rendered = score.coverage.rendered or any(trial.trial.rendered for trial in row.trials)
    entry = Entry(
        method=row.title,
        year=None,
        nme=nme.mean,
        reported="run" if row.trials else "file",
        source=report.pipeline.name if row.trials else row.title,
        day=report.saved_at[:10] if row.trials else "",
        interval=nme.interval,
        failures=None if failures is None else failures.mean,
        auc=None if auc is None else auc.mean,
        threshold_percent=score.protocol.failure_percent,
        coverage=score.coverage,
        remarks=tuple(_remarks(row, score.protocol)),
    )
    return Rules.of(column, score.protocol, rendered=rendered), entry


def _remarks(row: Row, protocol: Protocol) -> Iterator[str]:
    """What readers of a row's numbers must know beside the rules of its board."""
    yield f"box rule: {protocol.box}"
    yield from row.notes
    if row.trials:
        spec, training = row.trials[0].trial.spec, row.trials[0].trial.coverage[0]
        if row.is_trained:
            yield "one seed" if len(row.trials) == 1 else f"mean over {len(row.trials)} seeds"
        if spec.data.flip_test:
            yield FLIP_TEST
        if training.rendered or not _is_whole(training):
            yield f"trained on {training} of {training.split}"


def _is_whole(coverage: Coverage) -> bool:
    return coverage.whole and coverage.official in (0, coverage.faces)


def _published(
    tables: Iterable[Published], protocols: Mapping[str, Protocol]
) -> Iterator[tuple[Rules, Entry]]:
    """Every published NME. Of figures that two tables give alike, the one with more stated."""
    found: dict[tuple[str, str, float], tuple[Rules, Entry]] = {}
    for table in tables:
        for row in table.rows if table.quantity == "nme" else ():
            for column, nme in row.values.items():
                split = f"{table.dataset}/{column}"
                key = (row.variant or row.method, split, nme)
                if key not in found or (row.normaliser and not found[key][0].over):
                    rules = _rules(split, row, protocols[table.protocol])
                    found[key] = rules, _entry(table, row, column)
    return iter(found.values())


def _rules(split: str, row: PublishedRow, protocol: Protocol) -> Rules:
    if not row.normaliser:
        return Rules(split, "")
    return Rules.of(split, replace(protocol, normaliser=row.normaliser))


def _entry(table: Published, row: PublishedRow, column: str) -> Entry:
    return Entry(
        method=row.method,
        year=row.year,
        nme=row.values[column],
        reported="primary" if table.is_primary(row) else "secondary",
        source=row.source or table.source,
        day=row.read_on or table.read_on,
        failures=row.failures.get(column),
        auc=row.auc.get(column),
        threshold_percent=row.threshold_percent if column in {*row.failures, *row.auc} else None,
        remarks=(row.note,) if row.note else (),
        unlike="" if row.normaliser else NOT_STATED,
    )


def _in_order(entries: Sequence[Entry], rules: Rules) -> list[Entry]:
    """The entries of a board, with what keeps some of them from a rank.

    The faces of a board are those of the whole split, or if rendered, as many as most entries have.
    """
    counts = [entry.coverage.faces for entry in entries if entry.coverage is not None]
    usual = max(counts, key=lambda count: (counts.count(count), count), default=0)
    told = []
    for entry in entries:
        coverage = entry.coverage
        if coverage is not None and not rules.rendered and not _is_whole(coverage):
            entry = replace(entry, unlike=f"tested on {coverage} of the split's faces")
        elif coverage is not None and rules.rendered and coverage.faces != usual:
            entry = replace(entry, unlike=f"tested on {coverage.faces} faces, others on {usual}")
        told.append(entry)
    if not rules.over:  # numbers over unknown distances have no order
        return sorted(told, key=lambda entry: (entry.year or 0, entry.method))
    return sorted(told, key=lambda entry: (bool(entry.unlike), entry.nme, entry.method))
