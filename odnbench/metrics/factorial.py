"""Which module pays off, and do they help each other? Effects in a 2^k factorial design.

With all 2^k combinations of k modules trained, the main effect of a module is the mean of the cells
that have it less the mean of those that have not. An interaction of two is half the difference
between one's effect with and without the other, and so on for more (Box, Hunter & Hunter,
Statistics for Experimenters, 2005, ch. 5). All are contrasts of cell means.
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
    """What a module, or modules together beyond their single effects, adds to the mean error."""

    modules: tuple[str, ...]  # one: main effect; several: interaction
    interval: Interval  # in the unit of the errors; below 0 the error falls
    p: float
    p_holm: float  # for all effects of the design together

    @property
    def text(self) -> str:
        """The verdict, in the words of a table."""
        if self.p_holm >= SIGNIFICANT:
            return "no detectable effect"
        return "lowers the error" if self.interval.estimate < 0 else "raises the error"


def factorial_effects(
    cells: Mapping[frozenset[str], ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> tuple[Effect, ...]:
    """The 2^k − 1 effects, main effects first; cells: the modules that are on → errors (S, N).

    Raises OdnbenchError for a design with missing cells or no module, and as `contrast` does.
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
    """All of them, the empty one first, then by size."""
    names = sorted(modules)
    return [chosen for size in range(len(names) + 1) for chosen in combinations(names, size)]


def sign(effect: Iterable[str], cell: Iterable[str]) -> int:
    """+1 or −1: the product over the effect's modules of whether the cell has them."""
    return -1 if len(set(effect) - set(cell)) % 2 else 1


def label(cell: Iterable[str]) -> str:
    """ "dm+gm"; "none" for the cell without modules."""
    return "+".join(cell) or "none"
