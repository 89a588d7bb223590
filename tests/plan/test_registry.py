"""The registry's files: what a folder of one's own may add, and what is told when it is wrong."""

from pathlib import Path

import pytest

from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Backbone, Criterion, Dataset, Module, Variant
from odnbench.plan.ids import trial_id
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.reference import Reference, resolved_reference
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.searches import Search, space_of
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import NONE, TrialSpec
from odnbench.plan.titles import trial_titles
from odnbench.testing import check_entry

SHIPPED = Registry.load()
GM = "odnbench.networks.modules.geometry:GeometryModule"
PIPELINES = sorted(path.stem for path in shipped("pipelines").glob("*.toml"))


def registry_with(folder: Path, **files: str) -> Registry:
    """The shipped registry and, from `folder`, one file per family."""
    for family, text in files.items():
        (folder / f"{family}.toml").write_text(text)
    return Registry.load([folder])


def module(options: str, title: str = "Mine", name: str = "mine") -> str:
    return (
        f'[{name}]\ntitle = "{title}"\nslot = "geometry"\n'
        f'target = "{GM}"\noptions = {{ {options} }}\n'
    )


FAMILY = module("hidden = 0.25, out = 0.5", name="many") + 'member = "product"\nexample = "outer"\n'


def odn(registry: Registry, *overrides: str) -> TrialSpec:
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=["variant=odn", *overrides])
    return spec


def test_a_module_of_ones_own_stands_in_the_network_without_a_line_of_code(
    tmp_path: Path,
) -> None:
    registry = registry_with(
        tmp_path, modules=module('product = "hadamard", hidden = 0.5, out = 0.25')
    )
    spec = odn(
        registry, "geometry=mine", "backbone=resnet18-slim", "pretrained=none", "input_size=64"
    )
    network = build_network(spec, registry, landmarks=29)
    assert network.get_submodule("geometry").out_channels == 32  # a quarter of 128


def test_an_entry_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "variants").mkdir()
    (tmp_path / "variants" / "mine.toml").write_text('title = "Mine"\nchanges = {}\n')
    assert Registry.load([tmp_path]).get(Variant, "mine").title == "Mine"


