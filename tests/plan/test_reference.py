"""The row that others are compared with, and axes whose points set several keys."""

import dataclasses
from typing import Any

import pytest
from helpers import REGISTRY

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.pipelines import Pipeline, resolve
from odnbench.plan.reference import Reference, resolved_reference
from odnbench.plan.specs import TrialSpec

CRITERIA = [{"criterion": "l2"}, {"loss.criterion": "wing", "unit": "pixels"}]


def pipeline(reference: Any = "", **axes: Any) -> Pipeline:
    return from_mapping(Pipeline, {"name": "mine", "title": "Mine", "reference": reference,
                                   "axes": axes}, "mine.toml")  # fmt: skip


def told(specs: list[TrialSpec]) -> list[tuple[str, str, str, int]]:
    return [(spec.variant, spec.loss.criterion, spec.loss.unit, spec.seed) for spec in specs]


def test_a_point_of_an_axis_may_set_several_keys() -> None:
    specs = resolve(pipeline(variant=["cut", "dm"], data_term=CRITERIA, seed=[0, 1]), REGISTRY)
    each = [("l2", "crop"), ("wing", "pixels")]
    assert told(specs) == [(v, *e, seed) for v in ("cut", "dm") for e in each for seed in (0, 1)]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["criterion=l1,l2"], [("l1", "crop"), ("l2", "crop")]),
        (["criterion=wing", "unit=pixels"], [("wing", "pixels")]),
        (["unit=pixels", "criterion=wing"], [("wing", "pixels")]),
        (["seed=1"], [("l2", "crop"), ("wing", "pixels")]),
    ],
)
def test_an_override_of_a_key_replaces_the_axis_that_sets_it(
    overrides: list[str], expected: list[tuple[str, str]]
) -> None:
    specs = resolve(pipeline(variant=["cut"], data_term=CRITERIA), REGISTRY, overrides=overrides)
    assert [(spec.loss.criterion, spec.loss.unit) for spec in specs] == expected


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"data_term": [{"criterium": "l2"}]}, "did you mean 'loss.criterion'"),
        ({"data_term": [{"criterion": 3}]}, "loss.criterion: expected a text, got 3"),
        ({"data_term": CRITERIA, "unit": ["crop"]}, "loss.unit is set by another axis"),
        ({"unit": ["crop"], "loss": {"unit": ["crop"]}}, "loss.unit is set by another axis"),
        ({"criterion": ["l2", {"criterion": "l1"}]}, "expected a text, got {"),
        ({"data_term": [{"criterion": "wing"}]}, "add -s loss.unit=pixels"),
    ],
)
def test_an_axis_that_cannot_be_meant_is_refused(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(OdnbenchError) as caught:
        resolve(pipeline(**axes), REGISTRY)
    assert message in str(caught.value)


def test_a_variant_that_contradicts_a_point_is_refused() -> None:
    axis = [{"attach": "stride-16"}, {"attach": "stride-32"}]
    with pytest.raises(OdnbenchError, match=r"\[axes\] model.attach = 'stride-16' contradicts"):
        resolve(pipeline(variant=["brnet"], place=axis), REGISTRY)


@pytest.mark.parametrize(
    ("reference", "rows"),
    [
        ("dm", 2),
        ({"variant": "dm"}, 2),
        ({"variant": "dm", "loss.criterion": "l2"}, 1),
        ({"variant": "dm", "loss": {"unit": "pixels"}}, 1),
        ({"distillation": "none", "criterion": "l2"}, 1),
        ({"model.geometry": "none"}, 4),
        ("odn", 0),
    ],
)
def test_a_reference_is_the_rows_that_have_what_it_names(reference: Any, rows: int) -> None:
    """Two variants with two criteria, two seeds each."""
    axes = {"variant": ["cut", "dm"], "data_term": CRITERIA, "seed": [0, 1]}
    specs = resolve(pipeline(**axes), REGISTRY)
    found = Reference(reference, REGISTRY)
    assert len(found.rows(specs)) == rows
    assert (found.fault(specs) == "") == (rows == 1)
    if rows == 1:
        assert resolve(pipeline(reference, **axes), REGISTRY) == specs
    else:
        with pytest.raises(OdnbenchError, match=r"^pipeline mine: reference "):
            resolve(pipeline(reference, **axes), REGISTRY)


def test_a_reference_that_is_several_rows_is_told_how_to_name_one() -> None:
    axes = {"variant": ["cut"], "augment.annotation_offset": [True, False]}
    with pytest.raises(OdnbenchError) as caught:
        resolve(pipeline("cut", **axes), REGISTRY)
    message = str(caught.value)
    cure = 'reference = { variant = "cut", "augment.annotation_offset" = true }'
    assert f'reference variant = "cut" is 2 rows; name one of them, as in {cure}' in message
    named = pipeline({"variant": "cut", "augment.annotation_offset": True}, **axes)
    assert len(resolve(named, REGISTRY)) == 2


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("ond", "did you mean 'odn'"),
        ({"variant": "ond"}, "did you mean 'odn'"),
        ({"criterium": "l2"}, "did you mean 'loss.criterion'"),
        ({"loss.criterion": "l1", "variant": "odn"}, 'the nearest have "loss.criterion" = "l2"'),
        ({"annotation_offset": "yes"}, "expected true or false, got 'yes'"),
        ({"seed": 0}, "leave 'seed' out"),
        (3, "reference: expected a text, got 3"),
    ],
)
def test_a_reference_that_cannot_be_meant_is_refused(reference: Any, message: str) -> None:
    with pytest.raises(OdnbenchError) as caught:
        resolve(pipeline(reference, variant=["odn"]), REGISTRY)
    assert message in str(caught.value)


