"""The registry: everything interchangeable, read from registry/*.toml and imported on first use.

    registry = Registry.load()                     # shipped entries, plus folders of your own
    registry.get(Variant, "odn")                   # a typed entry, or "did you mean …?"
    registry.build(Module, "gm", in_channels=512)  # calls the entry's target with its options

One TOML file per family, one dataclass per family (odnbench/plan/entries.py).
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import from_mapping
from odnbench.plan.entries import (
    Augmentation,
    Backbone,
    Buildable,
    Criterion,
    Dataset,
    Format,
    Head,
    LossWeight,
    Metric,
    Module,
    Published,
    Slot,
    Split,
    Variant,
)
from odnbench.plan.paths import path_of
from odnbench.plan.plugins import installed_plugins
from odnbench.plan.protocols import BoxRule, Protocol, Scheme, SchemeMap
from odnbench.plan.shipped import shipped
from odnbench.plan.spaces import Space
from odnbench.plan.specs import NONE
from odnbench.plan.toml import read_toml

E = TypeVar("E")

FAMILIES: dict[str, type] = {
    "backbones": Backbone,
    "slots": Slot,
    "modules": Module,
    "heads": Head,
    "variants": Variant,
    "criteria": Criterion,
    "weights": LossWeight,
    "augmentations": Augmentation,
    "spaces": Space,
    "datasets": Dataset,
    "schemes": Scheme,
    "maps": SchemeMap,
    "boxes": BoxRule,
    "protocols": Protocol,
    "metrics": Metric,
    "formats": Format,
    "published": Published,
}


@dataclass(frozen=True)
class Origin:
    """Where an entry was read from."""

    file: Path
    # "plug-in NAME", or a folder that was asked for; "" of an entry that odnbench ships.
    source: str = ""
    # The file of the entry of the same name whose place it took.
    replaced: Path | None = None


@dataclass(frozen=True)
class Registry:
    """All entries: family → name → entry."""

    entries: Mapping[str, Mapping[str, Any]]
    # By (family, name).
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)
    family_of: ClassVar[Mapping[type, str]] = {cls: name for name, cls in FAMILIES.items()}

    @classmethod
    def load(cls, extra: Iterable[str | Path] = ()) -> "Registry":
        """The shipped entries, those of installed plug-ins, and those of the folders in `extra`.

        An entry of `extra`, which somebody asked for, replaces another of the same name; an entry
        of a plug-in does not. Raises OdnbenchError for an absent folder, for two entries of one
        name, and for a faulty entry.
        """
        entries: dict[str, dict[str, Any]] = {family: {} for family in FAMILIES}
        origins: dict[tuple[str, str], Origin] = {}
        folders = [
            (shipped("registry"), "", False),
            *((plugin.folder, f"plug-in {plugin.name}", False) for plugin in installed_plugins()),
            *((folder, str(folder), True) for folder in map(path_of, extra)),
        ]
        for folder, source, replaces in folders:
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
                    before = origins.get((family, name))
                    if before is not None and not replaces:
                        raise OdnbenchError(
                            f"{where}: {family} has an entry of that name from {before.file}; give "
                            "one of them another name"
                        )
                    entries[family][name] = from_mapping(kind, {"name": name, **table}, where)
                    origins[family, name] = Origin(path, source, before.file if before else None)
        registry = cls(entries, origins)
        registry._check_slots()
        return registry

    def _check_slots(self) -> None:
        """Raises OdnbenchError unless every module and every default fits a known slot."""
        for name, module in self.all(Module).items():
            if module.slot not in self.entries["slots"]:
                where = f"{self.origins['modules', name].file}: {name}: slot"
                raise OdnbenchError(f"{where}: {unknown('slot', module.slot, self.all(Slot))}")
        for name, slot in self.all(Slot).items():
            if slot.default == NONE:
                continue
            if (actual := self.get(Module, slot.default).slot) != name:
                where = f"{self.origins['slots', name].file}: {name}: default"
                raise OdnbenchError(f"{where}: module '{slot.default}' is for the slot {actual}")

    @property
    def added(self) -> list[tuple[str, str]]:
        """(family, name) of each entry that odnbench does not ship."""
        return [key for key, origin in self.origins.items() if origin.source]

    def get(self, kind: type[E], name: str) -> E:
        """The entry `name` of the family of dataclass `kind`; OdnbenchError for an unknown name.

        "entry:x" is the member x of an entry that has members (`Buildable.member`).
        """
        family = self.entries[self.family_of[kind]]
        head, _, member = name.partition(":")
        if member and getattr(family.get(head), "member", ""):
            of_member: E = family[head].of_member(member)
            return of_member
        if name not in family:
            raise unknown(_in_words(kind.__name__), name, family)
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
        where = f"{self.family_of[kind]}: {name}: {entry.target}"
        if entry.member and entry.member not in entry.options:
            raise OdnbenchError(
                f"{self.family_of[kind]}: '{name}' stands for many; name one of them, as "
                f"{name}:{entry.example}"
            )
        signature = inspect.signature(target)
        everything = {**arguments, **entry.options}
        known = signature.parameters.keys() - arguments.keys()
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        for option in () if takes_any else entry.options:
            if option not in known:
                raise OdnbenchError(f"{where}: {unknown('option', option, known)}")
        try:
            signature.bind(**everything)
        except TypeError as error:
            given = ", ".join(f"{key} = {value!r}" for key, value in entry.options.items())
            raise OdnbenchError(f"{where} with options {given or 'none'}: {error}") from error
        return target(**everything)

    def split(self, name: str) -> tuple[Dataset, Split]:
        """The data set and the split that `name` joins by a slash, as in 300w/common."""
        dataset_name, slash, split = name.partition("/")
        dataset = self.get(Dataset, dataset_name)
        if not slash:
            known = ", ".join(f"{dataset_name}/{s}" for s in [*dataset.splits, *dataset.parts])
            raise OdnbenchError(f"'{name}' names no split; choose one of {known}")
        return dataset, dataset.split(split)

    def protocol_of(self, dataset: Dataset) -> Protocol:
        """The protocol by which faces of `dataset` are cropped and scored where none is named."""
        if dataset.protocol:
            return self.get(Protocol, dataset.protocol)
        for protocol in self.all(Protocol).values():
            if protocol.scheme == dataset.scheme:
                return protocol
        raise OdnbenchError(f"no protocol in the registry has the points of {dataset.name}")


def import_target(target: str) -> Any:
    """The object that `package.module:Name` names."""
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise OdnbenchError(f"target '{target}' cannot be imported: {error}") from error


def _tables(folder: Path, family: str) -> dict[str, tuple[dict[str, Any], Path]]:
    """Entry name → (table, file): the tables of FAMILY.toml, and the files of FAMILY/, one each."""
    tables: dict[str, tuple[dict[str, Any], Path]] = {}
    if (path := folder / f"{family}.toml").is_file():
        tables |= {name: (table, path) for name, table in read_toml(path).items()}
    for path in sorted((folder / family).glob("*.toml")):
        if path.stem in tables:
            raise OdnbenchError(
                f"{path}: {family} has an entry of that name from {tables[path.stem][1]}; give one "
                "of them another name"
            )
        tables[path.stem] = (read_toml(path), path)
    return tables


def _in_words(class_name: str) -> str:
    """`BoxRule` → "box rule"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", class_name).lower()