def test_of_two_folders_the_later_decides(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        (folder / "variants.toml").write_text(f'[mine]\ntitle = "{folder.name}"\nchanges = {{}}\n')
    assert Registry.load(folders).get(Variant, "mine").title == "second"
    assert Registry.load(folders[::-1]).get(Variant, "mine").title == "first"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"absent is not there"):
        Registry.load([tmp_path / "absent"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[mine\n", "line 1"),
        ('[mine]\ntitle = "Mine"\n', "mine: missing key 'target'"),
        (module("").replace("slot", "slto"), "mine: unknown key 'slto'; did you mean 'slot'?"),
        (module("").replace('"Mine"', "3"), "mine: title: expected a text, got 3"),
        ("mine = 3\n", "mine"),
        (module("").replace('"geometry"', '"geometri"'), "did you mean 'geometry'"),
        (module("since = 2026-12-02"), "since is a date or a time, which no key takes"),
        (module("at = [[07:30:00]]"), "at is a date or a time, which no key takes"),
    ],
    ids=[
        "no TOML",
        "missing key",
        "misspelt key",
        "wrong type",
        "no table",
        "unknown slot",
        "date",
        "time",
    ],
)
def test_a_faulty_entry_is_told_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(OdnbenchError) as caught:
        registry_with(tmp_path, modules=text)
    assert told in str(caught.value)
    assert str(tmp_path / "modules.toml") in str(caught.value)


@pytest.mark.parametrize(
    "flip", ["[1, 0]", "[1, 2, 0]", "[0, 0, 2]"], ids=["too short", "no involution", "twice"]
)
def test_a_scheme_whose_flip_is_no_mirror_image_is_told(tmp_path: Path, flip: str) -> None:
    text = (
        f'[mine]\ntitle = "Mine"\npoints = 3\nflip = {flip}\n'
        "eye_corners = [0, 1]\npupils = [[0], [1]]\ncomponents = {}\n"
    )
    with pytest.raises(OdnbenchError, match="flip"):
        registry_with(tmp_path, schemes=text)


@pytest.mark.parametrize(
    "target", ["no_such_package:f", "odnbench.losses.wing:wang", "odnbench.losses.wing", ""]
)
def test_a_target_that_cannot_be_imported_is_told(target: str) -> None:
    with pytest.raises(OdnbenchError, match="cannot be imported"):
        import_target(target)


def test_options_that_a_target_does_not_take_are_told_with_the_entry(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, modules=module('produkt = "matmul"'))
    with pytest.raises(OdnbenchError, match=r"mine.*produkt"):
        registry.build(Module, "mine", in_channels=8)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(OdnbenchError, match="unknown backbone 'resnet81'; did you mean 'resnet18'"):
        SHIPPED.get(Backbone, "resnet81")


def test_an_entry_with_members_stands_for_each_of_them(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, modules=FAMILY)
    member = registry.get(Module, "many:matmul")
    assert member.name == "many:matmul"
    assert member.options == {"hidden": 0.25, "out": 0.5, "product": "matmul"}
    built = registry.build(Module, "many:matmul", in_channels=8)
    alone = registry_with(tmp_path, modules=module('product = "matmul", hidden = 0.25, out = 0.5'))
    assert str(built) == str(alone.build(Module, "mine", in_channels=8))
    with pytest.raises(OdnbenchError, match=r"'many' stands for many; name one.*as many:outer"):
        registry.build(Module, "many", in_channels=8)
    assert check_entry(registry, "modules", "many") == ""
    with pytest.raises(OdnbenchError, match="unknown module 'gm:matmul'"):
        registry.get(Module, "gm:matmul")  # which has no members
    with pytest.raises(OdnbenchError, match="member and example must be given together"):
        registry_with(tmp_path, modules=FAMILY.replace('example = "outer"', ""))


def test_members_have_ids_and_titles_of_their_own_and_are_no_choice_of_a_search(
    tmp_path: Path,
) -> None:
    specs = [odn(SHIPPED, f"backbone=timm:{name}", "pretrained=none") for name in ("a", "b")]
    assert len({trial_id(spec, SHIPPED, "faces") for spec in specs}) == 2
    assert trial_titles(specs, SHIPPED) == [
        "BRNet+GM+LM+DM (ODN), backbone timm:a", "BRNet+GM+LM+DM (ODN), backbone timm:b",
    ]  # fmt: skip
    space = space_of(Search(space="weights", parameters=("backbone",)), SHIPPED)
    assert "timm" not in space.parameters["model.backbone"].choices


def test_what_makes_an_entry_a_family_is_no_part_of_an_id(tmp_path: Path) -> None:
    ids = set()
    for example in ("outer", "matmul"):
        registry = registry_with(tmp_path, modules=FAMILY.replace('"outer"', f'"{example}"'))
        ids.add(trial_id(odn(registry, "geometry=many:matmul"), registry, "faces"))
    assert len(ids) == 1


def test_an_entry_of_other_content_moves_the_content_id_and_its_title_does_not(
    tmp_path: Path,
) -> None:
    def identity(name: str, text: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        registry = registry_with(folder, modules=text)
        return trial_id(odn(registry, "geometry=mine"), registry, "faces")

    narrow = 'product = "matmul", hidden = 0.25, out = 0.5'
    first = identity("a", module(narrow))
    assert identity("b", module(narrow, title="Another title")) == first
    assert identity("c", module(narrow.replace("0.25", "0.5"))) != first


def test_faces_and_protocol_move_the_content_id(tmp_path: Path) -> None:
    first = trial_id(odn(SHIPPED), SHIPPED, "faces")
    assert trial_id(odn(SHIPPED), SHIPPED, "other faces") != first
    text = (shipped("registry") / "protocols.toml").read_text()
    other = registry_with(tmp_path, protocols=text.replace("inter-ocular", "inter-pupil"))
    assert trial_id(odn(other), other, "faces") != first


def test_a_weights_file_that_is_not_there_is_told_before_anything_runs(tmp_path: Path) -> None:
    spec = odn(SHIPPED, f"pretrained={tmp_path / 'absent.npz'}")
    with pytest.raises(OdnbenchError, match=r"absent\.npz is not there"):
        trial_id(spec, SHIPPED, "faces")


def test_every_module_is_for_a_slot_of_the_model() -> None:
    slots = {entry.slot for entry in SHIPPED.all(Module).values()}
    assert slots == {"geometry", "distillation", "low_rank"}
    assert NONE not in SHIPPED.all(Module)


def test_every_unit_and_scheme_that_an_entry_names_exists() -> None:
    assert {c.unit for c in SHIPPED.all(Criterion).values()} <= {"", "crop", "pixels"}
    for kind in (Dataset, Protocol):
        for entry in SHIPPED.all(kind).values():
            SHIPPED.get(Scheme, entry.scheme)
    for protocol in SHIPPED.all(Protocol).values():
        SHIPPED.get(BoxRule, protocol.box)


def test_splits_of_300w_have_the_official_numbers_of_faces() -> None:
    dataset = SHIPPED.get(Dataset, "300w")
    faces = {split: dataset.split(split).faces for split in dataset.splits}
    assert faces == {
        "train": 3148, "common": 554, "challenging": 135, "full": 689, "private": 600,
    }  # fmt: skip


def test_splits_join_by_plus_and_count_each_part_once() -> None:
    dataset = SHIPPED.get(Dataset, "300w")
    joined = dataset.split("common+helen-test+ibug")
    assert joined.parts == ("helen-test", "lfpw-test", "ibug")
    assert joined.faces == 689


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wflw/pose+blur", "only whole splits can be joined"),
        ("wflw/pse", "did you mean 'pose'"),
        ("wfwl/pose", "did you mean 'wflw'"),
        ("wflw", "names no split; choose one of wflw/pose"),
        ("300w/common+", "unknown split of 300w ''"),
    ],
)
def test_a_split_that_is_not_there_is_told(name: str, told: str) -> None:
    with pytest.raises(OdnbenchError, match=told):
        SHIPPED.split(name)


