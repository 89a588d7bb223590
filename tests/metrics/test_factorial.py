"""Effects of a factorial design against hand calculations and least squares."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from odnbench.errors import OdnbenchError
from odnbench.metrics.factorial import Effect, factorial_effects
from odnbench.metrics.significance import compare, holm

Floats = NDArray[np.float64]
Cells = dict[frozenset[str], Floats]
MODULES = ("dm", "gm", "lm")


def design(rng: np.random.Generator, seeds: int = 5, faces: int = 50) -> Cells:
    """All 8 cells, equally good on average, every seed and cell with a strength of its own."""
    face = rng.lognormal(0, 0.4, faces)
    return {
        frozenset(m for m, on in zip(MODULES, switches, strict=True) if on): face
        * rng.lognormal(0, 0.1, faces)
        * rng.lognormal(0, 0.3, (seeds, faces))
        + rng.normal(0, 0.05, (seeds, 1))
        for switches in product([False, True], repeat=3)
    }


def by_modules(effects: tuple[Effect, ...]) -> dict[tuple[str, ...], Effect]:
    return {effect.modules: effect for effect in effects}


def test_two_modules_by_hand() -> None:
    means = {(): 10.0, ("gm",): 8.0, ("dm",): 7.0, ("gm", "dm"): 2.0}
    spread = np.array([[-1.0, 0.0, 1.0]])
    effects = by_modules(factorial_effects({frozenset(c): m + spread for c, m in means.items()}))
    estimates = {modules: effect.interval.estimate for modules, effect in effects.items()}
    assert estimates == pytest.approx(
        {
            ("dm",): (7 + 2) / 2 - (10 + 8) / 2,
            ("gm",): (8 + 2) / 2 - (10 + 7) / 2,
            ("dm", "gm"): ((2 - 7) - (8 - 10)) / 2,  # gm's effect with dm, less without
        }
    )


def test_effects_are_twice_the_coefficients_of_a_regression_on_plus_and_minus_one() -> None:
    cells = design(np.random.default_rng(1))
    effects = factorial_effects(cells, draws=99)
    assert [effect.modules for effect in effects] == [
        *[("dm",), ("gm",), ("lm",)],
        *[("dm", "gm"), ("dm", "lm"), ("gm", "lm"), ("dm", "gm", "lm")],
    ]
    coded = np.array([[1 if m in cell else -1 for m in MODULES] for cell in cells])  # (8, 3)
    columns = [coded[:, [MODULES.index(m) for m in e.modules]].prod(axis=1) for e in effects]
    X = np.column_stack([np.ones(8), *columns])
    coefficients = np.linalg.lstsq(X, np.array([E.mean() for E in cells.values()]))[0]
    assert [e.interval.estimate for e in effects] == pytest.approx(2 * coefficients[1:])


def test_an_effect_that_is_there_is_found_and_the_others_are_not() -> None:
    cells = design(np.random.default_rng(2))
    for cell in cells:
        if {"dm", "gm"} <= cell:  # help only together: both main effects and their interaction
            cells[cell] = cells[cell] - 0.8
    effects = by_modules(factorial_effects(cells))
    found = {modules for modules, effect in effects.items() if effect.p_holm < 0.05}
    assert found == {("dm",), ("gm",), ("dm", "gm")}
    assert all(effects[modules].interval.high < 0 for modules in found)


def test_effects_that_are_not_there_are_found_in_5_of_100_tests() -> None:
    rng = np.random.default_rng(3)
    p = [e.p for _ in range(150) for e in factorial_effects(design(rng), draws=399)]
    assert 0.035 <= np.mean(np.array(p) <= 0.05) <= 0.065


def test_one_module_is_the_comparison_with_and_without_it() -> None:
    cells = design(np.random.default_rng(4))
    without, with_gm = cells[frozenset()], cells[frozenset({"gm"})]
    [effect] = factorial_effects({frozenset(): without, frozenset({"gm"}): with_gm})
    [comparison] = compare({"none": without, "gm": with_gm}, "none")
    assert effect.interval == comparison.interval
    assert effect.p == comparison.p == effect.p_holm


def test_all_effects_are_corrected_together() -> None:
    effects = factorial_effects(design(np.random.default_rng(5)), draws=199)
    assert [e.p_holm for e in effects] == holm([e.p for e in effects])


def test_missing_cells_are_named() -> None:
    cells = design(np.random.default_rng(6))
    del cells[frozenset()], cells[frozenset({"gm", "lm"})]
    with pytest.raises(OdnbenchError, match=r"of dm\+gm\+lm needs all 8 .* missing: none, gm\+lm;"):
        factorial_effects(cells)


@pytest.mark.parametrize("cells", [{}, {frozenset[str](): np.ones((1, 3))}])
def test_a_design_without_modules_is_told(cells: Cells) -> None:
    with pytest.raises(OdnbenchError, match="at least one module"):
        factorial_effects(cells)


def test_bad_errors_are_told_by_their_cell() -> None:
    cells = design(np.random.default_rng(7))
    cells[frozenset({"dm", "lm"})][2, 4] = np.nan
    with pytest.raises(OdnbenchError, match=r"dm\+lm: errors must be finite, got nan for seed 2"):
        factorial_effects(cells)
