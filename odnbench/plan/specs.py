"""The spec of a trial, as frozen dataclasses.

A `TrialSpec` holds all that decides a trial's numbers and nothing else: no worker, device or
tracking server. Loss weights have their defaults in registry/weights.toml and the modules of the
network in registry/slots.toml, everything else here; pipelines state only differences.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import INLINE, Amounts, Names, bound, leaves, public_name

# Keys of fields that may name a file or folder.
FILES = ("model.pretrained", "train.teacher")
NONE = "none"  # in place of a module: the slot stays empty
# Metadata of a field whose default does what was done before there was the field: with its default
# it is no part of a trial's id, so that results of before keep theirs.
NEUTRAL = {"neutral": True}


def later_settings(part: Any) -> dict[str, Any]:
    """Name → value of the neutral fields of a part of a spec that are not at their defaults."""
    return {
        f.name: value
        for f in dataclasses.fields(part)
        if f.metadata == NEUTRAL and (value := getattr(part, f.name)) != f.default
    }


@dataclass(frozen=True)
class ModelSpec:
    """The network, by names of registry/; a slot that is "none" is left out."""

    backbone: str = "resnet18"
    # "none", "imagenet" (the library's default weights), the name of other weights of the library,
    # a local weights file, or a URL that ends in "#sha256=" and a checksum (plan/weights.py).
    pretrained: str = "imagenet"
    # Where the feature map Z leaves the backbone: "whole", "last-unit", "stride-8", "stride-16",
    # "stride-32", or the name of a layer of that backbone.
    attach: str = "last-unit"
    head: str = "regression"
    # Slot → module, as model.geometry = "gm".
    modules: Names = field(default_factory=Names, metadata=INLINE)

    def module(self, slot: str) -> str:
        """The name of the module that stands in `slot`; "none" where there is none."""
        return self.modules.get(slot, NONE)


@dataclass(frozen=True)
class LossSpec:
    """Eq. (3): data term and the weights of its five penalties, and a sixth weight of our own.

    zeta weighs the cross-entropy between 1 - P and the masks of the occluders that augmentation
    pastes (losses/objective.py); the paper has no such term.
    `unit` is the unit of the shapes in the data term: "crop" spans [-1, 1] over the crop, "pixels"
    are pixels of the crop. The balance of data term and penalties depends on the unit, which the
    paper does not give.
    """

    alpha: float
    beta: float
    gamma: float
    lambda_: float
    eta: float
    zeta: float = 0.0
    criterion: str = "l2"
    unit: Literal["crop", "pixels"] = "crop"

    def __post_init__(self) -> None:
        for name in self.weights():
            bound("loss", self, name, 0)

    @classmethod
    def weights(cls) -> tuple[str, ...]:
        """The names of the fields that are weights of penalties."""
        return tuple(f.name for f in dataclasses.fields(cls) if f.type is float)


@dataclass(frozen=True)
class DataSpec:
    """Faces to train on and to test on, as `dataset/split` of registry/datasets.toml."""

    train: str = "300w/train"
    test: tuple[str, ...] = ("300w/common", "300w/challenging")
    protocol: str = "300w-paper"
    input_size: int = 224
    margin: float = 1.25  # side of the stored picture over side of the crop: room to augment
    validation_fraction: float = 0.1  # of the training faces
    # Of the training faces that are not validated on, for learning curves: which share is trained
    # on. A smaller share is a part of a larger one.
    train_fraction: float = field(default=1.0, metadata=NEUTRAL)
    rendered_train: int = 3148  # faces drawn where the data set is absent
    rendered_test: int = 400  # per test split
    # Whether the test faces are predicted a second time, with occluders pasted on them.
    pasted_test: bool = False
    # Whether validation and test faces are predicted as they are and mirrored, so that the mean of
    # both predictions counts (engine/evaluate.py).
    flip_test: bool = field(default=False, metadata=NEUTRAL)

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
        bound("data", self, "train_fraction", 0.001, 1)
        bound("data", self, "rendered_train", 10)
        bound("data", self, "rendered_test", 1)

    @property
    def stored_size(self) -> int:
        """Side of a prepared picture in px; even, so that the crop is exactly in its middle."""
        return 2 * round(self.input_size * self.margin / 2)


@dataclass(frozen=True)
class AugmentSpec:
    """What is done to each training crop, drawn anew in each epoch."""

    rotation_deg: float = 30.0  # uniform within ± this
    scale: float = 0.15  # uniform within 1 ± this
    translation: float = 0.06  # uniform within ± this share of the crop's side
    flip: float = 0.5  # probability of the mirror image
    # Whether the targets of a mirror image take the data set's annotation offset into account.
    annotation_offset: bool = True
    occluders: float = 0.0  # probability that an occluder is pasted on the face
    # Of all that the fields below do not name, as a share of its reference (plan/effects.py).
    strength: float = field(default=0.0, metadata=NEUTRAL)
    shear_deg: float | None = field(default=None, metadata=NEUTRAL)  # uniform within ± this
    # Width and height of the crop, each uniform within 1 ± this, on top of its scale.
    aspect: float | None = field(default=None, metadata=NEUTRAL)
    # Effect (registry/augmentations.toml) → amount, as augment.blur = 0.5.
    effects: Amounts = field(default_factory=Amounts, metadata=INLINE)

    def __post_init__(self) -> None:
        bound("augment", self, "strength", 0, 2)
        for name, high in (("shear_deg", 45), ("aspect", 0.5)):
            if getattr(self, name) is not None:
                bound("augment", self, name, 0, high)
        for effect, amount in self.effects.items():
            if not 0 <= amount <= 1:
                raise OdnbenchError(f"augment.{effect} must be between 0 and 1, got {amount}")
        bound("augment", self, "rotation_deg", 0, 180)
        bound("augment", self, "scale", 0, 0.9)
        bound("augment", self, "translation", 0, 0.5)
        bound("augment", self, "flip", 0, 1)
        bound("augment", self, "occluders", 0, 1)


@dataclass(frozen=True)
class TrainSpec:
    """How the objective is minimised. The paper gives none of this.

    What is minimised is Eq. (3) exactly, whatever stands here, but with a teacher, whose term is
    added to it.
    """

    epochs: int = 60
    batch_size: int = 32
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    # "auto": bf16 where the processor has it, else float32.
    precision: Literal["auto", "float32", "bf16"] = "auto"
    # The epoch whose weights are kept: best on validation, the last, or best on the test set.
    select: Literal["validation", "last", "test"] = "validation"
    # The mode of torch.compile; the last two use CUDA graphs.
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"
    # Epochs in which the learning rate of "cosine" and "constant" rises linearly to its full value;
    # 0: none. "one-cycle" has a rise of its own and takes no other.
    warmup_epochs: float = field(default=0.0, metadata=NEUTRAL)
    # Decay of the moving average of the weights that is validated, kept and tested in place of the
    # weights themselves, as 0.999 (engine/averaging.py); 0: there is no average.
    ema: float = field(default=0.0, metadata=NEUTRAL)
    # The largest norm of the gradient of all terms of Eq. (3) together, to which a longer one is
    # shortened (engine/optimisation.py); 0: no limit.
    clip: float = field(default=0.0, metadata=NEUTRAL)
    # Factor of the learning rate for the parameters of the backbone; 0 leaves them as they are.
    backbone_rate: float = field(default=1.0, metadata=NEUTRAL)
    # The folder of a finished trial, or the checkpoint in it, whose predictions for each training
    # picture the network is to come near (engine/teacher.py); "": none.
    teacher: str = field(default="", metadata=NEUTRAL)
    # Weight of the distance between the network's points and the teacher's, beside the data term.
    teacher_weight: float = field(default=1.0, metadata=NEUTRAL)

    def __post_init__(self) -> None:
        bound("train", self, "epochs", 0)
        bound("train", self, "batch_size", 2)
        bound("train", self, "learning_rate", 1e-12)
        bound("train", self, "warmup_epochs", 0)
        bound("train", self, "ema", 0, 0.99999)
        bound("train", self, "clip", 0)
        bound("train", self, "backbone_rate", 0)
        bound("train", self, "teacher_weight", 0)


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


def unsaid(spec: TrialSpec) -> Iterator[tuple[str, str]]:
    """Section and name of each neutral field of `spec` that is at its default."""
    for section in dataclasses.fields(spec):
        part = getattr(spec, section.name)
        for f in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
            if f.metadata == NEUTRAL and getattr(part, f.name) == f.default:
                yield section.name, public_name(f.name)


def differing_fields(specs: Iterable[TrialSpec]) -> tuple[str, ...]:
    """Dotted keys in which `specs` differ among themselves."""
    values = [leaves(spec) for spec in specs]
    keys = dict.fromkeys(key for one in values for key in one)
    return tuple(key for key in keys if len({one.get(key) for one in values}) > 1)
