"""Registry, pipelines, overrides: names and types are checked, and the later decides."""

import dataclasses
from pathlib import Path

import pytest

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import from_mapping, get_at, to_mapping
from odnbench.plan.entries import (
    Augmentation,
    Buildable,
    Head,
    LossWeight,
    Published,
    PublishedRow,
    Slot,
    Variant,
)
from odnbench.plan.ids import canonical_json, content_id, trial_id
from odnbench.plan.pipelines import Pipeline, load_pipeline, overruled, resolve, spec_fields
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import FAMILIES, Registry, import_target
from odnbench.plan.searches import Search
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import TrialSpec

REGISTRY = Registry.load()
PIPELINES = sorted(path.stem for path in shipped("pipelines").glob("*.toml"))


def one(*overrides: str) -> TrialSpec:
    (spec,) = resolve(
        load_pipeline("ablation"), REGISTRY, overrides=["variant=odn", "seed=0", *overrides]
    )
    return spec


@pytest.mark.parametrize("rendered", [True, False])
@pytest.mark.parametrize("name", PIPELINES)
def test_every_shipped_pipeline_resolves(name: str, rendered: bool) -> None:
    assert resolve(load_pipeline(name), REGISTRY, rendered=rendered)


def test_every_target_of_the_registry_can_be_imported() -> None:
    for kind in FAMILIES.values():
        for entry in REGISTRY.all(kind).values():
            if isinstance(entry, Buildable):
                assert callable(import_target(entry.target))


def test_the_ablation_has_the_full_factorial_and_the_variant_without_l1() -> None:
    trials = resolve(load_pipeline("ablation"), REGISTRY)
    built = {
        tuple(t.model.module(slot) for slot in REGISTRY.all(Slot))
        for t in trials
        if t.variant != "mean-shape"
    }
    assert len(built) == 8
    assert [t.variant for t in trials if t.loss.eta == 0] == ["odn-without-l1"]


def test_the_papers_weights_are_the_defaults() -> None:
    loss = one().loss
    assert (loss.alpha, loss.gamma, loss.lambda_) == (1e-5, 1e-5, 1e-5)
    assert (loss.beta, loss.eta) == (1e-6, 1e-6)
    assert loss.zeta == 0  # the paper does not have it
    for weight in REGISTRY.all(LossWeight).values():
        assert weight.low < (weight.default or weight.high / 2) < weight.high


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.epochs=3", "train.epochs", 3),
        ("epochs=3", "train.epochs", 3),
        ("learning_rate=1e-2", "train.learning_rate", 0.01),
        ("loss.lambda=0", "loss.lambda", 0.0),
        ("lambda=1", "loss.lambda", 1.0),
        ("criterion=l1", "loss.criterion", "l1"),
        ("test=300w/common,300w/ibug", "data.test", ("300w/common", "300w/ibug")),
    ],
)
def test_an_override_sets_its_field(text: str, key: str, value: object) -> None:
    assert get_at(one(text), key) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epoch=3", "did you mean 'train.epochs'"),
        ("epochs=three", "expected a whole number, got 'three'"),
        ("learning_rate=fast", "expected a number"),
        ("optimizer=adamm", "did you mean 'adam'"),
        ("batch_size=1", "at least 2"),
        ("margin=3", "between 1 and 2"),
        ("validation_fraction=0", "between 0.01 and 0.9"),
        ("data.train=300w/trian", "did you mean 'train'"),
        ("data.train=300v/train", "did you mean '300w'"),
        ("protocol=300w-papr", "did you mean '300w-paper'"),
        ("low_rank=gm", "for the slot geometry"),
    ],
)
def test_a_wrong_override_names_key_rule_and_cure(text: str, told: str) -> None:
    with pytest.raises(OdnbenchError, match=told):
        one(text)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["head=simcc", "criterion=l1"], r"'l1' would do nothing: .* leave loss\.criterion out"),
        (["head=heatmap", "criterion=l1"], "compares maps; choose one of l2, adaptive-wing-maps"),
        (["criterion=adaptive-wing-maps"], "compares maps, but head 'regression' compares points"),
        (["head=heatmap", "unit=pixels"], r"compares none; leave loss\.unit out"),
        (["head=rle", "unit=pixels"], r"compares none; leave loss\.unit out"),
        (["criterion=soft-wing"], r"add -s loss\.unit=pixels"),
        (["head=local", "low_rank=lm"], "takes their map; add -s low_rank=none"),
    ],
)
def test_a_criterion_that_does_not_fit_the_head_is_refused(overrides: list[str], told: str) -> None:
    if "low_rank=lm" not in overrides:
        overrides = ["variant=gm-dm", *overrides]
    with pytest.raises(OdnbenchError, match=told):
        one(*overrides)


