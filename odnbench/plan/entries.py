"""What can be registered: one dataclass per family, whose fields are the keys of its TOML files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, Self

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import bound
from odnbench.plan.protocols import Normaliser
from odnbench.plan.specs import NONE


@dataclass(frozen=True)
class Buildable:
    """Something that is built by calling `target`, a `package.module:Name`, with `options`.

    An entry with `member`, the name of an option, stands for a family: "entry:x" names the member
    whose option is "x". `example` is a small member, by which the family's contract is checked.
    """

    name: str
    title: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    member: str = field(default="", kw_only=True)
    example: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if bool(self.member) != bool(self.example):
            raise OdnbenchError(
                f"member and example must be given together, got '{self.member}' and "
                f"'{self.example}'; give both or neither"
            )

    def of_member(self, member: str) -> Self:
        """The entry of one member of the family."""
        options = {**self.options, self.member: member}
        return replace(self, name=f"{self.name}:{member}", options=options)


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
        """The name of the layer that `attach` stands for."""
        return self.layers.get(attach, attach)


@dataclass(frozen=True)
class Slot:
    """A place in the network where one module stands, or none.

    `place` says what the module takes and gives: a "trunk" module changes the backbone's feature
    map before all branches; a "branch" module takes that map, and the network concatenates the
    outputs of all branches; a "vector" module changes the flattened features before the head.
    Slots of one place follow each other as the registry lists them.
    """

    name: str
    title: str
    place: Literal["trunk", "branch", "vector"]
    # The module of a trial that names none; "none" leaves the slot empty.
    default: str = NONE

    def __post_init__(self) -> None:
        _check_field_name("slot", self.name)


@dataclass(frozen=True)
class Module(Buildable):
    """A module that can stand in the slot `slot` of the network."""

    slot: str = field(kw_only=True)


@dataclass(frozen=True)
class Head(Buildable):
    """The end of a network: it turns features into points, and owns target, data term and decoding.

    `takes` is "vector" for a head of pooled and flattened features, which modules in vector slots
    need, and "map" for a head of the feature map. `criterion` is what the head compares by the
    criterion of a trial, "points" or "maps", and "own" for a head that has a data term of its own.
    """

    takes: Literal["vector", "map"] = field(kw_only=True)
    criterion: Literal["points", "maps", "own"] = "points"


@dataclass(frozen=True)
class Criterion(Buildable):
    """A data term of Eq. (3): a distance between what is predicted and what is true.

    `on` is what it compares: "points", or the "maps" of a head, or either. `unit`, if given, is the
    only `loss.unit` in which the options make sense; a criterion on maps alone has none.
    """

    unit: Literal["", "crop", "pixels"] = ""
    on: tuple[Literal["points", "maps"], ...] = ("points",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit and self.on != ("points",):
            raise OdnbenchError(
                f"on: maps have no unit, but unit is '{self.unit}'; leave out unit, or give two "
                "entries"
            )


@dataclass(frozen=True)
class Augmentation(Buildable):
    """An effect on pictures.

    A face gets the effect with a probability equal to the trial's `amount` of it. The target is
    called with the pictures that get it, an amount for each, uniform from 0 to that of the trial,
    and eight random numbers for each: pictures (n, 3, s, s) float32 in grey levels, amounts (n,) in
    [0, 1], random (n, 8) in [0, 1). It returns pictures of the same shape.
    """

    reference: float = field(kw_only=True)  # the amount that augment.strength = 1 stands for
    # Whether what the effect changes is hidden, and belongs to the masks of pasted occluders.
    occludes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_field_name("effect", self.name)
        bound("augmentation", self, "reference", 0, 0.5)  # strength is at most 2, an amount 1


def _check_field_name(what: str, name: str) -> None:
    """Raises OdnbenchError unless `name` can be the last part of the key of a trial's field."""
    if not re.fullmatch(r"\w[\w-]*", name):
        raise OdnbenchError(
            f"the name of the {what} becomes a key of trials, and may have letters, digits, _ and "
            f"- alone, got '{name}'"
        )


@dataclass(frozen=True)
class Variant:
    """A network of the ablation: what differs from a default trial."""

    name: str
    title: str
    # Dotted key of a trial's spec → value.
    changes: Mapping[str, Any]
    # The modules that are on, for a variant that is one of the 2^k cells of a factorial analysis.
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
class Offset:
    """How far right of and below the point that annotators meant the annotations of a data set lie.

    x: px[0] + share · inter-ocular distance; y: px[1]. Each number has its standard error beside
    it.
    """

    px: tuple[float, float] = (0.0, 0.0)  # x and y, in pixels of the original picture
    px_error: tuple[float, float] = (0.0, 0.0)
    share: float = 0.0  # of the inter-ocular distance, in x alone
    share_error: float = 0.0


@dataclass(frozen=True)
class Part:
    """Faces that stand together on disk, and the rendered faces that stand in for them."""

    source: str  # folder or file of the faces, in the words of the data set's loader
    faces: int  # official number
    rendered: str  # difficulty of the rendered faces
    optional: bool = False  # whether an archive without this part is complete all the same
    # Regular expression for the names of this part's pictures, without suffix, by which a list of
    # several parts is taken apart; "" where names do not tell the part.
    pattern: str = ""
    # Of the annotations; None: as the data set says.
    offset: Offset | None = None

    def __post_init__(self) -> None:
        bound("part", self, "faces", 0)


