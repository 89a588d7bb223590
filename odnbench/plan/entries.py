"""What can be registered: one dataclass per family, whose fields are the keys of its TOML files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import bound
from odnbench.plan.specs import NONE


@dataclass(frozen=True)
class Buildable:
    """Something that is built by calling `target`, a `package.module:Name`, with `options`."""

    name: str
    title: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)


# What `model.attach` may be of every backbone; any other word names a layer of a single one.
ATTACH_WORDS = ("whole", "last-unit", "stride-8", "stride-16", "stride-32")


@dataclass(frozen=True)
class Backbone(Buildable):
    """A feature extractor.

    `layers` gives the name of its own layer for each of ATTACH_WORDS. A word that is not in it, and
    any other name, is given to the target as it is.
    """

    layers: Mapping[str, str] = field(default_factory=dict)

    def layer(self, attach: str) -> str:
        """The layer of this backbone that `attach` means."""
        return self.layers.get(attach, attach)


@dataclass(frozen=True)
class Slot:
    """A place in the network where one module stands, or none.

    `place` says what the module takes and gives: "trunk" changes the backbone's feature map before
    all branches; "branch" sees it beside the other branches, and the network puts their outputs
    together; "vector" changes the flattened features before the head. Slots of one place follow
    each other as the registry lists them.
    """

    name: str
    title: str
    place: Literal["trunk", "branch", "vector"]
    # The module of a trial that names none; "none" leaves the slot empty.
    default: str = NONE


@dataclass(frozen=True)
class Module(Buildable):
    """What can stand in a slot of the network."""

    slot: str = field(kw_only=True)


@dataclass(frozen=True)
class Head(Buildable):
    """What turns features into points; it owns target, data term and decoding.

    `takes` is "vector" where the features are pooled and flattened for it, which the modules of
    vector slots need, or "map" where it takes the feature map.
    """

    takes: Literal["vector", "map"] = field(kw_only=True)


@dataclass(frozen=True)
class Criterion(Buildable):
    """A data term; `unit`, if given, is the only unit of shapes in which its options make sense."""

    unit: Literal["", "crop", "pixels"] = ""


@dataclass(frozen=True)
class Variant:
    """A network of the ablation: what differs from a default trial."""

    name: str
    title: str
    changes: Mapping[str, Any]
    # The modules that are on, where the variant is a cell of their 2^k combinations.
    factors: tuple[str, ...] | None = None
    network: str = "odnbench.networks.odn:OcclusionAdaptiveNetwork"
    # Further arguments of the network's target.
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossWeight:
    """A weight of Eq. (3) with its default and its log-uniform search range."""

    name: str
    symbol: str
    title: str
    default: float
    low: float
    high: float

    def __post_init__(self) -> None:
        bound("loss weight", self, "default", 0)
        bound("loss weight", self, "low", 1e-300)
        bound("loss weight", self, "high", self.low)


@dataclass(frozen=True)
class Part:
    """Faces that stand together on disk, their official number, and what stands in for them."""

    source: str  # the folder or file that holds them, in the words of the data set's loader
    faces: int
    rendered: str  # difficulty of the rendered faces that stand in
    optional: bool = False  # whether an archive without it is whole all the same
    pattern: str = ""  # of its files' names in other tools' lists, without suffix; "": any

    def __post_init__(self) -> None:
        bound("part", self, "faces", 0)


@dataclass(frozen=True)
class Split:
    """Faces that papers report together: whole parts, or the faces of them that carry a label."""

    parts: tuple[str, ...]
    label: str = ""
    faces: int = 0  # official number; 0 where none is known for the label
    rule: str = ""  # who carries the label, for people

    def __post_init__(self) -> None:
        bound("split", self, "faces", 0)


@dataclass(frozen=True)
class Dataset:
    """A data set: parts as they stand on disk, and splits that papers build from them."""

    name: str
    title: str
    scheme: str
    target: str
    names: tuple[str, ...]
    found_by: tuple[str, ...]
    parts: Mapping[str, Part]
    splits: Mapping[str, Split] = field(default_factory=dict)
    flags: bool = False  # whether its annotation says which points are occluded
    protocol: str = ""  # the usual one; "": the first of its scheme
    # Of its landmarks from mirror symmetry (datasets/inspection/symmetry.py).
    mirror_offset_px: float = 0.0

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            for part in split.parts:
                if part not in self.parts:
                    raise OdnbenchError(f"splits.{name}: {unknown('part', part, self.parts)}")

    def split(self, name: str) -> Split:
        """The split `name`: one of `splits`, a part, or several of them joined by "+".

        Raises OdnbenchError for a name that is not known, or a join of splits by label.
        """
        chosen = [self._split(one) for one in name.split("+")]
        if len(chosen) == 1:
            return chosen[0]
        if any(split.label for split in chosen):
            raise OdnbenchError(
                f"{self.name}/{name}: only whole splits can be joined by '+'; "
                "name each subset as a split of its own"
            )
        parts = tuple(dict.fromkeys(part for split in chosen for part in split.parts))
        return Split(parts, faces=sum(self.parts[part].faces for part in parts))

    def _split(self, name: str) -> Split:
        if name in self.splits:
            split = self.splits[name]
            total = sum(self.parts[part].faces for part in split.parts)
            return split if split.label else replace(split, faces=total)
        if name in self.parts:
            return Split((name,), faces=self.parts[name].faces)
        raise unknown(f"split of {self.name}", name, [*self.splits, *self.parts])


@dataclass(frozen=True)
class PublishedRow:
    """One method's figures in a published table."""

    method: str
    year: int
    values: Mapping[str, float]
    variant: str = ""  # our name for the same network, where we have it
    primary: bool | None = None  # None: as the table says


@dataclass(frozen=True)
class Published:
    """A published table: its figures travel with metric, protocol and source."""

    name: str
    title: str
    source: str
    metric: str
    dataset: str
    protocol: str
    columns: tuple[str, ...]
    primary: bool
    rows: tuple[PublishedRow, ...]
    quantity: Literal["nme", "success"] = "nme"  # in percent; success: share below a threshold


@dataclass(frozen=True)
class Metric(Buildable):
    """A number that sums up the errors of one split.

    The target is called with the errors of the faces (`odnbench.metrics.summaries.FaceErrors`) and,
    where the metric has a value for each threshold of a protocol, with `threshold_percent`.
    """

    unit: str = field(kw_only=True)
    better: Literal["lower", "higher"] = field(kw_only=True)
    per_threshold: bool = False
    # Whether the tables of reports and of the command line show it; JSON and MLflow always do.
    in_tables: bool = True

    @property
    def key(self) -> str:
        """Its name in JSON and MLflow, with the unit in words."""
        return f"{self.name}_percent" if self.unit == "%" else self.name


@dataclass(frozen=True)
class Format(Buildable):
    """A format of reports: the target writes `odnbench.reports.report.Report` into a folder and
    returns the path of the file to open first.
    """
