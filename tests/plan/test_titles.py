"""Titles tell trials apart, and say what stands in a slot in place of the usual."""

import dataclasses
from pathlib import Path

import pytest

from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.titles import trial_titles

GATE = 'title = "Gate"\nslot = "attention"\ntarget = "mylab.modules:Gate"\n'


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "slots.toml").write_text('[attention]\ntitle = "Attention"\nplace = "trunk"\n')
    (tmp_path / "modules.toml").write_text(f"[gate]\n{GATE}")
    return Registry.load([tmp_path])


def titles(registry: Registry, *overrides: str) -> list[str]:
    specs = resolve(load_pipeline("ablation"), registry, overrides=overrides)
    return trial_titles(specs, registry)


def test_variants_have_their_titles_and_seeds_are_told_where_they_differ(
    registry: Registry,
) -> None:
    assert titles(registry, "variant=brnet,gm") == ["BRNet", "BRNet+GM"]
    assert titles(registry, "variant=gm", "seed=0,3") == ["BRNet+GM, seed 0", "BRNet+GM, seed 3"]


def test_what_a_variant_is_defined_by_and_what_most_have_is_no_part_of_a_title(
    registry: Registry,
) -> None:
    pipeline = dataclasses.replace(
        load_pipeline("ablation"),
        reference="",
        axes={
            "network": [
                {"variant": "odn"},
                {"variant": "odn", "learning_rate": 1e-2},
                {"variant": "gm"},
                {"variant": "gm", "geometry": "gm-outer"},
                {"variant": "dm"},
            ]
        },
    )
    assert trial_titles(resolve(pipeline, registry), registry) == [
        "BRNet+GM+LM+DM (ODN)",
        "BRNet+GM+LM+DM (ODN), learning_rate 0.01",
        "BRNet+GM",
        "BRNet+GM, geometry gm-outer",
        "BRNet+DM",
    ]


def test_what_half_of_the_trials_have_is_told(registry: Registry) -> None:
    assert titles(registry, "variant=gm", "ema=0,0.9") == ["BRNet+GM, ema 0.0", "BRNet+GM, ema 0.9"]
    assert titles(registry, "variant=gm", "ema=0,0.9,0.99")[0] == "BRNet+GM, ema 0.0"


@pytest.mark.parametrize("name", ["best", "ingredients", "alternatives", "heads", "criteria"])
def test_rows_of_shipped_pipelines_have_titles_of_their_own(name: str, registry: Registry) -> None:
    specs = dict.fromkeys(
        dataclasses.replace(spec, seed=0) for spec in resolve(load_pipeline(name), registry)
    )
    found = trial_titles(list(specs), registry)
    assert len(set(found)) == len(specs)
    assert max(map(len, found)) < 80


def test_a_module_in_place_of_the_usual_one_is_in_the_title(registry: Registry) -> None:
    overrides = ("variant=brnet,gm", "geometry=gm-outer", "attention=gate")
    assert titles(registry, *overrides) == [
        "BRNet, attention gate",
        "BRNet+GM, geometry gm-outer, attention gate",
    ]
    assert titles(registry, "variant=gm", "attention=none", "epochs=3") == ["BRNet+GM"]


def test_a_title_does_without_a_registry_that_knows_its_slot(registry: Registry) -> None:
    overrides = ["variant=gm", "attention=gate"]
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
    assert trial_titles([spec], Registry.load()) == ["BRNet+GM, attention gate"]


def test_a_variant_may_fill_a_slot_that_is_empty_by_default(tmp_path: Path) -> None:
    (tmp_path / "slots.toml").write_text('[attention]\ntitle = "Attention"\nplace = "trunk"\n')
    (tmp_path / "modules.toml").write_text(f"[gate]\n{GATE}")
    (tmp_path / "variants.toml").write_text(
        '[gated]\ntitle = "Gated"\nchanges = { "model.attention" = "gate" }\n'
    )
    assert titles(Registry.load([tmp_path]), "variant=gated,gm") == ["Gated", "BRNet+GM"]


def test_a_flip_test_and_a_teacher_are_in_every_title(registry: Registry) -> None:
    flip_test = ("variant=brnet,gm", "flip_test=true")
    assert titles(registry, *flip_test) == ["BRNet, flip test", "BRNet+GM, flip test"]
    taught = ("variant=mean-shape,gm", "teacher=runs/a/0123")
    assert titles(registry, *taught) == [
        "Mean shape of the training set",
        "BRNet+GM, taught by 0123",
    ]
    both = load_pipeline("ablation")
    specs = [
        resolve(both, registry, overrides=["variant=gm", f"flip_test={answer}"])[0]
        for answer in ("true", "false")
    ]
    assert trial_titles(specs, registry) == ["BRNet+GM, flip test", "BRNet+GM"]
