"""The trials of a run under several protocols: does the order of the variants depend on them?"""

# V variants, P protocols

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.stats import rankdata

from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry
from odnbench.reports.likeness import tested_otherwise
from odnbench.reports.report import Report
from odnbench.scoring.scores import scores_under


@dataclass(frozen=True)
class Rescored:
    """One column of a report under every protocol, of the rows that were tested on one set of faces
    and cropped in one way.
    """

    column: str
    rows: tuple[str, ...]  # (V,) titles
    protocols: tuple[Protocol, ...]  # (P,)
    nme_percent: tuple[tuple[float, ...], ...]  # (V, P) mean over seeds
    seeds: tuple[int, ...]  # (V,)
    left_out: Mapping[str, str]  # title of another row → why it cannot be ranked with these

    @property
    def ranks(self) -> list[list[int]]:
        """(V, P) from 1, the lowest error first."""
        ranks: list[list[int]] = rankdata(self.nme_percent, "min", axis=0).astype(int).tolist()
        return ranks

    @property
    def verdict(self) -> str:
        """A sentence that says whether the order of the rows depends on the protocol."""
        if len(self.rows) == 1:
            return "a single row has no ranking"
        orders = list(zip(*self.ranks, strict=True))
        moved = sum(len(set(row)) > 1 for row in self.ranks)
        if len(set(orders)) == 1:
            return f"the ranking is the same under all {len(orders)} protocols"
        return f"{moved} of {len(self.rows)} change their rank with the protocol"

    @property
    def notes(self) -> list[str]:
        """Sentences that say which rows are left out, and how many seeds each has where that is not
        the same number.
        """
        told = [f"{title} is not ranked: {why}" for title, why in self.left_out.items()]
        if len(set(self.seeds)) > 1:
            counts = (f"{row} {n}" for row, n in zip(self.rows, self.seeds, strict=True))
            told.append(f"seeds: {', '.join(counts)}")
        return told


def protocols_for(
    report: Report, registry: Registry, names: Sequence[str] | None, everything: bool
) -> list[Protocol]:
    """The protocols `names`, and if `everything`, all with the point scheme of the run.

    Each has the box rule of the run, whose crops cannot be changed any more. Raises OdnbenchError
    where no protocol is asked for, and for one of another point scheme.
    """
    own = report.protocol
    chosen = [registry.get(Protocol, name) for name in names or ()]
    if everything:
        chosen += [p for p in registry.all(Protocol).values() if p.scheme == own.scheme]
    if not chosen:
        raise OdnbenchError("name protocols with --protocol, or give --all-protocols")
    for protocol in chosen:
        if protocol.scheme != own.scheme:
            raise OdnbenchError(
                f"protocol '{protocol.name}' has {protocol.scheme} points, the run {own.scheme}"
            )
    unlike: dict[str, Protocol] = {}
    for protocol in (dataclasses.replace(protocol, box=own.box) for protocol in chosen):
        # The first of those that differ in nothing but name and title.
        unlike.setdefault(protocol.describe(), protocol)
    return list(unlike.values())


def rescore(
    report: Report, protocols: Sequence[Protocol], registry: Registry
) -> Iterator[Rescored]:
    """Each column of `report`, under those of `protocols` that score every row on the column that
    was tested on the faces and crops of the report's own row.
    """
    found: dict[tuple[str, str, int], list[float]] = {}
    for row in report.rows:
        for scored in row.trials:
            predictions = scored.folder.predictions
            for index, protocol in enumerate(protocols):
                for score in scores_under(
                    protocol, predictions, scored.trial, registry, report.columns
                ):
                    found.setdefault((score.column, row.title, index), []).append(score.nme_percent)
    for column in report.columns:
        own = report.own_row(column)
        assert own is not None  # `columns` are those that have one
        told = {row.title: tested_otherwise(row, own, column) for row in report.rows}
        titles = [title for title, why in told.items() if not why]
        kept = [
            index
            for index in range(len(protocols))
            if all((column, title, index) in found for title in titles)
        ]
        means = np.array([[fmean(found[column, title, i]) for i in kept] for title in titles])
        if kept:
            yield Rescored(
                column,
                tuple(titles),
                tuple(protocols[i] for i in kept),
                tuple(map(tuple, means.tolist())),
                tuple(len(found[column, title, kept[0]]) for title in titles),
                {title: why for title, why in told.items() if why},
            )
