"""What a report says of flip tests and of teachers."""

import re
from pathlib import Path

import numpy as np
from made_results import COLUMN, Faces, Made, figures_of, page_of, report_of, said, spread_errors

from odnbench.reports.sentences import not_shown

FACES = Faces(spread_errors(0.05))
FLIPPED = ("flip_test=true",)
MEANING = "the mean of the predictions for a face and for its mirror image"


def test_rows_with_a_flip_test_are_not_beside_others_without_a_word(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", FACES, overrides=FLIPPED), Made("brnet", FACES))
    page = page_of(report)
    assert "| BRNet+GM+LM+DM (ODN), flip test | 10 |" in page
    # The reference is tested with it: the other row's numbers are marked as those without.
    assert re.search(r"\| BRNet † \| 10 \| 5\.00 \([^)]*\) ‡ \|", page)
    assert "\n‡ without a flip test\n" in page
    assert (
        f"> - **Flip tests**: {MEANING}, in BRNet+GM+LM+DM (ODN), flip test. Of the other rows"
        in page
    )
    (protocol,) = (line for line in page.splitlines() if line.startswith("- Protocol"))
    assert MEANING not in protocol
    assert any(
        "where one has a flip test and the other has none" in s for s in said(not_shown(report))
    )


def test_a_flip_test_of_all_rows_is_part_of_the_protocol(tmp_path: Path) -> None:
    made = [Made(variant, FACES, overrides=FLIPPED) for variant in ("odn", "brnet")]
    report = report_of(tmp_path, *made)
    page = page_of(report)
    (protocol,) = (line for line in page.splitlines() if line.startswith("- Protocol"))
    assert f"; flip test: {MEANING}." in protocol
    assert "Of the other rows" not in page
    assert not any("the other has none" in sentence for sentence in said(not_shown(report)))


def test_a_report_without_flip_tests_and_teachers_does_not_speak_of_them(tmp_path: Path) -> None:
    page = page_of(report_of(tmp_path, Made("odn", FACES)))
    assert "lip test" not in page and "eacher's" not in page


def test_cells_of_a_factorial_must_be_tested_alike(tmp_path: Path) -> None:
    variants = ("cut", "gm", "dm", "gm-dm")
    made = [
        Made(variant, FACES, overrides=FLIPPED if variant == "gm" else ()) for variant in variants
    ]
    design = report_of(tmp_path, *made).design
    assert design is not None and design.differ_in == ("data.flip_test",)


def test_a_row_says_that_it_was_taught_and_by_how_much(tmp_path: Path) -> None:
    taught = Made("odn", FACES, overrides=("teacher=runs/a/0123",), penalties={"teacher": 0.125})
    page = page_of(report_of(tmp_path, taught, Made("brnet", FACES)))
    assert "| BRNet+GM+LM+DM (ODN), taught by 0123 † |" in page
    assert re.search(r"\n† a teacher's predictions .*the first seed: 0\.125 and 1\n", page)


def test_curves_of_hundreds_of_epochs_are_drawn(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", FACES, shares=[{"alpha": 0.1}] * 300))
    axes = figures_of(report)["training"].axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(1, 301))
    assert report.columns.keys() == {COLUMN}
