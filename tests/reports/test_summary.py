"""The first lines of a report, the factorial on one backbone, and the marks of other backbones."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_results import (
    COLUMN,
    Faces,
    Made,
    map_of,
    page_of,
    registry_with,
    report_of,
    said,
    spread_errors,
)

from odnbench.plan.entries import Variant
from odnbench.reports.markdown import phrase
from odnbench.reports.sentences import found, not_shown
from odnbench.reports.summary import lead_of
from odnbench.results.shapes import Shapes

EMPTY = {f"model.{slot}": "none" for slot in ("geometry", "distillation", "low_rank")}


def cell(name: str, *modules: str, **options: str) -> Variant:
    """A cell of a factorial of GM and DM at the last unit, built with `options`."""
    slots = {"GM": "model.geometry", "DM": "model.distillation"}
    kept = {slots[module] for module in modules}
    changes = {slot: none for slot, none in EMPTY.items() if slot not in kept}
    return Variant(name, f"Cell {name}", changes, modules, options=options)


ONE_BACKBONE = registry_with(
    cell("none"), cell("g", "GM"), cell("d", "DM"), cell("both", "GM", "DM")
)
MEANS = {"none": 0.050, "g": 0.060, "d": 0.050, "both": 0.060}


def cells_of(means: dict[str, float]) -> list[Made]:
    return [Made(name, Faces(spread_errors(mean))) for name, mean in means.items()]


def test_effects_of_modules_are_those_of_the_cells(tmp_path: Path) -> None:
    report = report_of(tmp_path, *cells_of(MEANS), registry=ONE_BACKBONE, reference="both")
    effects = {e.modules: e for e in report.factorial[COLUMN]}
    assert len(effects) == 3
    assert effects["GM",].interval.estimate == pytest.approx(0.010)
    assert effects["DM",].interval.estimate == pytest.approx(0)
    text = page_of(report)
    assert "All cells share the backbone resnet18-slim (last-unit: layer4.0)." in text
    assert "| GM | +1.00 (" in text
    (sentence,) = [s for s in said(found(report)) if "raises the error" in s]
    low, high = 100 * effects["GM",].interval.low, 100 * effects["GM",].interval.high
    assert sentence == (
        f"On {COLUMN}, GM raises the error by 1.00 points ({low:.2f} to {high:.2f}; one seed); "
        "DM: no detectable effect."
    )


def test_the_answer_is_a_short_sentence_made_from_the_effects(tmp_path: Path) -> None:
    """GM lowers the error by 0.3 points over five seeds, DM and their interaction do nothing."""
    rng = np.random.default_rng(0)
    made = [
        Made(name, Faces(spread_errors(mean, seed=1) + rng.normal(0, 1e-4, 40)), seed,
             shares=[{"alpha": 0.1, "beta": 1e-6}])
        for name, mean in (("none", 0.053), ("g", 0.05), ("d", 0.053), ("both", 0.05))
        for seed in range(5)
    ]  # fmt: skip
    report = report_of(tmp_path, *made, registry=ONE_BACKBONE, reference="none")
    (effect,) = [e for e in report.factorial[COLUMN] if e.is_detected]
    run, answer, lead, inert = said(found(report))
    assert run.startswith("4 networks, 5 seeds each; trained on 24 rendered faces of 300w/train")
    low, high = -100 * effect.interval.high, -100 * effect.interval.low
    assert 0.2 < low < 0.3 < high < 0.4
    assert answer == (
        f"On {COLUMN}, GM lowers the error by {-100 * effect.interval.estimate:.2f} points "
        f"({low:.2f} to {high:.2f}; 5 seeds); DM: no detectable effect."
    )
    assert "2 better and 1 with no detectable difference" in lead
    assert inert.startswith("β is inert in Cell none")
    page = page_of(report)
    assert (
        page.index(answer.partition(", ")[2]) < page.index("| model |") < page.index("## Results")
    )


def test_cells_that_differ_in_more_than_modules_have_no_effects(tmp_path: Path) -> None:
    whole = Variant("none", "Whole", {**EMPTY, "model.attach": "whole"}, ())
    learning = Variant("none", "Slow", {**EMPTY, "train.learning_rate": 1e-4}, ())
    for name, other, reason in (
        ("attach", whole, "backbone"),
        ("options", cell("none", pool="vector"), "backbone"),
        ("training", learning, "train.learning_rate"),
    ):
        registry = registry_with(*ONE_BACKBONE.all(Variant).values(), other)
        report = report_of(tmp_path / name, *cells_of(MEANS), registry=registry, reference="both")
        assert report.factorial == {}
        assert report.design is not None and report.design.differ_in == (reason,)
        assert f"differ in {reason} too, whose effect" in page_of(report)
        assert any(f"differ in {reason} too" in sentence for sentence in said(not_shown(report)))


def test_a_word_and_a_layer_of_one_place_are_one_backbone(tmp_path: Path) -> None:
    layer = Variant("none", "By its layer", {**EMPTY, "model.attach": "layer4.0"}, ())
    registry = registry_with(*ONE_BACKBONE.all(Variant).values(), layer)
    report = report_of(tmp_path, *cells_of(MEANS), registry=registry, reference="both")
    assert len(report.factorial[COLUMN]) == 3
    assert report.other_bases == ()


def test_there_is_no_factorial_where_a_cell_is_missing(tmp_path: Path) -> None:
    part = {name: mean for name, mean in MEANS.items() if name != "none"}
    report = report_of(tmp_path / "part", *cells_of(part), registry=ONE_BACKBONE, reference="both")
    assert report.design is None and report.factorial == {}


def test_rows_of_another_backbone_are_marked_and_named(tmp_path: Path) -> None:
    pooled = Variant("pooled", "Pooled", {**EMPTY}, options={"pool": "vector"})
    whole = Variant("whole", "Whole", {**EMPTY, "model.attach": "whole"})
    registry = registry_with(*ONE_BACKBONE.all(Variant).values(), pooled, whole)
    names = ("both", "g", "pooled", "whole", "mean-shape")
    made = [
        Made(n, Faces(spread_errors(0.05)), shares=() if n == "mean-shape" else ({},))
        for n in names
    ]
    report = report_of(tmp_path, *made, registry=registry, reference="both")
    assert [row.variant for row in report.other_bases] == ["pooled", "whole"]
    text = page_of(report)
    assert "| Pooled † |" in text and "| Whole ‡ |" in text and "| Cell g |" in text
    assert "| Mean shape of the training set |" in text
    lines = text.splitlines()
    for told in (
        "† another backbone, resnet18-slim (last-unit: layer4.0), pool = vector, than that of "
        "Cell both, resnet18-slim (last-unit: layer4.0): a difference is that of modules and "
        "backbone together",
        "‡ another backbone, resnet18-slim (whole: layer4), than that of Cell both",
    ):
        assert any(line.startswith(told) for line in lines), told


def test_the_first_lines_say_what_was_found_and_what_was_not(tmp_path: Path) -> None:
    occluded = np.zeros((40, 68), bool)
    occluded[:, 0] = True
    away = np.tile(np.linspace(1, 0, 68), (40, 1))
    away[::2, 0] = 0.5
    held = map_of(away)
    made = [
        Made(name, Faces(spread_errors(mean), held if name == "both" else None, occluded),
             shares=[{"alpha": 0.1, "eta": 1e-6}], shapes=Shapes(68, (2, 2)))
        for name, mean in MEANS.items()
    ]  # fmt: skip
    report = report_of(tmp_path, *made, registry=ONE_BACKBONE, reference="both", failed=["brnet"])
    head = page_of(report).splitlines()[:22]
    assert head[0] == "# Made results"
    assert head[3].startswith("> - **Rendered faces** stand in for 300w/train, 300w/challenging")
    begin, middle = head.index("**Found**"), head.index("**Not shown**")
    assert head[begin + 2 : middle - 1] == [f"- {phrase(one)}" for one in found(report)]
    end = head.index("", middle + 2)
    assert head[middle + 2 : end] == [f"- {phrase(one)}" for one in not_shown(report)]
    assert (len(found(report)), len(not_shown(report))) == (5, 3)
    whole = " ".join(head)
    for told in (
        "4 networks, one seed each; trained on 24 rendered faces of `300w/train`, tested on 40 "
        "rendered faces of `300w/challenging`, under protocol `300w-paper`.",
        "**1 trial without numbers**, listed below with the reason.",
        "On `300w/challenging`, **Cell none** has the lowest NME, 5.00 (",
        "against Cell both -16.7 % (",
        "Of 3 networks against Cell both: 2 better and 1 with no detectable difference.",
        "GM raises the error",
        "The map P of Cell both against landmarks",
        "η is inert in Cell both: its gradient is below 1e-4",
        "with one seed, the spread between seeds is not known",
        "anything about real faces",
        "far side of a turned head",
        "1 trial without numbers",
        "in 4 networks sizes keep them from it",
    ):
        assert told in whole, told


def test_a_leading_reference_is_set_beside_the_next(tmp_path: Path) -> None:
    means = {"both": 0.040, "g": 0.050, "d": 0.060}
    report = report_of(tmp_path, *cells_of(means), registry=ONE_BACKBONE, reference="both")
    assert report.lead is not None and report.lead.other is not None
    assert (report.lead.row.variant, report.lead.other.variant) == ("both", "g")
    sentence = said(found(report))[1]
    assert sentence.startswith(f"On {COLUMN}, Cell both has the lowest NME")
    assert "next is Cell g, +25.0 % (" in sentence
    assert "2 worse." in sentence


def test_equal_networks_are_said_to_show_no_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = [
        Made(name, Faces(0.05 + 0.01 * rng.standard_normal(40)), seed)
        for name in ("both", "g")
        for seed in range(4)
    ]
    report = report_of(tmp_path, *made, registry=ONE_BACKBONE, reference="both", rendered=False)
    assert said(not_shown(report)) == [
        "That any network differs from Cell both: no p is below 0.05, on any column."
    ]
    run, lead = said(found(report))
    assert "no detectable difference" in lead
    assert run.startswith(
        "2 networks, 4 seeds each; trained on 24 real faces of 300w/train, tested"
    )
    assert "40 of 135 real faces of 300w/challenging" in run
    assert "> - **Partial sets**: 40 of 135 faces of 300w/challenging." in page_of(report)


def test_a_network_that_does_not_beat_the_mean_shape_is_told(tmp_path: Path) -> None:
    errors = spread_errors(0.30)
    mean_shape = Made("mean-shape", Faces(errors), shares=())
    report = report_of(tmp_path, mean_shape, Made("odn", Faces(errors)))
    assert report.lead is not None and report.lead.row.variant == "odn"  # the only one trained
    assert any(
        "that BRNet+GM+LM+DM (ODN) is better than Mean shape" in sentence
        for sentence in said(not_shown(report))
    )


def test_one_row_alone_is_compared_with_nothing(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("odn", Faces(spread_errors(0.05))))
    run, sentence = said(found(report))
    assert run.startswith("1 network, one seed; trained on")
    assert sentence.startswith(f"On {COLUMN}, BRNet+GM+LM+DM (ODN) has NME 5.00 (")
    assert said(not_shown(report))[0] == (
        "Which network is better: none is compared with another by a test."
    )


def test_where_nothing_was_trained_nothing_is_found(tmp_path: Path) -> None:
    report = report_of(tmp_path, Made("mean-shape", Faces(spread_errors(0.2)), shares=()))
    assert said(found(report))[1:] == ["Nothing: no network of this plan was trained."]
    assert report.lead is None
    unscored = report_of(tmp_path / "unscored", Made("odn", Faces(spread_errors(0.2))))
    pipeline = dataclasses.replace(unscored.pipeline, columns=())
    unscored = dataclasses.replace(unscored, pipeline=pipeline)
    assert said(found(unscored))[1:] == ["Nothing: no test face has a number."]
    page = page_of(unscored)
    assert "## Results" not in page and "- Test faces: none." in page


def test_a_search_is_led_by_the_trial_with_the_lowest_validation_error(tmp_path: Path) -> None:
    made = [
        Made(name, Faces(spread_errors(mean)), validation_nme_percent=validation)
        for name, mean, validation in (("g", 0.05, 4.0), ("d", 0.04, 4.5), ("both", 0.06, 3.0))
    ]
    report = report_of(tmp_path, *made, registry=ONE_BACKBONE)
    first, second, defaults = report.rows
    searched = lead_of(report.rows, COLUMN, defaults, {}, is_search=True)
    compared = lead_of(report.rows, COLUMN, defaults, {}, is_search=False)
    assert searched is not None and compared is not None
    # The lowest of many test errors would be lower than that of the same network on new faces.
    assert (searched.row, searched.other) == (first, defaults)
    assert (compared.row, compared.other) == (second, defaults)
