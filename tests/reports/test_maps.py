"""What maps P tell in a report: within faces, over seeds, and under pasted occluders."""

from pathlib import Path

import numpy as np
import pytest
from made_results import (
    CELLS,
    COLUMN,
    LANDMARKS,
    Faces,
    Made,
    map_of,
    page_of,
    report_of,
    said,
    spread_errors,
)

from odnbench.arrays import Flags, Floats
from odnbench.metrics.intervals import mean_interval
from odnbench.metrics.significance import compare
from odnbench.reports.sentences import found, not_shown
from odnbench.results.predictions import Occlusion

N = 30


def one_covered() -> Flags:
    """(N, L) flags of the first landmark on all faces but the last."""
    flags = np.zeros((N, LANDMARKS), bool)
    flags[:-1, 0] = True
    return flags


def away(share: Floats) -> Floats:
    """(N, L) 1 − P that ranks the first landmark above a `share` (N,) of the others."""
    probability = np.tile(np.linspace(0, 1, LANDMARKS), (N, 1))
    probability[:, 0] = share * (LANDMARKS - 1) / LANDMARKS
    return probability


def test_the_area_within_a_face_is_a_mean_over_faces_and_seeds(tmp_path: Path) -> None:
    flags, errors = one_covered(), spread_errors(0.05, N)
    shares = [np.linspace(0.2, 0.9, N), np.linspace(0.9, 0.21, N)]
    made = [
        Made("dm", Faces(errors, map_of(away(share), flags), flags), seed)
        for seed, share in enumerate(shares)
    ]
    report = report_of(tmp_path, *made, reference="dm")
    ((row, told),) = report.maps[COLUMN]
    # The first landmark stands above all of the others that have a smaller 1 − P.
    others = np.linspace(0, 1, LANDMARKS)[1:]
    by_hand = np.array(
        [[(others < p).mean() for p in away(share)[:-1, 0]] for share in shares]
    )  # (S, N − 1): the last face has no occluded landmark
    assert (row.variant, told.truth, told.faces) == ("dm", "covered landmarks", N - 1)
    assert told.within is not None
    assert told.within.estimate == pytest.approx(by_hand.mean())
    expected = mean_interval(by_hand, resamples=2000)
    assert (told.within.low, told.within.high) == pytest.approx((expected.low, expected.high))
    assert told.within.seeds == 2
    text = page_of(report)
    within = f"{by_hand.mean():.3f} ({expected.low:.3f}–{expected.high:.3f})"
    assert f"| BRNet+DM | covered landmarks | {within} | {N - 1} | no detectable" in text


def test_the_interval_of_an_area_ends_where_areas_end(tmp_path: Path) -> None:
    flags, errors = one_covered(), spread_errors(0.05, N)
    made = [
        Made("dm", Faces(errors, map_of(away(np.full(N, share)), flags), flags), seed)
        for seed, share in enumerate((0.2, 0.9))
    ]
    ((_, told),) = report_of(tmp_path, *made, reference="dm").maps[COLUMN]
    assert told.within is not None  # two seeds that differ so much tell nothing
    assert (told.within.low, told.within.high, told.map_is) == (0.0, 1.0, "unclear")


@pytest.mark.parametrize(
    ("share", "map_is", "words"),
    [(0.8, "smaller", "as the paper intends"), (0.2, "larger", "the reverse"),
     (0.5, "unclear", "0.5 is chance")],
)  # fmt: skip
def test_the_report_says_whether_the_map_is_smaller_where_occluded(
    tmp_path: Path, share: float, map_is: str, words: str
) -> None:
    flags, errors = one_covered(), spread_errors(0.05, N)
    shares = share + 0.1 * np.linspace(-1, 1, N)
    report = report_of(tmp_path, Made("odn", Faces(errors, map_of(away(shares), flags), flags)))
    ((_, told),) = report.maps[COLUMN]
    assert told.map_is == map_is
    assert any(words in sentence and "AUROC" in sentence for sentence in said(found(report)))
    # The masks are known: covers are told from the far side of a turned head.
    assert not any("far side" in sentence for sentence in said(not_shown(report)))


def test_flags_alone_do_not_tell_covers_from_self_occlusion(tmp_path: Path) -> None:
    flags = one_covered()
    shares = 0.8 + 0.1 * np.linspace(-1, 1, N)
    held = Faces(spread_errors(0.05, N), map_of(away(shares)), flags)
    report = report_of(tmp_path, Made("odn", held))
    assert report.seen is not None and report.seen.told.truth == "landmarks"
    assert any("far side of a turned head" in sentence for sentence in said(not_shown(report)))


def test_a_map_that_is_too_small_has_no_area_and_the_report_says_so(tmp_path: Path) -> None:
    flags = one_covered()
    small = Occlusion(away(np.full(N, 0.9)), np.zeros((N, 4)), None, flags)
    report = report_of(tmp_path, Made("odn", Faces(spread_errors(0.05, N), small, flags)))
    assert report.maps == {} and report.seen is None
    (told,) = report.small_maps
    assert told.cells == 4
    text = page_of(report)
    assert "No AUROC is computed for a map smaller than 4×4" in text
    assert "BRNet+GM+LM+DM (ODN) (cells: 4)." in text
    assert "Whether P tells occluded places: its map has 4 cells, too few." in text


