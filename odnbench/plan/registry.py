"""The registry: everything interchangeable, read from registry/*.toml and imported on first use.

    registry = Registry.load()                     # shipped entries, plus folders of your own
    registry.get(Variant, "odn")                   # a typed entry, or "did you mean …?"
    registry.build(Module, "gm", in_channels=512)  # calls the entry's target with its options

One TOML file per family, one dataclass per family. An entry of a later folder replaces the earlier
one of the same name.
"""

import inspect
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import BoxRule, Protocol, Scheme, TrialSpec, bound

E = TypeVar("E")
_DEEPEST = 20  # tables in tables
NONE = "none"  # a slot of the network that is left out


@dataclass(frozen=True)
class Buildable:
    """Something that is built by calling `target`, a `package.module:Name`, with `options`."""

    name: str
    title: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Backbone(Buildable):
    """A feature extractor."""


@dataclass(frozen=True)
class Module(Buildable):
    """What can stand in a slot of the network."""

    slot: Literal["geometry", "distillation", "low_rank"] = field(kw_only=True)


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
    factors: tuple[str, ...] | None = None  # modules that are on, where it is a cell of their 2^k
    network: str = "odnbench.networks.odn:OcclusionAdaptiveNetwork"


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


FAMILIES: dict[str, type] = {
    "backbones": Backbone,
    "modules": Module,
    "variants": Variant,
    "criteria": Criterion,
    "weights": LossWeight,
    "datasets": Dataset,
    "schemes": Scheme,
    "boxes": BoxRule,
    "protocols": Protocol,
    "published": Published,
}


@dataclass(frozen=True)
class Registry:
    """All entries: family → name → entry."""

    entries: Mapping[str, Mapping[str, Any]]
    family_of: ClassVar[Mapping[type, str]] = {cls: name for name, cls in FAMILIES.items()}

    @classmethod
    def load(cls, extra: Iterable[Path] = ()) -> "Registry":
        """The shipped entries and those of the folders in `extra`.

        Raises OdnbenchError for a folder that is not there, or an entry that is not right.
        """
        entries: dict[str, dict[str, Any]] = {family: {} for family in FAMILIES}
        for folder in (shipped("registry"), *extra):
            if not folder.is_dir():
                raise OdnbenchError(f"registry folder {folder} is not there")
            for family, kind in FAMILIES.items():
                for name, (table, path) in _tables(folder, family).items():
                    where = f"{path}: {name}"
                    if not isinstance(table, Mapping):
                        raise OdnbenchError(f"{where}: expected a table, got {table!r}")
                    if "name" in table:
                        raise OdnbenchError(
                            f"{where}: an entry is named by its table, not by 'name'"
                        )
                    entries[family][name] = from_mapping(kind, {"name": name, **table}, where)
        return cls(entries)

    def get(self, kind: type[E], name: str) -> E:
        """The entry `name` of the family of dataclass `kind`."""
        family = self.entries[self.family_of[kind]]
        if name not in family:
            raise unknown(_words(kind.__name__), name, family)
        entry: E = family[name]
        return entry

    def all(self, kind: type[E]) -> dict[str, E]:
        """Name → entry, in the order of the files."""
        return dict(self.entries[self.family_of[kind]])

    def build(self, kind: type[Buildable], name: str, **arguments: Any) -> Any:
        """What the entry's target returns for its options and `arguments`.

        Raises OdnbenchError for options that the target does not take.
        """
        entry = self.get(kind, name)
        target = import_target(entry.target)
        everything = {**arguments, **entry.options}
        try:
            inspect.signature(target).bind(**everything)
        except TypeError as error:
            given = ", ".join(f"{key} = {value!r}" for key, value in entry.options.items())
            raise OdnbenchError(
                f"{self.family_of[kind]}: {name}: {entry.target} with options {given}: {error}"
            ) from error
        return target(**everything)

    def split(self, name: str) -> tuple[Dataset, Split]:
        """The data set and the split that `dataset/split` names, as 300w/common."""
        dataset_name, slash, split = name.partition("/")
        dataset = self.get(Dataset, dataset_name)
        if not slash:
            known = ", ".join(f"{dataset_name}/{s}" for s in [*dataset.splits, *dataset.parts])
            raise OdnbenchError(f"'{name}' names no split; choose one of {known}")
        return dataset, dataset.split(split)

    def protocol_of(self, dataset: Dataset) -> Protocol:
        """The usual protocol of `dataset`: what its faces are cropped and scored by where none is
        named.
        """
        if dataset.protocol:
            return self.get(Protocol, dataset.protocol)
        for protocol in self.all(Protocol).values():
            if protocol.scheme == dataset.scheme:
                return protocol
        raise OdnbenchError(f"no protocol in the registry has the points of {dataset.name}")

    def used_by(self, spec: TrialSpec) -> dict[str, Any]:
        """The entries that decide a trial's numbers: part of its content id."""
        model, protocol = spec.model, self.get(Protocol, spec.data.protocol)
        slots = (model.geometry, model.distillation, model.low_rank)
        used: list[Any] = [
            self.get(Backbone, model.backbone),
            *(self.get(Module, name) for name in slots if name != NONE),
            self.get(Criterion, spec.loss.criterion),
            protocol,
            self.get(BoxRule, protocol.box),
            self.get(Scheme, protocol.scheme),
        ]
        network = self.get(Variant, spec.variant).network
        return {"network": network, "entries": [_without_title(entry) for entry in used]}


def import_target(target: str) -> Any:
    """The object that `package.module:Name` names."""
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise OdnbenchError(f"target '{target}' cannot be imported: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; OdnbenchError names the file and the line of a fault."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_bounds(table, depth=0)
    except (OSError, ValueError, RecursionError) as error:
        raise OdnbenchError(f"{path}: {error}") from error
    return table


def _check_bounds(value: Any, depth: int) -> None:
    """Raises ValueError for what TOML allows and nobody means."""
    if depth > _DEEPEST:
        raise ValueError(f"tables or lists more than {_DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_bounds(item, depth + 1)


def _tables(folder: Path, family: str) -> dict[str, tuple[dict[str, Any], Path]]:
    """Entry name → its table and file: FAMILY.toml, and one entry per file of FAMILY/."""
    tables: dict[str, tuple[dict[str, Any], Path]] = {}
    if (path := folder / f"{family}.toml").is_file():
        tables |= {name: (table, path) for name, table in read_toml(path).items()}
    for path in sorted((folder / family).glob("*.toml")):
        tables[path.stem] = (read_toml(path), path)
    return tables


def _words(class_name: str) -> str:
    """`BoxRule` → "box rule"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", class_name).lower()


def _without_title(entry: Any) -> Any:
    return {key: value for key, value in to_mapping(entry).items() if key != "title"}
