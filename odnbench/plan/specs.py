"""What a trial is: frozen dataclasses, their canonical JSON and the content id.

A `TrialSpec` says everything that decides a trial's numbers and nothing else: no worker, device or
tracking server; a weights file enters the content id by its content. Loss weights have their
defaults in registry/weights.toml, everything else here; pipelines state only differences.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import public_name, to_mapping

ENGINE_VERSION = 3  # part of every content id: raise it whenever the same spec gives other numbers


@dataclass(frozen=True)
class ModelSpec:
    """The network. Names are those of registry/; a slot that is "none" is left out."""

    backbone: str = "resnet18"
    pretrained: str = "imagenet"  # "none", "imagenet" (torchvision's), or a local weights file
    attach: str = "layer4.0"  # where Z leaves the backbone: "layer3", "layer4.0", "layer4", …
    geometry: str = "gm"
    distillation: str = "dm"
    low_rank: str = "lm"


@dataclass(frozen=True)
class LossSpec:
    """Eq. (3): data term and the weights of its five penalties.

    `unit` is the unit of the shapes in the data term, on which the balance of all weights hangs and
    which the paper leaves open: "crop" spans [-1, 1] over the crop, "pixels" are pixels of the
    crop.
    """

    alpha: float
    beta: float
    gamma: float
    lambda_: float
    eta: float
    criterion: str = "l2"
    unit: Literal["crop", "pixels"] = "crop"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma", "lambda_", "eta"):
            bound("loss", self, name, 0)


@dataclass(frozen=True)
class DataSpec:
    """Faces to train on and to test on, as `dataset/split` of registry/datasets.toml."""

    train: str = "300w/train"
    test: tuple[str, ...] = ("300w/common", "300w/challenging")
    protocol: str = "300w-paper"
    input_size: int = 224
    margin: float = 1.25  # side of the stored picture over that of the crop: room for augmentation
    validation_fraction: float = 0.1
    rendered_train: int = 3148  # faces drawn where the data set is not on the machine
    rendered_test: int = 400  # per test split

    def __post_init__(self) -> None:
        if self.input_size < 32 or self.input_size % 32:
            low = max(32, self.input_size // 32 * 32)
            raise OdnbenchError(
                f"data.input_size must be a multiple of 32, got {self.input_size}; "
                f"try {low} or {low + 32}"
            )
        if not self.test:
            raise OdnbenchError("data.test must name at least one split, as 300w/common")
        bound("data", self, "margin", 1, 2)
        bound("data", self, "validation_fraction", 0.01, 0.9)
        bound("data", self, "rendered_train", 10)
        bound("data", self, "rendered_test", 1)

    @property
    def stored_size(self) -> int:
        """Side of a prepared picture, in pixels; even, so that the crop sits at its exact
        centre.
        """
        return 2 * round(self.input_size * self.margin / 2)


@dataclass(frozen=True)
class AugmentSpec:
    """Random similarity transform of each training crop, drawn anew in each epoch."""

    rotation_deg: float = 30.0  # uniform in ±
    scale: float = 0.15  # uniform in 1 ±
    translation: float = 0.06  # uniform in ±, as a share of the crop's side
    flip: float = 0.5  # probability

    def __post_init__(self) -> None:
        bound("augment", self, "rotation_deg", 0, 180)
        bound("augment", self, "scale", 0, 0.9)
        bound("augment", self, "translation", 0, 0.5)
        bound("augment", self, "flip", 0, 1)


@dataclass(frozen=True)
class TrainSpec:
    """How the objective is minimised. The paper gives none of this."""

    epochs: int = 60
    batch_size: int = 32
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    precision: Literal["auto", "float32", "bf16"] = (
        "auto"  # "auto": bf16 where the processor has it
    )
    select: Literal["validation", "last", "test"] = "validation"  # which epoch's weights are kept
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = (
        "none"  # mode of torch.compile; the last two use CUDA graphs
    )

    def __post_init__(self) -> None:
        bound("train", self, "epochs", 0)
        bound("train", self, "batch_size", 2)
        bound("train", self, "learning_rate", 1e-12)


@dataclass(frozen=True)
class TrialSpec:
    """One trial: a variant with all that decides its numbers."""

    loss: LossSpec
    variant: str = "odn"
    seed: int = 0
    model: ModelSpec = field(default_factory=ModelSpec)
    data: DataSpec = field(default_factory=DataSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    train: TrainSpec = field(default_factory=TrainSpec)

    def __post_init__(self) -> None:
        bound("trial", self, "seed", 0, 2**63 - 1)


@dataclass(frozen=True)
class Scheme:
    """A point scheme: how many landmarks, and which of them mean what (all indices 0-based)."""

    name: str
    title: str
    points: int
    flip: tuple[int, ...]  # landmark i of a mirrored face is landmark flip[i] of the face
    eye_corners: tuple[int, int]  # outer ones
    pupils: tuple[tuple[int, ...], tuple[int, ...]]  # landmarks whose mean is the pupil
    components: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        used = [*self.eye_corners, *sum(self.pupils, ()), *sum(self.components.values(), ())]
        if any(not 0 <= point < self.points for point in used):
            raise OdnbenchError(
                f"eye_corners, pupils and components must name points from 0 to {self.points - 1}"
            )
        if (
            not len(self.flip) == self.points > 0
            or sorted(self.flip) != list(range(self.points))
            or any(self.flip[j] != i for i, j in enumerate(self.flip))
        ):
            raise OdnbenchError(
                f"flip must list the mirror image of each of the {self.points} points, "
                "so that applied twice it changes nothing"
            )


@dataclass(frozen=True)
class BoxRule:
    """Which part of a picture the network sees."""

    name: str
    title: str
    source: Literal["landmarks", "annotated", "detector"]  # "landmarks": their tight box
    shape: Literal["square", "stretched"]  # square: the box's longer side; stretched: both sides
    factor: float  # side of the crop over that of the box

    def __post_init__(self) -> None:
        bound("box rule", self, "factor", 0.1, 10)

    def describe(self) -> str:
        """One line that says what the crop is."""
        whose = "the landmarks' tight box" if self.source == "landmarks" else f"{self.source} box"
        return f"{self.shape} crop, {self.factor:g} × {whose}"


@dataclass(frozen=True)
class Protocol:
    """How errors become a number. A number never travels without it."""

    name: str
    title: str
    scheme: str
    normaliser: Literal["inter-ocular", "inter-pupil", "box-width", "box-area", "box-diagonal"]
    visibility: Literal["all", "visible", "occluded"]
    averaging: Literal["face", "point"]  # mean over faces of their means, or over all points
    box: str  # box rule of registry/boxes.toml
    thresholds_percent: tuple[
        float, ...
    ]  # of FR@t and AUC@t, in percent of NME; the main one first
    error: Literal["mean-distance", "shape-norm"] = (
        "mean-distance"  # the latter: Eq. (10) literally
    )

    def __post_init__(self) -> None:
        if not self.thresholds_percent or not all(0 < t <= 100 for t in self.thresholds_percent):
            raise OdnbenchError(
                "thresholds_percent must name at least one threshold, each above 0 and at most "
                f"100, as [8.0]; got {list(self.thresholds_percent)}"
            )

    @property
    def failure_percent(self) -> float:
        """The main threshold of FR and AUC."""
        return self.thresholds_percent[0]

    def describe(self) -> str:
        """One line that says how the number was made."""
        return ", ".join(f"{name} {value}" for name, value in self.facts.items())

    @property
    def facts(self) -> dict[str, str]:
        """What makes two numbers comparable: name → value."""
        error = {"mean-distance": "mean distance", "shape-norm": "2-norm of the shape over L"}
        return {
            "error": error[self.error],
            "over": self.normaliser,
            "points": self.visibility,
            "mean per": self.averaging,
            "box rule": self.box,
        }

    def differs_from(self, other: "Protocol") -> str:
        """What makes their numbers not comparable, or ""."""
        mine, others = self.facts, other.facts
        return ", ".join(f"{k} {mine[k]}, not {others[k]}" for k in mine if mine[k] != others[k])


@dataclass(frozen=True)
class Coverage:
    """How much of a split is there."""

    split: str  # "300w/common"
    faces: int
    official: int  # 0 where none is known
    rendered: bool
    whole: bool = True  # whether nothing of its parts is missing

    def __str__(self) -> str:
        if self.rendered:
            return f"rendered, {self.faces} faces"
        known = self.official not in (0, self.faces)
        return f"{self.faces} of {self.official}" if known else f"{self.faces}"


@dataclass(frozen=True)
class Trial:
    """A trial with all that a reader of its numbers must know. `id` names its content."""

    id: str
    pipeline: str
    title: str
    spec: TrialSpec
    protocol: Protocol
    box: BoxRule
    scheme: Scheme
    coverage: tuple[Coverage, ...]
    faces: str  # fingerprint of the face lists

    @property
    def rendered(self) -> bool:
        """Whether any of its faces are rendered ones."""
        return any(split.rendered for split in self.coverage)

    def tested_on_rendered(self, split: str) -> bool:
        """Whether its test faces of the data set of `split` ("300w/common") are rendered ones."""
        dataset = split.partition("/")[0]
        return any(
            tested.rendered
            for tested in self.coverage[1:]
            if tested.split.partition("/")[0] == dataset
        )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(to_mapping(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_id(*parts: Any) -> str:
    """Sixteen hex digits that name the content of `parts`."""
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:16]


def bound(section: str, spec: object, name: str, low: float, high: float = math.inf) -> None:
    """Raises OdnbenchError unless the field `name` of `spec` is finite and in [low, high]."""
    value = getattr(spec, name)
    if not low <= value <= high or value == math.inf:
        rule = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise OdnbenchError(f"{section}.{public_name(name)} must be {rule}, got {value}")