def with_pasted(
    variant: str, clean: Floats, pasted: Floats, seed: int, share: float | None = None
) -> Made:
    flags = one_covered()
    cells, shares = np.zeros((N, CELLS)), np.zeros((N, CELLS))
    cells[:, 0], shares[:, 0] = 1.0, 0.9  # 1 − P is largest in the one covered cell
    shown = None
    if share is not None:
        landmarks = away(share + 0.1 * np.linspace(-1, 1, N))
        shown = Occlusion(landmarks, cells, shares, flags)
    return Made(variant, Faces(clean), seed, pasted=Faces(pasted, shown, flags))


def test_pasted_occluders_raise_errors_by_the_mean_of_the_differences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = {("odn", s): spread_errors(0.05, N, s) for s in (0, 1)}
    clean |= {("gm", s): spread_errors(0.06, N, s) for s in (0, 1)}
    pasted = {key: errors + rng.uniform(0, 0.04, N) for key, errors in clean.items()}
    made = [
        with_pasted(*key[:1], clean[key], pasted[key], key[1], 0.8 if key[0] == "odn" else None)
        for key in clean
    ]
    report = report_of(tmp_path, *made)
    lines = {line.row.variant: line for line in report.pasted[COLUMN]}
    compared = compare({v: np.stack([pasted[v, 0], pasted[v, 1]]) for v in ("odn", "gm")}, "odn")[0]
    for variant, line in lines.items():
        after = np.stack([pasted[variant, s] for s in (0, 1)])
        before = np.stack([clean[variant, s] for s in (0, 1)])
        assert line.nme.mean == pytest.approx(100 * after.mean())
        assert line.nme.interval is not None and line.rise is not None
        assert line.nme.interval.low == pytest.approx(100 * mean_interval(after).low)
        rise = mean_interval(after - before)
        assert (line.rise.estimate, line.rise.low, line.rise.high) == pytest.approx(
            (100 * rise.estimate, 100 * rise.low, 100 * rise.high), rel=1e-6
        )
    assert lines["odn"].comparison is None
    against = lines["gm"].comparison
    assert against is not None
    assert (against.difference, against.p_holm) == pytest.approx(
        (compared.difference, compared.p_holm)
    )
    assert lines["gm"].landmarks is None and lines["gm"].cells is None
    landmarks, cells = lines["odn"].landmarks, lines["odn"].cells
    assert landmarks is not None and cells is not None and cells.within is not None
    assert (cells.within.estimate, cells.faces) == (1.0, N)
    assert (landmarks.truth, landmarks.faces) == ("covered landmarks", N - 1)


def test_the_report_has_a_section_on_pasted_faces_where_there_are_any(tmp_path: Path) -> None:
    clean, pasted = spread_errors(0.05, N), spread_errors(0.08, N)
    with_them = [
        with_pasted("odn", clean, pasted, 0, 0.8), with_pasted("gm", clean, 1.1 * pasted, 0)
    ]  # fmt: skip
    report = report_of(tmp_path / "with", *with_them)
    text = page_of(report)
    assert "<b>With occluders pasted on the test faces</b>" in text
    assert "| BRNet+GM | <ins>8.80 (" in text and "| +3.80 (" in text and "| worse |" in text
    # An answer under pasted occluders is clearer than one of flags.
    assert report.seen is not None and report.seen.is_pasted
    assert any("under pasted occluders" in sentence for sentence in said(found(report)))
    without = report_of(tmp_path / "without", Made("odn", Faces(clean)))
    assert without.pasted == {}
    assert "With occluders pasted" not in page_of(without)


def test_a_row_of_which_one_seed_has_no_pasted_faces_is_left_out(tmp_path: Path) -> None:
    clean = spread_errors(0.05, N)
    made = [with_pasted("odn", clean, clean, 0), Made("odn", Faces(clean), 1)]
    assert report_of(tmp_path, *made).pasted == {}


def test_an_answer_under_pasted_occluders_is_taken_first(tmp_path: Path) -> None:
    flags, errors = one_covered(), spread_errors(0.05, N)
    shown = map_of(away(0.8 + 0.1 * np.linspace(-1, 1, N)), flags)
    cells = np.tile(np.linspace(0, 1, CELLS), (N, 1))
    pasted = Occlusion(np.zeros((N, LANDMARKS)), cells, (cells > 0.95).astype(np.float64))
    nothing = np.zeros((N, LANDMARKS), bool)
    made = Made("odn", Faces(errors, shown, flags), pasted=Faces(errors, pasted, nothing))
    seen = report_of(tmp_path, made).seen
    assert seen is not None and (seen.is_pasted, seen.told.truth) == (True, "cells")
