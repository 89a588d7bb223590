"""From trial folders to rows: each finished trial is scored under its own protocol."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.entries import Backbone, Variant
from odnbench.plan.protocols import BoxRule, Protocol
from odnbench.plan.reference import Reference
from odnbench.plan.registry import Registry
from odnbench.plan.specs import TrialSpec
from odnbench.plan.titles import trial_titles
from odnbench.plan.trials import Coverage, Trial
from odnbench.reports.rows import Base, Measured, Row, ScoredTrial, Tested, errors_of, nme_intervals
from odnbench.results.folder import TrialFolder, damaged
from odnbench.results.plans import Work
from odnbench.results.predictions import Predictions
from odnbench.results.records import Standing
from odnbench.scoring.groups import grouped_errors
from odnbench.scoring.occlusion import map_cells, occlusion_scores
from odnbench.scoring.scores import Score, is_in_split, main_values, scores


class TrialReader:
    """Reads trials in the `folder` of a pipeline, and scores them on `columns`, also after each of
    `disturbances` that they have predictions for.
    """

    def __init__(
        self,
        folder: Path,
        columns: Sequence[str],
        registry: Registry,
        disturbances: Sequence[Disturbance] = (),
    ):
        self.folder, self.registry = folder, registry
        self._columns, self._work = columns, Work.in_folder(folder)
        self._disturbances = disturbances

    def read(self, trials: Iterable[str]) -> tuple[dict[str, ScoredTrial], dict[str, Standing]]:
        """(content id → finished trial with its numbers, content id → where it stands, of others).

        trials: content ids.
        """
        identities = tuple(trials)
        # To check the content of a file and to unpack it leaves Python to one other thread.
        with ThreadPoolExecutor(2) as threads:
            found = dict(zip(identities, threads.map(self._read, identities), strict=True))
        finished = {i: one for i, one in found.items() if isinstance(one, ScoredTrial)}
        lacking = {i: one for i, one in found.items() if isinstance(one, Standing)}
        return finished, lacking

    def _read(self, identity: str) -> ScoredTrial | Standing:
        """A finished trial with its numbers, or where another one stands."""
        folder = TrialFolder(self.folder / identity)
        standing = self._work.standing(folder)
        if standing.state != "done":
            return standing
        try:
            predictions, pasted = folder.predictions, folder.pasted
        except OdnbenchError as error:  # an earlier version's marker vouches for nothing
            return damaged(str(error))
        disturbed = {
            one: found for one in self._disturbances if (found := folder.disturbed(one)) is not None
        }
        return _score_trial(folder, predictions, pasted, disturbed, self._columns, self.registry)

    def unscored(self, trials: Iterable[str]) -> dict[str, Standing]:
        """Content id → where it stands, of those of `trials` that are not finished; nothing is read
        for that but sizes of files.
        """
        found = {i: self._work.standing(TrialFolder(self.folder / i), read=()) for i in trials}
        return {i: standing for i, standing in found.items() if standing.state != "done"}


def _score_trial(
    folder: TrialFolder,
    predictions: Predictions,
    pasted: Predictions | None,
    disturbed: Mapping[Disturbance, Predictions],
    columns: Sequence[str],
    registry: Registry,
) -> ScoredTrial:
    """A finished trial with its numbers."""
    trial = folder.trial

    def tested(predictions: Predictions) -> Tested:
        return Tested(
            {score.column: score for score in scores(predictions, trial, registry, columns)},
            occlusion_scores(predictions, registry, columns),
            grouped_errors(predictions, trial, registry, columns),
            _mean_amounts(predictions, registry, columns),
        )

    return ScoredTrial(
        trial,
        folder,
        folder.result,
        tuple(folder.epochs),
        tested(predictions),
        folder.versions,
        None if pasted is None else tested(pasted),
        map_cells(predictions),
        {one: tested(found) for one, found in disturbed.items()},
    )


def _mean_amounts(
    predictions: Predictions, registry: Registry, columns: Sequence[str]
) -> dict[str, float]:
    """Column → the mean size of what disturbed its faces."""
    found = {}
    if predictions.amounts is not None:
        for column in columns:
            chosen = is_in_split(column, predictions, registry)
            if chosen.any():
                found[column] = float(np.abs(predictions.amounts[chosen]).mean())
    return found


def rows_of(
    finished: Sequence[ScoredTrial], reference: Reference | None, registry: Registry
) -> tuple[Row, ...]:
    """A row for each group of trials that differ in nothing but the seed, without intervals.

    The others are compared with the reference if it is one of the rows, and not several.
    """
    groups: dict[Kind, list[ScoredTrial]] = defaultdict(list)
    for scored in finished:
        groups[Kind.of(scored.trial)].append(scored)
    specs = [kind.spec for kind in groups]
    titles = trial_titles(specs, registry)
    references = reference.rows(specs) if reference is not None else []
    rows: list[Row] = []
    taken: Counter[str] = Counter()
    for (kind, trials), title in zip(groups.items(), titles, strict=True):
        if specs.count(kind.spec) > 1:
            title = f"{title}, {kind.conditions}"
        taken[title] += 1
        title = title if taken[title] == 1 else f"{title} ({taken[title]})"
        # Of several kinds of one spec, rows can be alike with one only: the first.
        is_reference = references == [kind.spec] and specs.index(kind.spec) == len(rows)
        rows.append(row_of(title, trials, registry, is_reference=is_reference))
    return tuple(rows)


@dataclass(frozen=True)
class Kind:
    """What trials of one row have in common: all but the seed, and what is due to the seed."""

    spec: TrialSpec  # with seed 0
    protocol: Protocol
    box: BoxRule
    coverage: tuple[Coverage, ...]

    @classmethod
    def of(cls, trial: Trial) -> "Kind":
        """The kind of a trial."""
        spec = replace(trial.spec, seed=0)
        return cls(spec, trial.protocol, trial.box, trial.coverage)

    @property
    def conditions(self) -> str:
        """What a title says of trials with one spec and unlike protocols or faces."""
        faces = "rendered" if any(split.rendered for split in self.coverage) else "real"
        return f"{faces} faces, over {self.protocol.normaliser}"


def row_that_lacks(folder: TrialFolder, rows: Iterable[Row]) -> str:
    """The title of the row that the trial in `folder` would belong to; "" where there is none, or
    the folder does not tell.
    """
    try:
        kind = Kind.of(folder.trial)
    except OdnbenchError:
        return ""
    return next((row.title for row in rows if Kind.of(row.trials[0].trial) == kind), "")


def row_of(
    title: str, trials: Sequence[ScoredTrial], registry: Registry, *, is_reference: bool
) -> Row:
    """The row of trials that differ in nothing but the seed, without intervals."""
    spec = trials[0].trial.spec
    return Row(
        title=title,
        variant=spec.variant,
        trials=tuple(trials),
        numbers=numbers_of([trial.scores for trial in trials], registry),
        is_reference=is_reference,
        base=_base_of(spec, registry),
    )


def _base_of(spec: TrialSpec, registry: Registry) -> Base | None:
    """What carries the modules of a network; None where `registry` does not know its entries."""
    try:
        variant = registry.get(Variant, spec.variant)
        backbone = registry.get(Backbone, spec.model.backbone)
    except OdnbenchError:  # results of a registry that is not there any more
        return None
    attach = spec.model.attach
    options = dict(variant.options)
    return Base(backbone.name, attach, backbone.layer(attach), variant.network, options)


def numbers_of(
    by_seed: Sequence[Mapping[str, Score]], registry: Registry
) -> dict[str, dict[str, Measured]]:
    """Metric → column → number without an interval, from column → score of each seed."""
    numbers: dict[str, dict[str, Measured]] = defaultdict(dict)
    for column in dict.fromkeys(column for one in by_seed for column in one):
        values = [main_values(one[column], registry) for one in by_seed if column in one]
        for name in values[0]:
            numbers[name][column] = Measured(tuple(one[name] for one in values))
    return dict(numbers)


def with_intervals(rows: Iterable[Row]) -> tuple[Row, ...]:
    """`rows` with an interval for each NME; all of them in the time of a few."""
    rows = tuple(rows)
    numbers = [dict(row.numbers.get("nme", {})) for row in rows]
    places = [(index, column) for index, of_row in enumerate(numbers) for column in of_row]
    errors = [errors_of(rows[index].scores_of(column)) for index, column in places]
    intervals = nme_intervals([one for one in errors if one is not None])
    for (index, column), interval in zip(places, intervals, strict=True):
        numbers[index][column] = replace(numbers[index][column], interval=interval)
    return tuple(
        replace(row, numbers={**row.numbers, "nme": nme}) if nme else row
        for row, nme in zip(rows, numbers, strict=True)
    )