def test_subsets_of_the_test_sets_have_the_published_numbers_of_faces() -> None:
    wflw = SHIPPED.get(Dataset, "wflw")
    assert [wflw.split(name).faces for name in wflw.splits] == [326, 314, 698, 206, 736, 773]
    aflw = SHIPPED.get(Dataset, "aflw")
    counts = {name: aflw.split(name).faces for name in ("train", "full", "frontal")}
    assert counts == {"train": 20000, "full": 4386, "frontal": 1314}


@pytest.mark.parametrize("name", sorted(SHIPPED.all(Scheme)))
def test_components_name_each_landmark_once(name: str) -> None:
    scheme = SHIPPED.get(Scheme, name)
    named = sorted(index for part in scheme.components.values() for index in part)
    assert named == list(range(scheme.points))
    for part in scheme.components.values():  # a mirrored mouth is a mouth
        assert {scheme.flip[index] for index in part} == set(part)


def test_flips_of_29_and_19_points_are_those_of_the_field() -> None:
    field = {  # counted from 1, as published
        "29": "2 1 4 3 7 8 5 6 10 9 12 11 15 16 13 14 18 17 20 19 21 22 24 23 25 26 27 28 29",
        "19": "6 5 4 3 2 1 12 11 10 9 8 7 15 14 13 18 17 16 19",
    }
    for name, text in field.items():
        assert SHIPPED.get(Scheme, name).flip == tuple(int(word) - 1 for word in text.split())


@pytest.mark.parametrize("name", PIPELINES)
def test_shipped_pipelines_name_only_what_there_is(name: str) -> None:
    pipeline = load_pipeline(name)
    for column in pipeline.columns:
        SHIPPED.split(column)
    if pipeline.search is not None:
        assert space_of(pipeline.search, SHIPPED).parameters
    trained = resolve(pipeline, SHIPPED)
    assert (
        len(
            Reference(resolved_reference(pipeline.reference, trained, SHIPPED), SHIPPED).rows(
                trained
            )
        )
        == 1
    )


@pytest.mark.parametrize("name", ["a.b", "a=b", "", "a,b", "a b"])
def test_a_slot_or_an_effect_whose_name_cannot_be_a_key_is_told(tmp_path: Path, name: str) -> None:
    slot = f'["{name}"]\ntitle = "Mine"\nplace = "branch"\n'
    effect = f'["{name}"]\ntitle = "Mine"\ntarget = "mine:effect"\nreference = 0.5\n'
    for family, text in (("slots", slot), ("augmentations", effect)):
        (tmp_path / family).mkdir()
        with pytest.raises(OdnbenchError, match=rf"{family}\.toml: .* becomes a key of trials"):
            registry_with(tmp_path / family, **{family: text})


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('reference = "ond"', "did you mean 'odn'"),
        ('columns = ["300w/comon"]', "did you mean 'common'"),
        ('rendered = "lptop"', "did you mean 'laptop'"),
        ('[search]\nparameters = ["gama"]\ntrials = 3', "did you mean 'loss.gamma'"),
        ("[base]\nema = 0.5\ntrain.ema = 0.9", r"\[base\]: train\.ema is set twice"),
        ("[axes]\nmine = [{ variant = 'odn', ema = 0.5, train.ema = 0.9 }]", "mine: .* twice"),
        ("[axes]\nseed = 3", "axes.*seed"),
        ('[axes]\nvariant = "odn"', "axes.*variant"),
        ("[axes]\nvariant = []", "axes.*variant"),
    ],
)
def test_a_pipeline_that_names_what_is_not_there_is_told_before_it_runs(
    tmp_path: Path, lines: str, told: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'title = "Mine"\n{lines}\n')
    with pytest.raises(OdnbenchError, match=told):
        resolve(load_pipeline(str(path)), SHIPPED)