@pytest.mark.parametrize("head", REGISTRY.all(Head))
def test_every_head_goes_with_the_default_criterion(head: str) -> None:
    assert one("variant=gm-dm", f"head={head}").loss.criterion == "l2"


def test_a_criterion_on_maps_has_no_unit(tmp_path: Path) -> None:
    (tmp_path / "criteria.toml").write_text(
        '[mine]\ntitle = ""\ntarget = "a:b"\non = ["points", "maps"]\nunit = "pixels"\n'
    )
    with pytest.raises(OdnbenchError, match="maps have no unit, but unit is 'pixels'; leave out"):
        Registry.load([tmp_path])


def test_the_later_decides(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('train.epochs = 5\nmodel.backbone = "resnet34"\n')
    (tmp_path / "mine.toml").write_text(
        'title = "mine"\nrendered = "laptop"\n'
        "[base]\ntrain.epochs = 7\ntrain.batch_size = 9\nloss.eta = 0.5\n"
        '[axes]\nvariant = ["odn", "odn-without-l1", "mean-shape"]\n'
    )
    pipeline = load_pipeline(str(tmp_path / "mine.toml"))

    def first(**options: object) -> TrialSpec:
        return resolve(pipeline, REGISTRY, **options)[0]  # type: ignore[arg-type]

    assert first().train.epochs == 7
    assert first().train.batch_size == 9
    assert first(rendered=True).train.epochs == 12  # pipelines/settings/laptop.toml
    settings = str(tmp_path / "settings.toml")
    assert first(rendered=True, settings=settings).train.epochs == 5
    assert first(rendered=True, settings=settings, overrides=["epochs=3"]).train.epochs == 3
    trials = resolve(pipeline, REGISTRY, overrides=["epochs=3", "eta=0.7"])
    assert [t.loss.eta for t in trials] == [0.7, 0.0, 0.7]  # the variant has the last word
    assert [t.train.epochs for t in trials] == [3, 3, 0]


def test_overriding_an_axis_replaces_it() -> None:
    trials = resolve(
        load_pipeline("ablation"), REGISTRY, overrides=["variant=odn,gm", "seed=3,4,5"]
    )
    assert [(t.variant, t.seed) for t in trials] == [
        (variant, seed) for variant in ("odn", "gm") for seed in (3, 4, 5)
    ]


def test_an_override_of_what_some_points_of_an_axis_set_is_for_the_others() -> None:
    points = [
        {"variant": "odn"},
        {"variant": "odn", "ema": 0.5},
        {"variant": "cut", "model.pretrained": "none"},
    ]
    pipeline = Pipeline(name="mine", title="Mine", axes={"network": points})

    trials = resolve(pipeline, REGISTRY, overrides=["ema=0.9", "pretrained=mine.npz"])

    assert [(t.variant, t.train.ema, t.model.pretrained) for t in trials] == [
        ("odn", 0.9, "mine.npz"),
        ("odn", 0.5, "mine.npz"),
        ("cut", 0.9, "none"),
    ]
    assert overruled(trials, REGISTRY, ["ema=0.9", "pretrained=mine.npz", "variant=odn"]) == [
        "-s train.ema=0.9 does not reach the trials that have their own: 0.5",
        "-s model.pretrained=mine.npz does not reach the trials that have their own: none",
        "-s variant=odn does not reach the trials that have their own: cut",
    ]
    with pytest.raises(OdnbenchError, match=r"-s train\.ema: some points of an axis set it"):
        resolve(pipeline, REGISTRY, overrides=["ema=0,0.9"])
    trials = resolve(pipeline, REGISTRY, overrides=["variant=cut"])
    assert [(t.variant, t.train.ema) for t in trials] == [("cut", 0.0)]


def test_an_override_with_commas_is_an_axis_unless_its_field_takes_them() -> None:
    overrides = ["variant=odn", "ema=0,0.99", "augment.annotation_offset=true,false", "seed=1,2"]
    trials = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    assert [(t.seed, t.train.ema, t.augment.annotation_offset) for t in trials] == [
        (seed, ema, offset)
        for seed in (1, 2) for ema in (0.0, 0.99) for offset in (True, False)
    ]  # fmt: skip
    assert one("test=300w/common,300w/ibug").data.test == ("300w/common", "300w/ibug")
    assert one("pretrained=a,b.npz").model.pretrained == "a,b.npz"
    with pytest.raises(OdnbenchError, match=r"-s train.ema: expected a number, got 'no'"):
        one("ema=0,no")
    with pytest.raises(OdnbenchError, match="did you mean 'dm'"):
        resolve(load_pipeline("ablation"), REGISTRY, overrides=["variant=cut,odm"])


def test_an_unknown_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('titel = "mine"\n')
    with pytest.raises(OdnbenchError, match=r"mine\.toml.*did you mean 'title'"):
        load_pipeline(str(path))
    path.write_text("title = \n")
    with pytest.raises(OdnbenchError, match=r"mine\.toml.*line 1"):
        load_pipeline(str(path))


def test_a_folder_of_ones_own_adds_and_replaces_entries(tmp_path: Path) -> None:
    (tmp_path / "variants.toml").write_text(
        '[mine]\ntitle = "Mine"\nchanges = { "model.geometry" = "gm-outer" }\n'
        '[odn]\ntitle = "ODN, renamed"\nchanges = {}\n'
    )
    registry = Registry.load([tmp_path])
    assert registry.get(Variant, "mine").changes == {"model.geometry": "gm-outer"}
    assert registry.get(Variant, "odn").title == "ODN, renamed"
    assert registry.get(Variant, "brnet") == REGISTRY.get(Variant, "brnet")
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=["variant=mine"])
    assert spec.model.module("geometry") == "gm-outer"


