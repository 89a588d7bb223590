"""Every shipped entry keeps the contract of its family; what breaks a contract is explained."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from odnbench.datasets.archives.w300 import W300
from odnbench.datasets.faces import Face
from odnbench.errors import OdnbenchError
from odnbench.metrics.summaries import FaceErrors
from odnbench.networks.heads.regression import Regression
from odnbench.plan.entries import Augmentation, Dataset, Format, Head, Metric, Module, Slot, Variant
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import FAMILIES, Registry
from odnbench.reports.report import Report
from odnbench.testing import check_added, check_entry, check_registry
from odnbench.testing.contracts import CONTRACTS

REGISTRY = Registry.load()
HERE = __name__
ENTRIES = list(REGISTRY.origins)


SMALL = ("resnet18-slim", "mobilenet-v3-small", "timm")  # other backbones take seconds each


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(
            *e, marks=[pytest.mark.slow] if e[0] == "backbones" and e[1] not in SMALL else []
        )
        for e in ENTRIES
    ],
    ids=[f"{family}-{name}" for family, name in ENTRIES],
)
def test_every_shipped_entry_keeps_the_contract_of_its_family(family: str, name: str) -> None:
    assert check_entry(REGISTRY, family, name) == ""


def test_every_family_has_a_contract() -> None:
    assert CONTRACTS.keys() == FAMILIES.keys()


def fault_of(family: str, entry: Any, **others: Mapping[str, Any]) -> str:
    """What is told of `entry` in a registry that holds it beside the shipped ones and `others`."""
    entries = {name: {**held, **others.get(name, {})} for name, held in REGISTRY.entries.items()}
    entries[family][entry.name] = entry
    with pytest.raises(OdnbenchError) as caught:
        check_entry(Registry(entries), family, entry.name)
    told = str(caught.value)
    assert told.startswith(f"{family} '{entry.name}': ")
    assert "\n" not in told
    return told


class Gate(nn.Module):
    """A module that keeps its contract."""

    def __init__(self, in_channels: int, **_: Any):
        super().__init__()
        self.out_channels = in_channels
        self.convolution = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, Z: Tensor) -> Any:
        return self.convolution(Z)


class Sizeless(Gate):
    def __init__(self, in_channels: int):
        super().__init__(in_channels)
        del self.out_channels


class Narrower(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z)[:, 1:]


class Smaller(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z)[..., 1:]


class Detached(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z.detach())


class Idle(Gate):
    def __init__(self, in_channels: int):
        super().__init__(in_channels)
        self.idle = nn.Parameter(torch.zeros(1))


class Unbounded(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z), Z[:, :1] * 10


class Rounded(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z), Z[:, :1].sigmoid()


class Raises(Gate):
    def forward(self, Z: Tensor) -> Any:
        return super().forward(Z).reshape(3, -1)


class Optional(Gate):
    def __init__(self, in_channels: int, *, width: int):
        super().__init__(in_channels)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Sizeless, "Sizeless must have an attribute out_channels, a whole number above 0"),
        (Narrower, "(B, out_channels, h, w), here (2, 8, 5, 5), got (2, 7, 5, 5)"),
        (Smaller, "(B, out_channels, h, w), here (2, 8, 5, 5), got (2, 8, 5, 4)"),
        (Detached, "its input gets no gradient"),
        (Idle, "its parameter idle gets no gradient; use it in forward"),
        (Unbounded, "its occlusion map must be between 0 and 1"),
        (Rounded, "under bf16 it is bfloat16: make it inside odnbench.networks.precision"),
        (Raises, "RuntimeError: shape '[3, -1]' is invalid"),
        (Optional, "unknown option 'widht'; did you mean 'width'?"),
        (None, "cannot be imported"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_module_that_breaks_its_contract_is_explained(target: type | None, told: str) -> None:
    options = {"widht": 3} if target is Optional else {}
    name = "absent" if target is None else target.__name__
    module = Module("mine", "", f"{HERE}:{name}", options, slot="distillation")
    assert told in fault_of("modules", module)


def test_a_module_of_the_trunk_gives_no_occlusion_map() -> None:
    slot = Slot("mine", "", "trunk")
    module = Module("mine", "", f"{HERE}:Unbounded", slot="mine")
    told = fault_of("modules", module, slots={"mine": slot})
    assert "must be a tensor, got tuple" in told


@pytest.mark.parametrize("name", ["head", "backbone", "regression", "forward"])
def test_a_slot_has_a_name_of_its_own(name: str) -> None:
    assert f"the name '{name}' is" in fault_of("slots", Slot(name, "", "branch"))


class Coarse(nn.Module):
    """Tells another stride than it has, or than its word asks for."""

    def __init__(self, attach: str, pretrained: str, *, told: int, true: int, known: list[str]):
        super().__init__()
        if attach not in known:
            raise ValueError(f"no layer '{attach}'")
        self.out_channels, self.stride = 4, told
        self.convolution = nn.Conv2d(3, 4, true, stride=true)

    def forward(self, images: Tensor) -> Tensor:
        Z: Tensor = self.convolution(images)
        return Z


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"told": 8, "true": 16, "known": ["whole"]}, "here (2, 4, 8, 12), got (2, 4, 4, 6)"),
        ({"told": 16, "true": 16, "known": ["stride-8"]}, "its stride must be 8, got 16"),
        ({"told": 8, "true": 8, "known": []}, "must know one of whole, last-unit, stride-8"),
        ({"told": 0, "true": 8, "known": ["whole"]}, "an attribute stride, a whole number above 0"),
        ({"true": 8, "known": ["whole"]}, "missing a required argument: 'told'"),
    ],
)
def test_a_backbone_that_breaks_its_contract_is_explained(
    options: Mapping[str, Any], told: str
) -> None:
    entry = dataclasses.replace(
        next(iter(REGISTRY.entries["backbones"].values())),
        name="mine",
        target=f"{HERE}:Coarse",
        options=options,
        layers={},
    )
    assert told in fault_of("backbones", entry)


def test_a_backbone_need_not_know_every_word_but_each_that_its_layers_name() -> None:
    known = dataclasses.replace(
        REGISTRY.entries["backbones"]["resnet18"],
        name="mine",
        target=f"{HERE}:Coarse",
        options={"told": 8, "true": 8, "known": ["whole"]},
        layers={},
    )
    entries = {**REGISTRY.entries, "backbones": {"mine": known}}
    assert check_entry(Registry(entries), "backbones", "mine") == ""
    promised = dataclasses.replace(known, layers={"last-unit": "layer9"})
    assert "attach = 'layer9': no layer 'layer9'" in fault_of("backbones", promised)


class HalfHead(Regression):
    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        return (mean_shape + output).bfloat16()


class FlatHead(Regression):
    def decode(self, output: Tensor, mean_shape: Tensor) -> Tensor:
        return super().decode(output, mean_shape).flatten(1)


class OneTerm(Regression):
    def data_term(self, output: Any, points: Tensor, true: Tensor, criterion: Any) -> Tensor:
        return super().data_term(output, points, true, criterion).sum()


class NoHead(nn.Linear):
    def __init__(self, in_channels: int, side: int, landmarks: int):
        super().__init__(in_channels, 2 * landmarks)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (HalfHead, "decode must give float32 in trials in bf16 too, got torch.bfloat16"),
        (FlatHead, "decoded points must have the shape (B, L, 2), here (2, 5, 2), got (2, 10)"),
        (OneTerm, "its data term must have the shape (B,), here (2,), got ()"),
        (NoHead, "must return an odnbench.networks.heads.head:LandmarkHead, got NoHead"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_head_that_breaks_its_contract_is_explained(target: type, told: str) -> None:
    assert told in fault_of("heads", Head("mine", "", f"{HERE}:{target.__name__}", takes="vector"))


def negative(predicted: Tensor, true: Tensor) -> Tensor:
    return (predicted - true).sum(dim=(1, 2)) - 10


def away(predicted: Tensor, true: Tensor) -> Tensor:
    return 1 / (1 + (predicted - true).square().sum(dim=(1, 2)))


def mean(predicted: Tensor, true: Tensor) -> Tensor:
    return (predicted - true).square().mean()


def still(predicted: Tensor, true: Tensor) -> Tensor:
    return (predicted != true).float().sum(dim=(1, 2)) + 0 * predicted.sum()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("negative", "must be 0 or more"),
        ("away", "must be smallest where both shapes are equal"),
        ("mean", "must have the shape (B,), here (2,), got ()"),
        ("still", "a finite gradient that is not all 0"),
    ],
)
def test_a_criterion_that_breaks_its_contract_is_explained(name: str, told: str) -> None:
    criterion = dataclasses.replace(REGISTRY.entries["criteria"]["l2"], target=f"{HERE}:{name}")
    assert told in fault_of("criteria", criterion)


def test_an_option_that_a_variants_network_does_not_take_is_explained() -> None:
    variant = Variant("mine", "", {}, options={"depth": 3})
    assert "unexpected keyword argument 'depth'" in fault_of("variants", variant)
    assert "did you mean 'model.geometry'" in fault_of(
        "variants", Variant("mine", "", {"model.geometri": "none"})
    )


def test_a_weight_that_the_objective_does_not_have_is_explained() -> None:
    weight = dataclasses.replace(REGISTRY.entries["weights"]["eta"], name="theta")
    assert "a field of LossSpec" in fault_of("weights", weight)


def ratio(errors: FaceErrors) -> float:
    return float(np.divide(errors.nme[0], errors.nme[-1]))


def listed(errors: FaceErrors) -> Any:
    return errors.nme.tolist()


def spread(errors: FaceErrors) -> float:
    return float(errors.nme.max() - errors.nme.min())


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize(
    ("name", "better", "told"),
    [
        ("ratio", "lower", "must be a finite number, got nan for no error"),
        ("listed", "lower", "must return a number"),
        ("spread", "higher", "better = 'higher', but errors 16 times as large change it from"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_explained(name: str, better: Any, told: str) -> None:
    assert told in fault_of("metrics", Metric("mine", "", f"{HERE}:{name}", unit="", better=better))


def returns_nothing(report: Report, folder: Path) -> None:
    assert report.rows


def writes_elsewhere(report: Report, folder: Path) -> Path:
    return Path(__file__)


def needs_more(report: Report, folder: Path, *, digits: int) -> Path:
    return folder


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("returns_nothing", "must return the path of the file to open first, got None"),
        ("writes_elsewhere", "must return a file that it wrote into `folder`"),
        ("needs_more", "missing a required argument: 'digits'"),
    ],
)
def test_a_format_that_breaks_its_contract_is_explained(name: str, told: str) -> None:
    assert told in fault_of("formats", Format("mine", "", f"{HERE}:{name}"))


class Shifted(W300):
    """Forgets that .pts count pixels from 1."""

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        for face in super().read(part, faults):
            yield dataclasses.replace(face, points=face.points + 1)


def test_a_loader_that_reads_other_points_than_it_wrote_is_explained() -> None:
    dataset = dataclasses.replace(REGISTRY.get(Dataset, "300w"), target=f"{HERE}:Shifted")
    told = fault_of("datasets", dataset)
    assert "points that are 1 pixels off; write must be the inverse of read" in told


def own_scheme(**changes: Any) -> Scheme:
    plain = Scheme("mine", "", 3, (1, 0, 2), (0, 1), ((0,), (1,)), {"mouth": (2,)})
    return dataclasses.replace(plain, **changes)


def test_of_a_scheme_that_cannot_be_drawn_the_loader_is_not_tried_and_that_is_said() -> None:
    dataset = dataclasses.replace(REGISTRY.get(Dataset, "300w"), scheme="mine", protocol="mine")
    protocol = dataclasses.replace(REGISTRY.entries["protocols"]["300w-paper"], scheme="mine")
    entries = {
        **REGISTRY.entries,
        "datasets": {"300w": dataset},
        "schemes": {"mine": own_scheme()},
        "protocols": {"mine": protocol},
    }
    registry = Registry(entries)
    assert "no rendered faces of mine points" in check_entry(registry, "datasets", "300w")
    assert check_entry(registry, "schemes", "mine") == ""
    assert check_entry(registry, "protocols", "mine") == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"flip": (0, 1, 2)}, "flip must exchange the two eye_corners"),
        ({"pupils": ((0,), (2,))}, "flip must exchange the points of the two pupils"),
        ({"components": {"eye": (0,)}}, "points of component eye"),
    ],
)
def test_a_scheme_whose_mirror_image_is_no_face_is_explained(
    changes: Mapping[str, Any], told: str
) -> None:
    assert told in fault_of("schemes", own_scheme(**changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points": ((0,),)}, "points must list the 29 landmarks of scheme 29, got 1"),
        ({"y": {"28": (68,)}}, "landmark 28 is made of [68], but scheme 68 has 68 landmarks"),
        ({"y": {"0": (26,)}}, "landmark 1, the mirror image of 0, must be made of"),
        ({"takes": "67"}, "unknown scheme"),
    ],
)
def test_a_map_that_does_not_fit_its_schemes_is_explained(
    changes: Mapping[str, Any], told: str
) -> None:
    shipped_map = REGISTRY.entries["maps"]["68-to-29"]
    assert told in fault_of("maps", dataclasses.replace(shipped_map, **changes))


def test_a_published_table_names_splits_that_are_there() -> None:
    table = dataclasses.replace(REGISTRY.entries["published"]["table1"], columns=("comon",))
    assert "did you mean 'common'" in fault_of("published", table)


@pytest.mark.parametrize(
    ("document", "told"),
    [("builtins:id", "must return text"), ("builtins:ids", "cannot be imported")],
)
def test_a_format_makes_text_of_a_document(document: str, told: str) -> None:
    markdown = REGISTRY.entries["formats"]["markdown"]
    assert told in fault_of("formats", dataclasses.replace(markdown, document=document))


def test_a_protocol_names_a_box_rule_that_is_there() -> None:
    protocol = dataclasses.replace(REGISTRY.entries["protocols"]["wflw"], box="landmark")
    assert "did you mean 'landmarks'" in fault_of("protocols", protocol)


def variants_in(folder: Path, text: str) -> Registry:
    (folder / "variants.toml").write_text(text)
    return Registry.load([folder])


def test_only_what_was_added_is_checked_and_a_fault_names_its_file(tmp_path: Path) -> None:
    registry = variants_in(
        tmp_path,
        '[mine]\ntitle = "Mine"\nchanges = {}\n'
        '[bad]\ntitle = "Bad"\nchanges = {}\noptions = { x = 1 }\n',
    )
    mine, bad = check_added(registry, [tmp_path])
    assert (mine.family, mine.name, mine.fault) == ("variants", "mine", "")
    assert bad.fault.startswith(f"{tmp_path / 'variants.toml'}: bad: ")
    (again,) = check_registry(registry, [("variants", "bad")])
    assert again == bad


def test_an_entry_that_takes_the_place_of_a_shipped_one_is_named(tmp_path: Path) -> None:
    registry = variants_in(tmp_path, '[odn]\ntitle = "Mine"\nchanges = {}\n')
    (finding,) = check_added(registry, [tmp_path])
    shipped = REGISTRY.origins["variants", "odn"].file
    assert finding.remark == f"takes the place of the one in {shipped}"


def test_a_folder_from_which_nothing_is_read_is_explained(tmp_path: Path) -> None:
    (tmp_path / "module.toml").write_text("")
    with pytest.raises(OdnbenchError, match=r"no entry was read from it; .* backbones, slots"):
        list(check_added(Registry.load([tmp_path]), [tmp_path]))


def test_a_check_leaves_the_random_numbers_of_its_caller_alone() -> None:
    before = torch.get_rng_state()
    check_entry(REGISTRY, "modules", "gm")
    assert torch.equal(torch.get_rng_state(), before)


def smaller(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images[:, :, 1:]


def idle(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images


def writing(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images.mul_(0.5)


def lucky(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images + torch.rand(())


def social(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images - images.mean()


def infinite(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
    return images / 0


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("smaller", "must return pictures (n, 3, s, s), here (3, 3, 32, 32), got (3, 3, 31, 32)"),
        ("idle", "changes nothing"),
        ("writing", "must not write to images"),
        ("lucky", "all that is random must come from `random`"),
        ("social", "must not depend on the others of its batch"),
        ("infinite", "float32 and finite"),
    ],
)
def test_a_fault_of_an_effect_is_told(target: str, told: str) -> None:
    assert told in fault_of(
        "augmentations", Augmentation(target, "", f"{HERE}:{target}", reference=0.3)
    )


def test_an_effect_needs_a_name_of_its_own_and_options_that_it_takes() -> None:
    entry = Augmentation("scale", "", f"{HERE}:idle", reference=0.3)
    assert "the name 'scale' is taken" in fault_of("augmentations", entry)
    wrong = Augmentation("mine", "", f"{HERE}:idle", {"strenght": 1}, reference=0.3)
    assert "unknown option 'strenght'" in fault_of("augmentations", wrong)
