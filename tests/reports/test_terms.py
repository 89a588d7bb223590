"""What the terms of the objective do, and the ranks of M, in a report."""

from pathlib import Path

import numpy as np
import pytest
from made_results import COLUMN, Faces, Made, figures_of, page_of, report_of, said, spread_errors

from odnbench.reports.sentences import found, not_shown
from odnbench.results.shapes import Shapes

FACES = Faces(spread_errors(0.05))


def test_the_share_of_a_term_is_its_median_over_epochs_and_seeds(tmp_path: Path) -> None:
    first = Made("odn", FACES, 0, shares=[{"alpha": 0.5, "eta": 1e-6}, {"alpha": 0.1, "eta": 0.3}])
    second = Made("odn", FACES, 1, shares=[{"alpha": 0.4, "eta": 2e-6}])
    (terms,) = report_of(tmp_path, first, second).terms
    assert {term.weight.symbol: term.share for term in terms.terms} == {
        "α": 0.4, "η": 2e-6, "ζ": None
    }  # fmt: skip
    assert [term.weight.symbol for term in terms.inert] == ["η"]
    assert terms.term("gamma") is None


def test_a_term_is_inert_below_its_limit_and_off_where_its_weight_is_zero(tmp_path: Path) -> None:
    shares = [{"alpha": 1.1e-4, "beta": 0.9e-4, "lambda": 0.2, "eta": 3e-5}]
    without = Made("odn-without-l1", FACES, shares=[{"alpha": 0.2}])
    plain = Made("brnet", FACES, shares=[{"alpha": 0.3}])
    report = report_of(tmp_path, Made("odn", FACES, shares=shares), without, plain)
    assert [weight.symbol for weight in report.acting] == ["α", "β", "λ", "η"]
    lines = page_of(report).splitlines()
    assert "| BRNet+GM+LM+DM (ODN) | 1.1e-04 | 9.0e-05, inert | 2.0e-01 | 3.0e-05, inert |" in lines
    assert "| BRNet+GM+LM+DM (without L1) | 2.0e-01 | – | – | off |" in lines
    assert "| BRNet | 3.0e-01 | – | – | – |" in lines
    assert any("below 1e-4 of the data term's is called inert" in line for line in lines)
    assert any(
        sentence.startswith("β and η are inert in BRNet") for sentence in said(found(report))
    )


def test_where_no_term_is_inert_the_weakest_is_named(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", FACES, shares=[{"alpha": 0.2, "beta": 0.004}]))
    sentence = "the smallest share of the gradient is that of β, 4.0e-03."
    assert any(sentence in text for text in said(found(report)))


def test_results_without_shares_have_no_section_on_terms(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", FACES))
    assert report.terms == () and report.inert is None
    assert "inert" not in page_of(report)


def test_ranks_of_m_and_of_the_product_stand_side_by_side(tmp_path: Path) -> None:
    shapes = Shapes(68, (4, 4), (512, 3))
    made = Made("odn", FACES, spectrum=(2.0, 2.0, 2.0), product_spectrum=(3.0, 3.0, 0.0),
                shapes=shapes)  # fmt: skip
    report = report_of(tmp_path, made, Made("brnet", FACES))
    (rank,) = report.ranks
    assert rank.shape == (512, 3)
    assert (rank.effective[1], rank.stable[1]) == pytest.approx((3, 3))
    assert (rank.product_effective, rank.product_stable) == pytest.approx((2, 2))
    row = "| BRNet+GM+LM+DM (ODN) | 512 × 3 | 3.0 → 3.0 | 2.0 | 3.0 → 3.0 | 2.0 |"
    assert row in page_of(report)
    drawn = figures_of(report)["spectrum"].axes[0].lines
    np.testing.assert_allclose(drawn[1].get_ydata()[:2], 1)
    assert len(drawn[0].get_xdata()) == 3


def test_old_results_give_the_number_of_singular_values_and_no_more(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", FACES, spectrum=(2.0, 1.0)))
    (rank,) = report.ranks
    assert rank.product_effective is None
    assert "| 2 singular values | 3.0 → " in page_of(report)
    assert "spectrum" not in figures_of(report)


def test_what_sizes_keep_modules_from_is_told_once_with_the_rows(tmp_path: Path) -> None:
    wide = Shapes(68, (4, 4), (128, 256))
    made = [Made(variant, FACES, shapes=wide) for variant in ("odn", "dm-lm")]
    report = report_of(tmp_path, *made, Made("brnet", FACES, shapes=Shapes(68)))
    assert {limit: [row.variant for row in rows] for limit, rows in report.limits.items()} == {
        limit: ["odn", "dm-lm"] for limit in wide.limits
    }
    text = page_of(report)
    assert "## Limits of these settings" in text
    for limit in wide.limits:
        assert text.count(limit[1:]) == 1
    assert "Concerns BRNet+GM+LM+DM (ODN), BRNet+DM+LM." in text
    assert any("in 2 networks" in sentence for sentence in said(not_shown(report)))
    assert report.columns.keys() == {COLUMN}