@pytest.mark.parametrize("name", REGISTRY.all(Scheme))
def test_flip_permutations_are_involutions(name: str) -> None:
    scheme = REGISTRY.get(Scheme, name)
    assert sorted(scheme.flip) == list(range(scheme.points)) == list(range(int(name)))
    assert [scheme.flip[scheme.flip[i]] for i in range(scheme.points)] == list(range(scheme.points))
    left, right = scheme.eye_corners
    assert scheme.flip[left] == right
    assert {scheme.flip[i] for i in scheme.pupils[0]} == set(scheme.pupils[1])


def test_the_flip_of_68_points_is_the_one_that_peers_use(shared_data: Path) -> None:
    import json

    path = shared_data / "300w-annotations" / "spiga_300wpublic_db_info.json"
    theirs = json.loads(path.read_text())["ldm_flip_order"]
    assert list(REGISTRY.get(Scheme, "68").flip) == theirs


@pytest.mark.parametrize(
    ("table", "method", "column", "value"),
    [
        ("table1", "DRMF", "full", 9.22),
        ("table1", "PCD-CNN", "common", 3.67),
        ("table1", "ODN", "common", 3.56),
        ("table1", "ODN", "full", 4.17),
        ("table2", "SAN", "challenging", 6.60),
        ("table2", "DSRN", "challenging", 9.68),
        ("table2", "ODN", "challenging", 6.67),
        ("table3", "DAC-OSR", "frontal", 1.81),
        ("table3", "ODN", "full", 1.63),
        ("table4", "BRNet", "challenging", 7.21),
        ("table4", "BRNet+GM+LM+DM (without L1)", "challenging", 6.81),
        ("figure4", "ODN", "test", 92),
    ],
)
def test_published_figures_are_the_papers(
    table: str, method: str, column: str, value: float
) -> None:
    (row,) = [r for r in REGISTRY.get(Published, table).rows if r.method == method]
    assert row.values[column] == value


def test_the_papers_tables_are_whole() -> None:
    sizes = {name: len(table.rows) for name, table in REGISTRY.all(Published).items()}
    papers = {"table1": 11, "table2": 11, "table3": 8, "table4": 6, "figure4": 2}
    assert sizes | papers == sizes


