"""Levels of disturbances, and what pictures must have room for."""

import dataclasses

import pytest
from helpers import REGISTRY

from odnbench.errors import OdnbenchError
from odnbench.plan.disturbances import Disturbance, check_levels, check_margin
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import BoxRule
from odnbench.plan.specs import DataSpec

RULE = REGISTRY.get(BoxRule, "landmarks")


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ({"occluder": (0.0, 0.1)}, "did you mean 'occluders'"),
        ({"shift": (0.1, 0.2)}, "must rise from 0"),
        ({"shift": (0.0, 0.2, 0.1)}, "must rise from 0"),
        ({"shift": (0.0,)}, "must rise from 0"),
        ({"shift": (0.0, 0.12, 0.125)}, "whole percents, got 0.125"),
        ({"occluders": (0.0, 1.0)}, r"to 0\.9 at most"),
        ({"scale": (0.0, float("nan"))}, "must rise from 0"),
    ],
)
def test_levels_rise_from_0(levels: dict[str, tuple[float, ...]], told: str) -> None:
    with pytest.raises(OdnbenchError, match=told):
        check_levels(levels)


@pytest.mark.parametrize("size", [32, 96, 224])
@pytest.mark.parametrize("one", [Disturbance("shift", 0.2), Disturbance("scale", 0.4)])
def test_pictures_that_are_too_small_for_a_box_are_refused_with_the_margin_that_is_enough(
    one: Disturbance, size: int
) -> None:
    data = DataSpec(input_size=size)
    with pytest.raises(OdnbenchError, match=r"data\.margin is 1\.25") as error:
        check_margin([one], data, RULE)
    margin = float(str(error.value).partition("data.margin=")[2].partition(",")[0])
    enough = dataclasses.replace(data, margin=margin)
    check_margin([one], enough, RULE)
    assert enough.stored_size / size >= one.margin(RULE)


def test_levels_are_no_part_of_a_trial() -> None:
    pipeline = load_pipeline("occlusion")
    other = dataclasses.replace(pipeline, disturbances={"shift": (0.0, 0.1)})
    assert resolve(pipeline, REGISTRY) == resolve(other, REGISTRY)
    assert len({one.name for one in (*pipeline.disturbed, *other.disturbed)}) == 7
    with pytest.raises(OdnbenchError, match=r"pipeline occlusion: disturbances\.shift"):
        resolve(dataclasses.replace(pipeline, disturbances={"shift": (0.0, 0.3)}), REGISTRY)
