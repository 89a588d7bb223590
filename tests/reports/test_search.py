"""The report of a search: its rows, the decision by fresh seeds, and what the search has cost."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import COLUMN, Faces, Made, page_of, said, search_report, spread_errors
from pytest import approx

from odnbench.metrics.significance import compare
from odnbench.plan.spaces import Parameter, Space
from odnbench.reports import trials as reading
from odnbench.reports.decision import decision
from odnbench.reports.markdown import phrase, write_markdown
from odnbench.reports.read import read_report
from odnbench.reports.report import Report
from odnbench.reports.search import epochs_of, pareto_front
from odnbench.reports.sentences import found
from odnbench.results.folder import PRUNED, TrialFolder
from odnbench.results.searches import (
    Candidate,
    Importance,
    PointState,
    SearchedPoint,
    SearchRecord,
    SearchSettings,
)

ALPHA, ETA, DISTILLATION = "loss.alpha", "loss.eta", "model.distillation"
SPACE = Space(
    "made",
    "A made space",
    {
        ALPHA: Parameter(low=1e-6, high=1e-2, scale="log", zero=True),
        DISTILLATION: Parameter(choices=("none", "dm")),
        ETA: Parameter(low=1e-6, high=1e-2, scale="log", when={DISTILLATION: ("dm",)}),
    },
)
EPOCHS = 10


def point(
    number: int,
    state: PointState = "complete",
    value: float | Sequence[float] = (),
    alpha: float | None = None,
    steps: Sequence[int] = (),
    **others: Any,
) -> SearchedPoint:
    values = (value,) if isinstance(value, float) else tuple(value)
    return SearchedPoint(
        number,
        state,
        {ALPHA: 1e-6 * (number + 1) if alpha is None else alpha, DISTILLATION: "none"},
        values,
        {str(step): 9.0 - 0.1 * step for step in steps},
        others.pop("trials", (f"p{number}",)),
        **others,
    )


def record(*points: SearchedPoint, **others: Any) -> SearchRecord:
    settings = others.pop("settings", SearchSettings())
    return SearchRecord("made", settings, SPACE, others.pop("trials", len(points)), EPOCHS,
                        points=points, **others)  # fmt: skip


def made(test: float, validation: float, seed: int = 0, alpha: float = 1e-6) -> Made:
    """A trial with mean errors on test faces (a fraction) and on validation faces (in percent)."""
    return Made(
        "odn",
        Faces(spread_errors(test, seed=seed)),
        seed,
        (f"alpha={alpha}",),
        validation_nme_percent=validation,
    )


POINTS = (
    point(0, value=6.0),
    point(1, value=5.0),
    point(2, value=5.2, promoted=True),
    point(3, "pruned", steps=(1, 2, 3)),
    point(4, "failed", steps=(1,), reason="the loss is *nan*"),
)
CANDIDATES = (
    Candidate(0, ("d1", "d2")),
    Candidate(1, ("a1", "a2")),
    Candidate(2, ("b1", "b2")),
)
# Point 1 was best in the search; over fresh seeds point 2 is.
FRESH = {
    "d1": made(0.060, 6.0, 1), "d2": made(0.060, 6.2, 2),
    "a1": made(0.050, 5.9, 1, 2e-6), "a2": made(0.050, 5.7, 2, 2e-6),
    "b1": made(0.055, 5.4, 1, 3e-6), "b2": made(0.055, 5.6, 2, 3e-6),
}  # fmt: skip
STOPPED: Mapping[str, Any] = {"p3": ("stopped", PRUNED), "p4": ("failed", "the loss is *nan*")}


def searched() -> dict[str, Made]:
    """The complete trials of the search in POINTS."""
    return {
        "p0": made(0.060, 6.0),
        "p1": made(0.040, 5.0, 0, 2e-6),
        "p2": made(0.050, 5.2, 0, 3e-6),
    }


def confirmed(folder: Path, **others: Any) -> Report:
    held = record(*POINTS, candidates=CANDIDATES, **others)
    return search_report(folder, held, {**searched(), **FRESH}, STOPPED)


def one_of(lines: Sequence[str], begin: str) -> str:
    (found,) = [line for line in lines if line.startswith(begin)]
    return found


def test_rows_are_the_points_that_fresh_seeds_confirm(tmp_path: Path) -> None:
    report = confirmed(tmp_path)
    titles = ["α=3.0e-06", "α=2.0e-06", "α=1.0e-06"]
    assert [row.title for row in report.rows] == [
        f"{title} distillation=none{' (defaults)' if title == titles[2] else ''}"
        for title in titles
    ]
    assert [row.validation_nme_percent for row in report.rows] == approx([5.5, 5.8, 6.1])
    assert [[t.folder.path.name for t in row.trials] for row in report.rows] == [
        ["b1", "b2"], ["a1", "a2"], ["d1", "d2"],
    ]  # fmt: skip
    assert report.reference is report.rows[2]
    assert report.exemplar_row is report.reference
    assert report.missing == ()


def test_trials_of_the_search_are_not_scored_once_points_are_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(tmp_path)
    scored, score = [], reading._score_trial

    def noted(folder: TrialFolder, *others: Any) -> Any:
        scored.append(folder.path.name)
        return score(folder, *others)

    monkeypatch.setattr(reading, "_score_trial", noted)
    read_report(tmp_path / "plan.json", REGISTRY)
    assert sorted(scored) == ["a1", "a2", "b1", "b2", "d1", "d2"]


def test_the_winner_is_chosen_on_validation_faces_and_compared_on_test_faces(
    tmp_path: Path,
) -> None:
    report = confirmed(tmp_path)
    assert report.search is not None and report.lead is not None
    winner = report.search.decision.winner
    # On the test faces, and in the search, point 1 is better.
    assert winner is not None and winner.number == 2
    assert winner.point == {ALPHA: 3e-6, DISTILLATION: "none"}
    assert report.lead.row is winner.row
    assert report.lead.other is report.reference
    errors = {
        row.title: np.stack([trial.scores[COLUMN].terms for trial in row.trials])
        for row in report.rows
    }
    by_hand = {c.variant: c for c in compare(errors, report.rows[2].title)}[winner.row.title]
    assert report.lead.comparison == by_hand
    told = one_of(decision(report), f"On {COLUMN}")
    assert "α=3.0e-06 distillation=none has a test NME of 5.50 ± 0.00 (" in told
    ends = [100 * end / 0.06 for end in (by_hand.interval.low, by_hand.interval.high)]
    assert f"%, -8.3 % ({ends[0]:+.1f} to {ends[1]:+.1f}) against the defaults" in told
    assert told.endswith(f"p {by_hand.p_holm:.4f}: better than the defaults.")


def test_what_the_search_showed_too_well_is_told(tmp_path: Path) -> None:
    report = confirmed(tmp_path)
    assert report.search is not None
    held = report.search.decision
    assert held.winner is not None and held.defaults is not None
    assert held.winner.optimism == approx(5.2 - 5.5)
    assert held.defaults.optimism == approx(6.0 - 6.1)
    assert held.apparent_gain == approx(6.0 - 5.2)
    assert held.remaining_gain == approx(6.1 - 5.5)
    assert (held.seeds, held.planned, held.finished) == ((2, 2), 6, 6)
    assert decision(report)[-1] == (
        "Of the apparent gain of 0.80 points over the defaults in the search, 0.60 points remained "
        "on fresh seeds: 5.20 % became 5.50 % and 6.00 % became 6.10 % for the defaults."
    )
    assert decision(report)[0] == "5 points searched: 3 complete, 1 pruned, 1 failed."
    assert decision(report)[1] == (
        "Over 2 fresh seeds each, the lowest validation NME of the 2 points trained again has "
        "α=3.0e-06 distillation=none, 5.50 %; the defaults have 6.10 %."
    )


def test_defaults_that_no_point_beats_are_said_to_be_best(tmp_path: Path) -> None:
    fresh = {**FRESH, "d1": made(0.05, 5.0, 1), "d2": made(0.05, 5.2, 2)}
    held = record(*POINTS, candidates=CANDIDATES)
    report = search_report(tmp_path, held, {**searched(), **fresh}, STOPPED)
    assert report.search is not None and report.search.decision.beats_defaults is False
    told = decision(report)
    assert told[1].startswith("No point beat the defaults on validation: over 2 fresh seeds each")
    assert "5.10 %" in told[1]
    assert "%, +10.0 % (" in told[2]
    assert told[2].endswith(": worse than the defaults.")
    assert "nothing remained on fresh seeds" in told[3]


def test_equal_points_show_no_difference_from_the_defaults(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fresh = {
        name: dataclasses.replace(one, faces=Faces(0.05 + 0.01 * rng.standard_normal(40)))
        for name, one in FRESH.items()
    }
    held = record(*POINTS, candidates=CANDIDATES)
    report = search_report(tmp_path, held, {**searched(), **fresh}, STOPPED)
    assert decision(report)[2].endswith(": no detectable difference from the defaults.")


def test_a_confirmation_that_is_not_finished_says_so(tmp_path: Path) -> None:
    fresh = {name: one for name, one in FRESH.items() if name not in ("b2", "d1", "d2")}
    stopped = {**STOPPED, "b2": ("failed", "out of memory")}
    held = record(*POINTS, candidates=CANDIDATES)
    report = search_report(tmp_path, held, {**searched(), **fresh}, stopped)
    told = decision(report)
    assert "Over 1 to 2 fresh seeds each" in told[1]
    assert "the defaults are not trained again yet" in told[1]
    assert "(3 of 6 trainings with fresh seeds finished)" in told[1]
    # The trial of a candidate that failed has no numbers; one that was never begun waits.
    assert [(m.title, m.standing.state) for m in report.missing] == [
        ("α=1.0e-06 distillation=none (defaults)", "waiting"),
        ("α=1.0e-06 distillation=none (defaults)", "waiting"),
        ("trial b2", "failed"),
    ]
    assert report.reference is None


def test_before_fresh_seeds_nothing_is_confirmed(tmp_path: Path) -> None:
    report = search_report(tmp_path, record(*POINTS), searched(), STOPPED)
    assert [row.validation_nme_percent for row in report.rows] == [5.0, 5.2, 6.0]
    assert report.reference is report.rows[2]
    assert report.search is not None and report.search.decision.winner is None
    told = decision(report)
    assert (
        "Not confirmed: one training each; the lowest of 3 errors is lower than that of the same "
        "point trained again." in told[1]
    )
    assert report.lead is not None and report.lead.row is report.rows[0]
    assert report.missing == ()


def test_an_unfinished_search_says_so(tmp_path: Path) -> None:
    points = (*POINTS, point(5, "running", steps=(1, 2)))
    held = record(*points, trials=40)
    report = search_report(tmp_path, held, searched(), {**STOPPED, "p5": ("running", "")})
    told = "The search is not finished: 5 of 40 points have ended (3 complete, 1 pruned, 1 failed, "
    assert decision(report)[0] == f"{told}1 running)."
    assert told in page_of(report)
    assert [(m.title, m.standing.state) for m in report.missing] == [("trial p5", "interrupted")]


def test_a_damaged_trial_of_a_pruned_point_is_one_without_numbers(tmp_path: Path) -> None:
    held = record(*POINTS)
    search_report(tmp_path, held, searched(), STOPPED)
    (tmp_path / "p3" / "status.json").write_text("")
    report = read_report(tmp_path / "plan.json", REGISTRY)
    assert [(m.title, m.standing.state) for m in report.missing] == [("trial p3", "damaged")]


def test_points_that_come_to_one_trial_are_one_row(tmp_path: Path) -> None:
    twin = point(5, value=5.0, alpha=POINTS[1].point[ALPHA], trials=("p1",))
    report = search_report(tmp_path, record(*POINTS, twin), searched(), STOPPED)
    assert len(report.rows) == 3
    assert report.search is not None
    # It has taken over what the first one came to.
    assert report.search.cost.used == 3 * EPOCHS + 3 + 1
    of_defaults = Candidate(5, CANDIDATES[0].trials)
    held = record(*POINTS, point(5, value=6.0, alpha=1e-6, trials=("p0",)),
                  candidates=(*CANDIDATES, of_defaults))  # fmt: skip
    report = search_report(tmp_path / "again", held, {**searched(), **FRESH}, STOPPED)
    assert len(report.rows) == 3
    assert report.search is not None and report.search.decision.planned == 6


def test_points_whose_titles_are_rounded_alike_are_told_apart(tmp_path: Path) -> None:
    points = (POINTS[0], point(1, value=5.0, alpha=2.01e-6), point(2, value=5.2, alpha=2.02e-6))
    report = search_report(
        tmp_path, record(*points, candidates=CANDIDATES), {**searched(), **FRESH}
    )
    assert [row.title for row in report.rows] == [
        "α=2.0e-06 distillation=none (point 2)",
        "α=2.0e-06 distillation=none (point 1)",
        "α=1.0e-06 distillation=none (defaults)",
    ]
    assert len(report.comparisons[COLUMN]) == 2


def test_epochs_are_those_that_were_trained(tmp_path: Path) -> None:
    once = record(*POINTS)
    assert [epochs_of(p, once) for p in POINTS] == [10, 10, 10, 3, 1]
    thrice = record(settings=SearchSettings(repeats=3))
    assert epochs_of(point(0, value=5.0, steps=(1, 2, 3)), thrice) == 30
    assert epochs_of(point(0, "pruned", steps=(1, 2)), thrice) == 20
    # Several objectives are not judged in between, so that there are no steps.
    assert epochs_of(point(0, value=(5.0, 1.0)), thrice) == 30
    report = search_report(tmp_path, once, searched(), STOPPED)
    assert report.search is not None
    cost = report.search.cost
    # A point that failed would have failed without pruning too.
    assert (cost.used, cost.unpruned) == (34, 41)
    assert cost.saved == approx(7 / 41)
    assert "Epochs trained: 34, where 41 would have been without pruning: 17 % saved." in (
        page_of(report)
    )


def brute_force(values: Sequence[tuple[float, ...]]) -> set[int]:
    """The indices of the values that no other ones beat, by comparing all with all."""
    V = np.array(values)
    no_worse = (V[:, None] <= V[None]).all(axis=2)
    better = (V[:, None] < V[None]).any(axis=2)
    return set(np.flatnonzero(~(no_worse & better).any(axis=0)).tolist())


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_brute_force_finds(objectives: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 8, (40, objectives)).astype(float)
    values = [tuple(map(float, row)) for row in drawn]
    front = pareto_front([point(i, value=v) for i, v in enumerate(values)])
    assert {p.number for p in front} == brute_force(values)
    assert [p.values for p in front] == sorted(p.values for p in front)


def test_several_objectives_have_a_table_of_the_front(tmp_path: Path) -> None:
    settings = SearchSettings(objectives=("ms", "params"), pruner="none")
    points = (point(0, value=(2.0, 1.0)), point(1, value=(1.0, 3.0)), point(2, value=(3.0, 1.0)))
    held = record(*points, settings=settings, candidates=CANDIDATES)
    report = search_report(tmp_path, held, {**searched(), **FRESH})
    assert report.search is not None and report.search.decision.winner is not None
    # NME is no objective: the search's validation errors are read from its trials.
    assert report.search.decision.winner.searched_nme_percent == 5.2
    lines = page_of(report).splitlines()
    start = lines.index("### The Pareto front")
    header = next(i for i in range(start, len(lines)) if lines[i].startswith("| point |"))
    assert lines[header] == "| point | values | time to predict a face, ms | parameters, millions |"
    assert [line.split("|")[1].strip() for line in lines[header + 2 : lines.index("", header)]] == [
        "1",
        "0",
    ]


def tables_of(text: str) -> Iterator[list[str]]:
    lines = [*text.splitlines(), ""]
    for i, line in enumerate(lines):
        if line.startswith("|") and not lines[i - 1].startswith("|"):
            yield lines[i : lines.index("", i)]


def test_the_section_of_a_search_tells_how_it_was_made(tmp_path: Path) -> None:
    report = confirmed(
        tmp_path,
        storage="runs/made/study.journal",
        importance_method="fANOVA",
        importances=(
            Importance(DISTILLATION, (0.2, 0.1, 0.3)),
            Importance(ALPHA, (0.8, 0.9, 0.7)),
        ),
    )
    path = write_markdown(report, tmp_path / "out")
    text = path.read_text()
    section = text[text.index("## The search") : text.index("## Protocol")]
    for told in (
        "5 points searched: 3 complete, 1 pruned, 1 failed. 1 had been pruned and went on",
        "| points proposed by | tree-structured Parzen estimator, seed 0 |",
        "| points stopped early by | asynchronous successive halving, from epoch 5 of 10 on |",
        "| trainings per point | 1, of 10 epochs |",
        "| made small | validation NME |",
        "| points asked for | 5 |",
        "| study | runs/made/study.journal |",
        "| `loss.alpha` | 1e-06 to 0.01, logarithmic, or 0 | everywhere |",
        "| `model.distillation` | none, dm | everywhere |",
        "| `loss.eta` | 1e-06 to 0.01, logarithmic | where distillation is dm |",
        r"- point 4, α=5.0e-06 distillation=none: the loss is \*nan\*",
        "| 2 | α=3.0e-06 distillation=none | 2 | 5.20 | 5.50 | -0.30 |",
        "| 1 | α=2.0e-06 distillation=none | 5 | complete, trained again |",
        "| 2 | α=3.0e-06 distillation=none | 5.2 | complete, had been pruned, trained again |",
        "over the 3 complete points, by fANOVA: mean over 3 seeds",
        "| `loss.alpha` | 0.80 | 0.70 to 0.90 |\n| `model.distillation` | 0.20 | 0.10 to 0.30 |",
    ):
        assert told in section, told
    for table in tables_of(text):
        assert re.fullmatch(r"\|( (---|--:) \|)+", table[1]), table
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1, table
    assert not re.search(r"\n\n\n|%}|{{", section)
    head = text.splitlines()
    begin = head.index("**Found**")
    assert head[begin + 2 : begin + 7] == [f"- {phrase(one)}" for one in found(report)[:5]]
    assert "α=3.0e-06" in head[begin + 4]


def test_text_from_outside_is_no_markup_in_the_decision(tmp_path: Path) -> None:
    key = "model.slot_*x*"
    points = [
        dataclasses.replace(p, point={key: f"[{p.number}](http://x)"})
        for p in POINTS
    ]  # fmt: skip
    held = record(*points, candidates=CANDIDATES)
    report = search_report(tmp_path, held, {**searched(), **FRESH}, STOPPED)
    assert "slot_*x*=[2](http://x)" in decision(report)[1]
    assert r"slot\_\*x\*=\[2\](http://x)" in page_of(report)
    assert "[2](http://x)" not in page_of(report).replace(r"\[2\](http://x)", "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": "ten"}, "expected a whole number"),
        ({"points": [{"number": 0, "state": "complete", "point": {}}]}, "without a number for"),
        ({"candidates": [{"number": 77, "trials": []}]}, "confirms a point 77"),
        ({"settings": {"objectives": ["speed"]}}, "objectives must be of nme, ms, params"),
    ],
)
def test_a_search_whose_record_cannot_be_read_has_ordinary_rows(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    search_report(tmp_path, record(*POINTS), searched(), STOPPED)
    file = tmp_path / "search.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    report = read_report(tmp_path / "plan.json", REGISTRY)
    assert report.search is None and decision(report) == []
    (note,) = report.notes
    assert note.startswith("without what the search has recorded: ") and told in note
    assert [row.title for row in report.rows] == [
        f"BRNet+GM+LM+DM (ODN), alpha {value}" for value in ("1e-06", "2e-06", "3e-06")
    ]
    assert "the trial with the lowest validation error" in said(found(report))[1]
    assert [m.standing.state for m in report.missing] == ["stopped", "failed"]


def test_a_record_of_other_trials_is_not_this_plans(tmp_path: Path) -> None:
    search_report(tmp_path, record(*POINTS), searched(), STOPPED)
    others = tuple(dataclasses.replace(p, trials=(f"other{p.number}",)) for p in POINTS)
    record(*others).save(tmp_path)
    report = read_report(tmp_path / "plan.json", REGISTRY)
    assert report.search is None and len(report.rows) == 3
