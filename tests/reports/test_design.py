"""Which rows of a report are the cells of its factorial."""

from pathlib import Path

import pytest
from made_results import Faces, Made, report_of, spread_errors

FACES = Faces(spread_errors(0.05))
CELLS = [Made(variant, FACES) for variant in ("cut", "gm", "dm", "gm-dm")]
OTHERS = [
    Made("gm-dm", FACES, overrides=("eta=0.1",)),
    Made("gm-dm", FACES, overrides=("geometry=gm-outer",)),
    Made("cut", FACES, overrides=("ema=0.9",)),
]


@pytest.mark.parametrize("others", [[], OTHERS[:1], OTHERS[1:2], OTHERS])
def test_rows_beside_the_cells_do_not_take_their_place(tmp_path: Path, others: list[Made]) -> None:
    report = report_of(tmp_path, *others, *CELLS, reference={"variant": "gm"})
    assert report.design is not None and report.design.differ_in == ()
    chosen = {row.trials[0].trial.id for row in report.design.cells.values()}
    assert chosen == {str(index) for index in range(len(others), len(others) + len(CELLS))}
    assert report.factorial


def test_there_is_no_factorial_where_each_combination_has_several_rows(tmp_path: Path) -> None:
    again = [Made(made.variant, FACES, overrides=("ema=0.9",)) for made in CELLS]
    assert report_of(tmp_path / "all", *CELLS, *again, reference="").design is None
    # Two rows, of which none differs from the others in modules alone.
    twice = [Made("gm-dm", FACES, overrides=(f"batch_size={size}",)) for size in (5, 7)]
    assert report_of(tmp_path / "one", *CELLS[:3], *twice, reference="cut").design is None


def test_a_module_that_no_other_cell_has_makes_no_cell(tmp_path: Path) -> None:
    outer = [
        Made("gm-dm", FACES, overrides=(f"geometry=gm-{name}",)) for name in ("outer", "hadamard")
    ]
    assert report_of(tmp_path, *CELLS[:3], *outer, reference="cut").design is None