def test_a_figure_states_its_normaliser_where_a_public_source_does_and_nowhere_else() -> None:
    rows = [row for name in ("table1", "table2") for row in REGISTRY.get(Published, name).rows]
    stated = {row.method: row.normaliser for row in rows if row.normaliser}
    assert stated == {
        "CFSS": "inter-pupil",
        "LBF": "inter-pupil",
        "PCD-CNN": "inter-ocular",
        "SBR": "inter-ocular",
        "SAN": "inter-ocular",
        "ODN": "inter-ocular",
    }


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"normaliser": "inter-pupil"}, "mine: normaliser and normaliser_source must be given"),
        ({"normaliser_source": "a table"}, "got '' and 'a table'; give both or neither"),
        (
            {"normaliser": "inter-pupils", "normaliser_source": "a table"},
            "unknown value 'inter-pupils'; did you mean 'inter-pupil'",
        ),
    ],
)
def test_a_normaliser_without_a_source_and_one_that_is_unknown_are_refused(
    stated: dict[str, str], told: str
) -> None:
    row = {"method": "mine", "year": 2019, "values": {"full": 1.0}}
    from_mapping(PublishedRow, row, "table")
    with pytest.raises(OdnbenchError, match=told):
        from_mapping(PublishedRow, row | stated, "table")


def test_a_spec_survives_the_way_through_json() -> None:
    spec = one("lambda=0.25", "test=300w/ibug")
    assert from_mapping(TrialSpec, to_mapping(spec), "json") == spec


CHANGED = {
    "model.backbone": "resnet34", "model.pretrained": "none", "model.attach": "layer3",
    "model.head": "rle",
    "model.geometry": "gm-outer", "model.distillation": "none", "model.low_rank": "none",
    "loss.criterion": "l1", "loss.unit": "pixels", "data.train": "300w/afw",
    "data.test": "300w/ibug", "data.input_size": "96", "train.optimizer": "sgd",
    "train.schedule": "cosine", "train.precision": "bf16", "train.select": "last",
    "augment.scale": "0.2", "augment.translation": "0.2", "augment.flip": "0.2",
    "data.margin": "1.5", "data.validation_fraction": "0.2", "data.train_fraction": "0.5",
    "train.compile": "default",
    "data.pasted_test": "false", "augment.annotation_offset": "false", "augment.occluders": "0.5",
    "augment.strength": "0.5", "augment.aspect": "0.2",
    **{f"augment.{effect}": "0.5" for effect in REGISTRY.all(Augmentation)},
    "data.flip_test": "true", "train.ema": "0.9", "train.warmup_epochs": "2",
}  # fmt: skip
# What a field needs beside it.
NEEDS = {"loss.zeta": ["occluders=0.5"], "train.warmup_epochs": ["schedule=cosine"]}


NOT_HERE = ("variant", "data.protocol")


@pytest.mark.parametrize("key", [k for k in spec_fields(REGISTRY) if k not in NOT_HERE])
def test_every_field_of_a_spec_moves_its_content_id(key: str) -> None:
    others = NEEDS.get(key, [])
    changed = one(f"{key}={CHANGED.get(key, '17')}", *others)
    assert content_id(changed) != content_id(one(*others))


def test_a_weight_on_masks_needs_occluders_that_are_pasted() -> None:
    with pytest.raises(OdnbenchError, match=r"loss\.zeta 0\.5 .* add -s occluders=0\.5"):
        one("zeta=0.5")
    assert one("occluders=0.5", "zeta=0.5").loss.zeta == 0.5


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["variant=brnet", "attach=stride-16"], ["attach=stride-16", "'brnet'", "'whole'"]),
        (["variant=odn,brnet", "attach=stride-16"], ["attach=stride-16", "'brnet'"]),
        (["variant=odn-without-l1", "eta=1e-3"], ["loss.eta", "'odn-without-l1'", "0.0"]),
        (["variant=brnet,lm", "geometry=gm-outer"], ["model.geometry", "'lm'", "'none'"]),
        (["variant=mean-shape", "epochs=3"], ["train.epochs=3", "'mean-shape'"]),
    ],
)
def test_an_override_that_a_variant_contradicts_is_refused(
    overrides: list[str], told: list[str]
) -> None:
    with pytest.raises(OdnbenchError) as caught:
        resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    assert all(text in str(caught.value) for text in told), caught.value