@pytest.mark.parametrize("overrides", [(), ("pretrained=mine.npz", "ema=0.9")])
def test_the_first_row_is_the_reference_whatever_overrides_make_of_it(
    overrides: tuple[str, ...],
) -> None:
    points = [{"variant": "cut"}, {"variant": "dm"}, {"variant": "cut", "pretrained": "none"}]
    specs = resolve(
        pipeline("first row", network=points, seed=[3, 4]), REGISTRY, overrides=overrides
    )

    reference = Reference(resolved_reference("first row", specs, REGISTRY), REGISTRY)

    assert reference.fault(specs) == ""
    assert [dataclasses.replace(row, seed=3) for row in reference.rows(specs)] == specs[:1]
    assert set(reference.values) == {"variant", "model.distillation", "model.pretrained"}
    assert resolved_reference("first row", specs[:2], REGISTRY) == "first row"  # the only one
    assert resolved_reference("odn", specs, REGISTRY) == "odn"


def test_a_reference_of_which_overrides_make_several_rows_is_the_first_of_them() -> None:
    specs = resolve(
        pipeline("odn", variant=["cut", "odn"], seed=[0, 1]), REGISTRY, overrides=["eta=0,1e-3"]
    )
    resolved = resolved_reference("odn", specs, REGISTRY)
    assert resolved == {"variant": "odn", "loss.eta": 0.0}
    (row,) = Reference(resolved, REGISTRY).rows(specs)
    assert (row.variant, row.loss.eta) == ("odn", 0.0)


def test_overrides_may_leave_the_reference_out() -> None:
    mine = pipeline("odn", variant=["odn", "dm"])
    assert len(resolve(mine, REGISTRY, overrides=["variant=dm,gm"])) == 2


def test_a_reference_survives_the_way_through_a_plan() -> None:
    mine = pipeline({"augment.annotation_offset": False})
    assert from_mapping(Pipeline, to_mapping(mine), "plan.json") == mine


def test_what_is_not_named_has_no_amount() -> None:
    axes = {"augmented": [{"flip": 0.5}, {"blur": 0.5, "shear_deg": 5.0}], "variant": ["cut"]}
    for key in ("augment.blur", "augment.shear_deg"):
        specs = resolve(pipeline({key: 0.0}, **axes), REGISTRY)
        (found,) = Reference({key: 0.0}, REGISTRY).rows(specs)
        assert found.augment.flip == 0.5
        assert "blur" not in found.augment.effects
