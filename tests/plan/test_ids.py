"""Content ids: the same for the same numbers, and another for others."""

import dataclasses
from pathlib import Path

import pytest

from odnbench.plan.entries import Augmentation
from odnbench.plan.ids import trial_id
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NEUTRAL, AugmentSpec

REGISTRY = Registry.load()


@pytest.mark.parametrize("word", ["whole", "last-unit", "stride-8", "stride-16", "stride-32"])
def test_a_word_and_the_layer_that_it_means_have_one_id(word: str) -> None:
    layers = {
        "whole": "layer4", "last-unit": "layer4.0", "stride-8": "layer2", "stride-16": "layer3",
        "stride-32": "layer4",
    }  # fmt: skip
    ids = []
    for attach in (word, layers[word]):
        overrides = ["variant=odn", "pretrained=none", f"attach={attach}"]
        (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
        ids.append(trial_id(spec, REGISTRY, "faces"))
    assert ids[0] == ids[1]


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
@pytest.mark.parametrize("place", ["trunk", "branch"])
def test_the_place_and_the_order_of_an_own_slot_enter_the_id(
    tmp_path: Path, place: str, order: tuple[str, str]
) -> None:
    def identity(folder: Path, place: str, order: tuple[str, str]) -> str:
        folder.mkdir()
        slots = (f'[{name}]\ntitle = "{name}"\nplace = "{place}"\n' for name in order)
        (folder / "slots.toml").write_text("".join(slots))
        target = "odnbench.networks.modules.geometry:GeometryModule"
        modules = (
            f'[{name}-gate]\ntitle = "{name}"\nslot = "{name}"\ntarget = "{target}"\n'
            for name in ("first", "second")
        )
        (folder / "modules.toml").write_text("".join(modules))
        registry = Registry.load([folder])
        overrides = [
            "variant=odn", "pretrained=none", "first=first-gate", "second=second-gate",
        ]  # fmt: skip
        (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
        return trial_id(spec, registry, "faces")

    same = (place, order) == ("trunk", ("first", "second"))
    found = identity(tmp_path / "a", "trunk", ("first", "second"))
    assert (identity(tmp_path / "b", place, order) == found) == same


def test_an_own_slot_that_is_empty_changes_no_id(tmp_path: Path) -> None:
    (tmp_path / "slots.toml").write_text('[gate]\ntitle = "Gate"\nplace = "trunk"\n')
    with_slot = Registry.load([tmp_path])
    ids = set()
    for registry, more in ((REGISTRY, []), (with_slot, []), (with_slot, ["gate=none"])):
        overrides = ["variant=odn", "pretrained=none", *more]
        (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
        ids.add(trial_id(spec, registry, "faces"))
    assert len(ids) == 1


@pytest.mark.parametrize(("pool", "same"), [("false", True), ("true", False)])
def test_the_options_of_a_variant_enter_the_id(tmp_path: Path, pool: str, same: bool) -> None:
    def identity(folder: Path, pool: str) -> str:
        folder.mkdir()
        (folder / "variants.toml").write_text(
            f'[mine]\ntitle = "Mine"\nchanges = {{}}\noptions = {{ pool = {pool} }}\n'
        )
        registry = Registry.load([folder])
        overrides = ["variant=mine", "pretrained=none"]
        (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
        return trial_id(spec, registry, "faces")

    first = identity(tmp_path / "a", "false")
    assert (identity(tmp_path / "b", pool) == first) == same


def test_ids_of_before_stay() -> None:
    (spec,) = resolve(
        load_pipeline("ablation"), REGISTRY, overrides=["variant=odn", "pretrained=none"]
    )
    assert trial_id(spec, REGISTRY, "faces") == "c7b31bee3fcfa557"  # as of engine version 5


def test_what_an_entry_fits_with_is_no_part_of_an_id() -> None:
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=["variant=odn"])
    entries = {family: dict(held) for family, held in REGISTRY.entries.items()}
    head, criterion = entries["heads"]["regression"], entries["criteria"]["l2"]
    entries["heads"]["regression"] = dataclasses.replace(head, criterion="own")
    entries["criteria"]["l2"] = dataclasses.replace(criterion, on=("points",))
    same = trial_id(spec, Registry(entries), "faces") == trial_id(spec, REGISTRY, "faces")
    assert same


def test_only_a_neutral_field_at_its_default_changes_no_id() -> None:
    @dataclasses.dataclass(frozen=True)
    class Fog(AugmentSpec):
        fog: float = dataclasses.field(default=0.0, metadata=NEUTRAL)

    @dataclasses.dataclass(frozen=True)
    class Snow(AugmentSpec):
        snow: float = 0.0

    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=["variant=odn"])

    def identity(augment: AugmentSpec) -> str:
        return trial_id(dataclasses.replace(spec, augment=augment), REGISTRY, "faces")

    before = identity(AugmentSpec())
    assert identity(Fog()) == before
    assert identity(Fog(fog=0.5)) != before
    assert identity(Snow()) != before


def test_a_box_that_is_grown_has_another_id() -> None:
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=["variant=odn"])
    entries = {family: dict(held) for family, held in REGISTRY.entries.items()}
    rule = entries["boxes"]["landmarks"]
    before = trial_id(spec, REGISTRY, "faces")
    for grown, same in (((0.0, 0.0, 0.0, 0.0), True), ((0.0, 0.2, 0.0, 0.0), False)):
        entries["boxes"]["landmarks"] = dataclasses.replace(rule, grown=grown)
        assert (trial_id(spec, Registry(entries), "faces") == before) is same


def identity(*overrides: str) -> str:
    overrides = ("variant=odn", "pretrained=none", *overrides)
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    return trial_id(spec, REGISTRY, "faces")


def test_an_effect_of_no_amount_changes_no_id() -> None:
    assert identity("blur=0", "shear_deg=0", "aspect=0", "strength=0") == identity()
    assert len({identity(), identity("blur=0.5"), identity("blur=0.6"), identity("grey=0.5")}) == 4


def test_a_strength_has_the_id_of_the_amounts_that_it_stands_for() -> None:
    amounts = [f"{n}={0.5 * e.reference!r}" for n, e in REGISTRY.all(Augmentation).items()]
    assert identity("strength=0.5") == identity(*amounts, "shear_deg=5", "aspect=0.05")
    assert identity("strength=0.5", "blur=0") != identity("strength=0.5")