def test_an_override_reaches_the_variants_that_have_what_it_changes_and_the_others_are_told() -> (
    None
):
    overrides = ["variant=mean-shape,brnet,odn", "geometry=gm-outer", "epochs=3"]
    specs = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    assert [s.model.module("geometry") for s in specs] == ["gm-outer", "none", "gm-outer"]
    assert [s.train.epochs for s in specs] == [0, 3, 3]
    assert overruled(specs, REGISTRY, overrides) == [
        "-s model.geometry=gm-outer does not reach what is defined without it: brnet (none)",
        "-s train.epochs=3 does not reach what is defined without it: mean-shape (0)",
    ]


def test_an_axis_that_a_variant_contradicts_is_refused() -> None:
    pipeline = dataclasses.replace(
        load_pipeline("ablation"),
        axes={"variant": ["odn", "brnet"], "model.attach": ["stride-16", "stride-32"]},
    )
    with pytest.raises(OdnbenchError, match=r"'brnet'.*'whole'"):
        resolve(pipeline, REGISTRY)


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == '{"a":{"c":3,"d":2},"b":1}'


def test_a_weights_file_enters_the_content_id_by_its_content(tmp_path: Path) -> None:
    for name, content in (("a.npz", b"1"), ("b.npz", b"1"), ("c.npz", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (
        trial_id(one(f"model.pretrained={tmp_path / name}"), REGISTRY, "faces")
        for name in ("a.npz", "b.npz", "c.npz")
    )
    assert a == b != c


def test_a_search_over_the_weight_of_masks_needs_occluders(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "mine"\n[axes]\nvariant = ["odn"]\n'
        '[search]\nparameters = ["eta", "zeta"]\ntrials = 3\n'
    )
    pipeline = load_pipeline(str(tmp_path / "mine.toml"))
    with pytest.raises(OdnbenchError, match=r"add -s occluders=0\.5"):
        resolve(pipeline, REGISTRY)
    (spec,) = resolve(pipeline, REGISTRY, overrides=["occluders=0.5"])
    assert spec.loss.zeta == 0


MAPS_AND_POINTS = """
head = { choices = ["regression", "heatmap"] }
criterion = { choices = ["l2", "l1"] }
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            MAPS_AND_POINTS,
            r"model\.head and loss\.criterion: .*compares points, but head 'heatmap'",
        ),
        (
            "head = {choices = ['local', 'regression']}\nlow_rank = {choices = ['none', 'lm']}",
            r"model\.head and model\.low_rank: .*takes their map",
        ),
        (
            "zeta = {low = 1.0, high = 9.0}\noccluders = {low = 0.0, high = 1.0}",
            r"loss\.zeta: .*masks of pasted occluders",
        ),
        (
            "warmup_epochs = {low = 0.0, high = 2.0}\nepochs = {low = 1, high = 9}",
            r"train\.warmup_epochs and train\.epochs: .*below train\.epochs \(1\), got 2",
        ),
    ],
)
def test_two_values_of_a_space_that_do_not_fit_each_other_are_told_before_a_search(
    tmp_path: Path, lines: str, told: str
) -> None:
    (tmp_path / "space.toml").write_text(f'title = "Mine"\n[parameters]\n{lines}\n')
    search = Search(space=str(tmp_path / "space.toml"))
    base = {"low_rank": "none", "schedule": "cosine"}
    pipeline = Pipeline(name="mine", title="Mine", base=base, search=search)
    with pytest.raises(OdnbenchError, match=told):
        resolve(pipeline, REGISTRY)


def test_two_values_that_a_condition_keeps_apart_are_no_fault(tmp_path: Path) -> None:
    lines = MAPS_AND_POINTS.replace('"l1"]', '"l1"], when = { head = ["regression"] }')
    # Whose condition has a condition: with the head of maps it is never varied.
    lines += 'unit = { choices = ["crop", "pixels"], when = { criterion = ["l1"] } }'
    (tmp_path / "space.toml").write_text(f'title = "Mine"\n[parameters]\n{lines}\n')
    search = Search(space=str(tmp_path / "space.toml"))
    assert resolve(Pipeline("mine", "Mine", base={"low_rank": "none"}, search=search), REGISTRY)


def test_an_override_of_an_axis_of_lists_is_one_list() -> None:
    axes = {"test": [["300w/common"], ["300w/challenging"]]}
    pipeline = Pipeline(name="mine", title="Mine", axes=axes)
    (spec,) = resolve(pipeline, REGISTRY, overrides=["test=300w/common,300w/challenging"])
    assert spec.data.test == ("300w/common", "300w/challenging")
