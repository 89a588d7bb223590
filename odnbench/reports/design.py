"""The factorial of modules in a report, and whether its cells differ in modules alone."""

# S seeds, N faces

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from odnbench.metrics.factorial import Effect, factorial_effects
from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.plan.specs import NONE, differing_fields
from odnbench.reports.rows import Base, Row
from odnbench.scoring.scores import differ_in

Cells = Mapping[frozenset[str], Row]


@dataclass(frozen=True)
class Design:
    """Rows that are all combinations of some modules.

    Effects of the modules can be told apart from everything else only where the rows differ in
    nothing but modules: a cell with another backbone would have the effect of the backbone counted
    as that of the modules.
    """

    cells: Cells  # modules that are on → row
    differ_in: tuple[str, ...]  # what is not alike in all cells: "backbone", dotted keys of a spec

    @property
    def base(self) -> Base | None:
        """The backbone of the cells, which is that of each where `differ_in` is empty."""
        return next(iter(self.cells.values())).base

    def effects(self, column: str) -> tuple[Effect, ...]:
        """The effects of the modules on the error on `column`.

        Empty where the cells were not tested on the same faces under one protocol, or on too few
        faces, or differ in more than modules.
        """
        rows = self.cells.values()
        scores = [score for row in rows for score in row.scores_of(column)]
        faces = {(score.face_ids, score.coverage.rendered) for score in scores}
        errors = {modules: row.errors(column) for modules, row in self.cells.items()}
        known = {
            modules: E
            for modules, E in errors.items()
            if E is not None and E.shape[1] >= FEWEST_FACES
        }
        if self.differ_in or len(known) < len(self.cells) or len(faces) != 1:
            return ()
        if any(differ_in(score, scores[0]) for score in scores):
            return ()
        return factorial_effects(known)


def design_of(rows: Iterable[Row], factors: Mapping[str, tuple[str, ...]]) -> Design | None:
    """The factorial of `rows`; None unless there is one row for each combination of modules.

    Of several rows of a combination, the one counts that differs in modules alone from the
    combinations with one row. factors: variant → the modules that are on, for variants that are
    cells.
    """
    found: dict[frozenset[str], list[Row]] = {}
    for row in rows:
        if row.variant in factors:
            found.setdefault(frozenset(factors[row.variant]), []).append(row)
    alone = [own[0] for own in found.values() if len(own) == 1]
    cells = {}
    for modules, own in found.items():
        fitting = own if len(own) == 1 else [row for row in own if _fits(row, alone)]
        if len(fitting) != 1:
            return None
        (cells[modules],) = fitting
    everything = frozenset().union(*cells) if cells else frozenset()
    if not everything or len(cells) != 2 ** len(everything):
        return None
    return Design(cells, tuple(_differences(list(cells.values()))))


def _fits(row: Row, others: Sequence[Row]) -> bool:
    """Whether `row` has modules that `others` have too, and differs from them in nothing else."""
    known = {item for other in others for item in _modules_of(other)}
    return _modules_of(row) <= known and not any(_differences([row, *others]))


def _modules_of(row: Row) -> set[tuple[str, str]]:
    """(slot, module), of the slots that are not empty."""
    modules = row.trials[0].trial.spec.model.modules
    return {(slot, module) for slot, module in modules.items() if module != NONE}


def _differences(rows: list[Row]) -> Iterable[str]:
    """What the networks and trainings of `rows` differ in, beside modules and seeds."""
    bases = [row.base for row in rows]
    if any(base is None or bases[0] is None or not base.is_like(bases[0]) for base in bases):
        yield "backbone"
    specs = [row.trials[0].trial.spec for row in rows]
    slots = {f"model.{slot}" for spec in specs for slot in spec.model.modules}
    told_otherwise = {"variant", "seed", "model.backbone", "model.attach", *slots}
    yield from (key for key in differing_fields(specs) if key not in told_otherwise)
