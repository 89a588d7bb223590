"""Effects of modules and of their interactions on the error, in a 2^k factorial design.

A cell is a combination of modules, and all 2^k combinations of k modules are trained. The main
effect of a module is the mean over the cells with the module minus the mean over the cells without
it. The interaction of modules A and B is half the difference between the effect of A in the cells
with B and the effect of A in the cells without B, and so on for more modules (Box, Hunter & Hunter,
Statistics for Experimenters, 2005, ch. 5). Each effect is a contrast of cell means:

    effect = Σ_cells sign(effect, cell) · mean(cell) / 2^(k−1).
"""

# S seeds, N faces, k modules

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from numpy.typing import ArrayLike

from odnbench.errors import OdnbenchError
from odnbench.metrics.contrasts import contrast
from odnbench.metrics.intervals import Interval, contrast_interval
from odnbench.metrics.significance import SIGNIFICANT, holm, permutation_p


@dataclass(frozen=True)
class Effect:
    """The main effect of a module, or the interaction of several, on the mean error."""

    modules: tuple[str, ...]  # one: main effect; several: interaction
    interval: Interval  # in the unit of the errors; below 0 the error falls
    p: float
    p_holm: float  # Holm's correction for all effects of the design

    @property
    def is_detected(self) -> bool:
        """Whether an effect as large is rare enough where there is none."""
        return self.p_holm < SIGNIFICANT

    @property
    def text(self) -> str:
        """The verdict, in the words of a table."""
        if not self.is_detected:
            return "no detectable effect"
        return "lowers the error" if self.interval.estimate < 0 else "raises the error"


def factorial_effects(
    cells: Mapping[frozenset[str], ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> tuple[Effect, ...]:
    """The 2^k − 1 effects, main effects first. cells: modules of the cell → errors (S, N).

    Raises OdnbenchError for a design with missing cells or without a module, and where `contrast`
    does.
    """
    design = subsets(frozenset().union(*cells))
    if len(design) == 1:
        raise OdnbenchError(
            "a factorial needs at least one module, got none in any cell; add cells that have one"
        )
    if missing := [label(cell) for cell in design if frozenset(cell) not in cells]:
        raise OdnbenchError(
            f"a factorial of {label(design[-1])} needs all {len(design)} combinations, missing: "
            f"{', '.join(missing)}; run these, or leave a module out"
        )
    errors = {label(cell): cells[frozenset(cell)] for cell in design}
    effects = [
        contrast([sign(effect, cell) * 2 / len(design) for cell in design], errors)
        for effect in design[1:]
    ]
    p = [permutation_p(effect, permutations=draws, seed=seed) for effect in effects]
    return tuple(
        Effect(
            modules,
            contrast_interval(effect, resamples=draws, seed=seed),
            p_raw,
            p_holm,
        )
        for modules, effect, p_raw, p_holm in zip(design[1:], effects, p, holm(p), strict=True)
    )


def subsets(modules: Iterable[str]) -> list[tuple[str, ...]]:
    """All subsets of `modules` from the empty one to the largest."""
    names = sorted(modules)
    return [chosen for size in range(len(names) + 1) for chosen in combinations(names, size)]


def sign(effect: Iterable[str], cell: Iterable[str]) -> int:
    """The product over the effect's modules of +1 where the cell has the module, −1 where not."""
    return -1 if len(set(effect) - set(cell)) % 2 else 1


def label(cell: Iterable[str]) -> str:
    """ "dm+gm"; "none" for the cell without modules."""
    return "+".join(cell) or "none"