@dataclass(frozen=True)
class Split:
    """Faces that papers report together: whole parts, or all faces in them with a label."""

    parts: tuple[str, ...]
    label: str = ""
    faces: int = 0  # official number; 0 where none is known for the label
    rule: str = ""  # for readers of a report: which faces carry the label

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
    flags: bool = False  # whether the annotation says which points are occluded
    protocol: str = ""  # name of the usual protocol; "": the first of the scheme
    offset: Offset = Offset()  # of the annotations of every part that states none itself
    # Ids of the test faces that stand in the training part of the official archive too; None where
    # nobody has looked.
    doubles: tuple[str, ...] | None = None
    # Under which terms the faces may be used, in a sentence with its source; "": not recorded.
    licence: str = ""

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            for part in split.parts:
                if part not in self.parts:
                    raise OdnbenchError(f"splits.{name}: {unknown('part', part, self.parts)}")

    def offset_of(self, part: str) -> Offset:
        """The offset of the annotations of `part`."""
        return self.parts[part].offset or self.offset

    def split(self, name: str) -> Split:
        """The split `name`: one of `splits`, a part, or several of them joined by "+".

        Raises OdnbenchError for an unknown name, and for a join of splits that have a label.
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
    """One method's figures in a published table, each by its column and in percent.

    `normaliser` is the distance that divides the errors of the figures, and `normaliser_source`
    the public source that says so. Both are "" where no source was found; one without the other
    raises OdnbenchError, and so do failures or areas without a threshold.
    """

    method: str
    year: int
    values: Mapping[str, float]
    variant: str = ""  # our name for the same network, where we have it
    primary: bool | None = None  # as `Published.primary`; None: as the table says
    normaliser: Literal[Normaliser, ""] = ""
    normaliser_source: str = ""
    # FR and AUC at `threshold_percent`, an NME; 0 where there are none.
    failures: Mapping[str, float] = field(default_factory=dict)
    auc: Mapping[str, float] = field(default_factory=dict)
    threshold_percent: float = 0.0
    source: str = ""  # where the figures were read; "": as the table says
    read_on: str = ""  # "2026-11-30"; "": as the table says
    note: str = ""  # what else their readers must know, as further training data

    def __post_init__(self) -> None:
        if bool(self.normaliser) != bool(self.normaliser_source):
            raise OdnbenchError(
                f"{self.method}: normaliser and normaliser_source must be given together, got "
                f"'{self.normaliser}' and '{self.normaliser_source}'; give both or neither"
            )
        if bool(self.failures or self.auc) != bool(self.threshold_percent):
            raise OdnbenchError(
                f"{self.method}: failures and auc must be given with threshold_percent; give all "
                "or none"
            )
        _check_date(self.method, self.read_on)


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
    primary: bool  # whether the figures come from the methods' own papers; else they are quoted
    rows: tuple[PublishedRow, ...]
    # In percent; "success" is the share of faces with an NME below a threshold.
    quantity: Literal["nme", "success"] = "nme"
    read_on: str = ""  # when the source was read, "2026-11-30"; "" where nobody has noted it

    def __post_init__(self) -> None:
        _check_date(self.name, self.read_on)

    def is_primary(self, row: PublishedRow) -> bool:
        """Whether the authors of the method report the figures of `row` themselves."""
        return self.primary if row.primary is None else row.primary


def _check_date(what: str, day: str) -> None:
    try:
        date.fromisoformat(day or "2019-06-16")
    except ValueError as error:
        raise OdnbenchError(f"{what}: read_on must be a date as 2026-11-30, got '{day}'") from error


@dataclass(frozen=True)
class Metric(Buildable):
    """A number that sums up the errors of one split.

    The target is called with the errors of the faces (`odnbench.metrics.summaries.FaceErrors`) and,
    where the metric has a value for each threshold of a protocol, with `threshold_percent`.
    """

    unit: str = field(kw_only=True)
    better: Literal["lower", "higher"] = field(kw_only=True)
    per_threshold: bool = False
    # Whether tables in reports and on the command line show the metric; JSON and MLflow always do.
    in_tables: bool = True

    @property
    def key(self) -> str:
        """The metric's name in JSON and MLflow, with the unit in words."""
        return f"{self.name}_percent" if self.unit == "%" else self.name


@dataclass(frozen=True)
class Format(Buildable):
    """A format of reports.

    The target writes an `odnbench.reports.report.Report` into a folder and returns the path of the
    file to open first. Where the format has `templates`, the target is called with an
    `odnbench.reports.templating.Templates` as well. `document`, if given, is a
    `package.module:Name` that makes the text of an `odnbench.reports.document.Document`, for what
    is printed and no report of a plan.
    """

    # The files of reports/templates/ that it reads, in whose place a user may put others.
    templates: tuple[str, ...] = ()
    document: str = ""
