"""Rows of one variant: their titles, and the comparison with the one that a pipeline names."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import COLUMN, Faces, Made, page_of, registry_with, report_of, spread_errors

from odnbench.metrics.significance import compare
from odnbench.plan.entries import Variant
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.reference import FIRST_OF_SEVERAL
from odnbench.reports.read import read_report
from odnbench.results.plans import PLAN, PlanRecord

MEANS = {"l2": 0.050, "l1": 0.053}


def errors(criterion: str, seed: int) -> list[float]:
    return list(spread_errors(MEANS[criterion] + 0.001 * seed, seed=seed))


def trials(variant: str = "cut") -> list[Made]:
    return [
        Made(variant, Faces(errors(criterion, seed)), seed, (f"criterion={criterion}",))
        for criterion in MEANS
        for seed in (0, 1)
    ]


def test_rows_of_one_variant_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    report = report_of(tmp_path, *trials(), reference={"loss.criterion": "l2"})
    titles = [f"cut backbone, no module, criterion {name}" for name in MEANS]
    assert [row.title for row in report.rows] == titles
    assert [len(row.trials) for row in report.rows] == [2, 2]
    assert report.reference is report.rows[0]
    assert f"Difference: of the mean NME from that of **{titles[0]}**" in page_of(report)


def test_what_titles_are_silent_about_is_in_a_table(tmp_path: Path) -> None:
    rates = range(1, 10)
    made = [Made("cut", Faces(errors("l2", rate)), 0, (f"learning_rate={rate}e-3",))
            for rate in rates]  # fmt: skip
    made += [Made("cut", Faces(errors("l1", 0)), 0, ("criterion=l1", "learning_rate=0.001"))]
    report = report_of(tmp_path, *made, reference="")
    assert [row.title for row in report.rows] == [
        *(f"cut backbone, no module, learning_rate 0.00{rate}" for rate in rates),
        "cut backbone, no module, criterion l1, learning_rate 0.001",
    ]
    page = page_of(report)
    assert "| `loss.criterion` | l2 (9), l1 (1) |" in page
    assert "| `train.learning_rate` | 0.001 (2), 0.002 (1), " in page
    assert "0.008 (1), 1 more |" in page
    alike = report_of(tmp_path / "alike", *trials()[:2], reference="")  # two seeds
    assert "What trials differ in" not in page_of(alike)


def test_a_comparison_with_a_named_row_is_the_one_of_the_errors(tmp_path: Path) -> None:
    report = report_of(tmp_path, *trials(), reference={"variant": "cut", "criterion": "l2"})
    by_hand = {name: np.array([errors(name, seed) for seed in (0, 1)]) for name in MEANS}
    (expected,) = compare(by_hand, "l2")
    found = report.comparisons[COLUMN][report.rows[1].title]
    assert found.p_holm == pytest.approx(expected.p_holm, rel=1e-6)
    assert found.percent == pytest.approx(expected.percent)
    limits = (found.interval.low, found.interval.high)
    assert limits == pytest.approx((expected.interval.low, expected.interval.high))


@pytest.mark.parametrize("reference", ["cut", {"variant": "cut"}, "odn"])
def test_no_row_is_compared_with_several_or_none(tmp_path: Path, reference: str) -> None:
    report = report_of(tmp_path, *trials(), reference=reference)
    assert report.reference is None and report.comparisons == {}


def test_a_variant_of_several_rows_that_is_named_is_the_first_of_them(tmp_path: Path) -> None:
    report_of(tmp_path, *trials("dm"), *trials(), reference={"variant": "dm", "criterion": "l2"})
    record = PlanRecord.load(tmp_path / PLAN)
    dataclasses.replace(record, notes=(f"{FIRST_OF_SEVERAL}of others", "a note")).save(tmp_path)
    report = read_report(tmp_path / PLAN, REGISTRY, compared_with="cut")
    first = next(row for row in report.rows if row.variant == "cut")
    assert report.reference is first
    assert len(report.comparisons[COLUMN]) == len(report.rows) - 1
    assert report.notes == ("a note",)


def test_a_reference_in_words_that_are_gone_is_a_note(tmp_path: Path) -> None:
    report = report_of(tmp_path, *trials(), reference={"model.attention": "none"})
    assert report.reference is None
    (note,) = [note for note in report.notes if note.startswith("no row is compared")]
    assert "unknown key 'model.attention'" in note


def test_rows_of_one_variant_on_other_backbones_are_not_marked(tmp_path: Path) -> None:
    """The mark says that modules and backbone differ together; their titles say what differs."""
    made = [
        Made(variant, Faces(spread_errors(0.05)), overrides=(f"backbone={backbone}",))
        for variant, backbone in (("cut", "resnet18-slim"), ("cut", "resnet18"), ("dm", "resnet18"))
    ]
    reference = {"variant": "cut", "model.backbone": "resnet18-slim"}
    report = report_of(tmp_path, *made, reference=reference)
    assert [row.variant for row in report.other_bases] == ["dm"]


def test_the_flip_pipeline_compares_its_two_rows(tmp_path: Path) -> None:
    made = [
        Made("cut", Faces(spread_errors(mean, seed=seed)), seed, (f"annotation_offset={offset}",))
        for offset, mean in (("true", 0.05), ("false", 0.06))
        for seed in (0, 1)
    ]
    report = report_of(tmp_path, *made, reference=load_pipeline("flip").reference)
    assert report.reference is report.rows[1]
    assert list(report.comparisons[COLUMN]) == [report.rows[0].title]
    assert PlanRecord.load(tmp_path / PLAN).pipeline.reference == {
        "augment.annotation_offset": False
    }


def test_a_variant_that_the_registry_has_lost_is_still_compared_with(tmp_path: Path) -> None:
    mine = Variant("mine", "Mine", {"model.geometry": "none"})
    made = [Made(name, Faces(spread_errors(0.05))) for name in ("mine", "odn")]
    report = report_of(tmp_path, *made, registry=registry_with(mine), reference="mine")
    again = read_report(tmp_path / PLAN, registry_with())
    assert report.reference is not None and again.reference is not None
    assert again.reference.variant == "mine"
