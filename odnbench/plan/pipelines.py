"""Pipelines: read from pipelines/*.toml and resolved to the trials that they stand for.

What decides a field of a trial, the later over the earlier: the defaults of
odnbench/plan/specs.py and registry/weights.toml; the pipeline's `[base]`; settings (the pipeline's
own where rendered faces stand in, then `--settings`); `-s key=value`; the pipeline's `[axes]`; the
variant's `changes`. An override of an axis replaces the axis, so that
`-s variant=odn,brnet -s seed=0,1,2` picks trials.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import convert, from_mapping, get_at, leaf_types, parse, replace_at
from odnbench.plan.registry import (
    NONE,
    Backbone,
    Criterion,
    LossWeight,
    Module,
    Published,
    Registry,
    Variant,
    read_toml,
)
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import BoxRule, LossSpec, Protocol, TrialSpec

_MOST_TRIALS = 10_000
FIELDS = leaf_types(TrialSpec)  # dotted key → type


@dataclass(frozen=True)
class Search:
    """Which loss weights a search varies, and over how many trials."""

    parameters: tuple[str, ...]
    trials: int


@dataclass(frozen=True)
class Pipeline:
    """A family of trials, and what their report compares them with."""

    name: str
    title: str
    published: tuple[str, ...] = ()  # tables of registry/published/
    reference: str = ""  # the variant that others are compared with
    columns: tuple[str, ...] = ()  # splits of the data set that the report shows
    rendered: str = ""  # settings where the data set is not on the machine
    base: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None


def load_pipeline(name_or_file: str) -> Pipeline:
    """The pipeline of that name in pipelines/, or of a TOML file."""
    path = _find(name_or_file, shipped("pipelines"), "pipeline")
    return from_mapping(Pipeline, {"name": path.stem, **read_toml(path)}, str(path))


def resolve(
    pipeline: Pipeline,
    registry: Registry,
    *,
    overrides: Sequence[str] = (),
    settings: str = "",
    rendered: bool = False,
) -> list[TrialSpec]:
    """Every trial of `pipeline`, checked against the registry.

    overrides: texts `key=value`; a key's last part is enough where it is unambiguous.
    settings: name or file of settings to apply before the overrides.
    rendered: whether rendered faces stand in for the data set.
    Raises OdnbenchError that names the key, the rule and the cure.
    """
    try:
        return _resolve(pipeline, registry, overrides, settings, rendered)
    except OdnbenchError as error:
        raise OdnbenchError(f"pipeline {pipeline.name}: {error}") from error


def _resolve(
    pipeline: Pipeline,
    registry: Registry,
    overrides: Sequence[str],
    settings: str,
    rendered: bool,
) -> list[TrialSpec]:
    _check_pipeline(pipeline, registry)
    changes: dict[str, Any] = _flat(pipeline.base, f"pipeline {pipeline.name}, [base]")
    axes = {
        key: [
            convert(value, FIELDS[key], f"pipeline {pipeline.name}, [axes] {key}")
            for value in values
        ]
        for key, values in _flat(pipeline.axes, f"pipeline {pipeline.name}, [axes]").items()
    }
    for name in (pipeline.rendered if rendered else "", settings):
        if name:
            changes |= _read_settings(name)
    for text in overrides:
        key, value = _split_override(text)
        if key in axes:
            axes[key] = [parse(item, FIELDS[key], f"-s {key}") for item in value.split(",")]
        else:
            changes[key] = parse(value, FIELDS[key], f"-s {key}")

    count = math.prod(map(len, axes.values()))
    if count > _MOST_TRIALS:
        raise OdnbenchError(f"its axes span {count} trials; at most {_MOST_TRIALS} can be run")
    spec = _default_spec(registry)
    for key, value in changes.items():
        spec = replace_at(spec, key, convert(value, FIELDS[key], key))
    trials = []
    for point in itertools.product(*axes.values()):
        trial = spec
        for key, value in zip(axes, point, strict=True):
            trial = replace_at(trial, key, value)
        for key, value in registry.get(Variant, trial.variant).changes.items():
            key = _full_key(key, f"variant {trial.variant}")
            trial = replace_at(
                trial, key, convert(value, FIELDS[key], f"variant {trial.variant}: {key}")
            )
        trials.append(trial)
    for trial in trials:
        _check(trial, registry)
    return trials


def _default_spec(registry: Registry) -> TrialSpec:
    weights = {name: weight.default for name, weight in registry.all(LossWeight).items()}
    return TrialSpec(loss=from_mapping(LossSpec, weights, "registry/weights.toml"))


def _check_pipeline(pipeline: Pipeline, registry: Registry) -> None:
    """Every name in `pipeline` is there, and every axis is a list."""
    for table in pipeline.published:
        registry.get(Published, table)
    if pipeline.reference:
        registry.get(Variant, pipeline.reference)
    for column in pipeline.columns:
        registry.split(column)
    if pipeline.rendered:
        _read_settings(pipeline.rendered)
    for name in pipeline.search.parameters if pipeline.search else ():
        registry.get(LossWeight, name)
    for key, values in _flat(pipeline.axes, "[axes]").items():
        if not isinstance(values, list) or not values:
            raise OdnbenchError(
                f"pipeline {pipeline.name}, [axes] {key}: expected a list of values, got {values!r}"
            )


def _check(spec: TrialSpec, registry: Registry) -> None:
    """Every name of `spec` is in the registry and fits its place."""
    registry.get(Backbone, spec.model.backbone)
    for slot in ("geometry", "distillation", "low_rank"):
        name = getattr(spec.model, slot)
        if name != NONE and registry.get(Module, name).slot != slot:
            actual = registry.get(Module, name).slot
            raise OdnbenchError(f"model.{slot}: module '{name}' is for the slot {actual}")
    criterion = registry.get(Criterion, spec.loss.criterion)
    if criterion.unit and criterion.unit != spec.loss.unit:
        raise OdnbenchError(
            f"loss.criterion '{criterion.name}' has its options in {criterion.unit}, but loss.unit "
            f"is '{spec.loss.unit}'; add -s loss.unit={criterion.unit}"
        )
    protocol = registry.get(Protocol, spec.data.protocol)
    registry.get(BoxRule, protocol.box)
    for split in (spec.data.train, *spec.data.test):
        dataset, _ = registry.split(split)
        if dataset.scheme != protocol.scheme:
            raise OdnbenchError(
                f"data.protocol '{protocol.name}' has {protocol.scheme} points, "
                f"{split} has {dataset.scheme}"
            )
        if protocol.visibility != "all" and not dataset.flags:
            raise OdnbenchError(
                f"data.protocol '{protocol.name}' counts {protocol.visibility} points, but "
                f"{dataset.name} does not say which points are occluded"
            )


def _read_settings(name: str) -> dict[str, Any]:
    path = _find(name, shipped("pipelines") / "settings", "settings")
    return _flat(read_toml(path), str(path))


def _split_override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise OdnbenchError(f"-s {text}: expected key=value, as in -s train.epochs=24")
    return _full_key(key.strip(), "-s"), value.strip()


def _full_key(key: str, where: str) -> str:
    """The dotted key that `key`, possibly only its last part, stands for."""
    if key in FIELDS:
        return key
    matches = [full for full in FIELDS if full.rpartition(".")[2] == key]
    if len(matches) == 1:
        return matches[0]
    raise OdnbenchError(f"{where}: {unknown('key', key, FIELDS)}")


def _flat(table: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """A nested TOML table as dotted keys of a trial's spec → value."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in FIELDS:
            flat |= _flat(value, where, f"{key}.")
        else:
            flat[_full_key(key, where)] = value
    return flat


def _find(name_or_file: str, folder: Path, kind: str) -> Path:
    if name_or_file.endswith(".toml"):
        path = Path(name_or_file)
        if not _is_file(path):
            raise OdnbenchError(f"{kind} file {path} is not there")
        return path
    path = folder / f"{name_or_file}.toml"
    if not _is_file(path):
        raise unknown(kind, name_or_file, (p.stem for p in folder.glob("*.toml")))
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def differing_fields(specs: Iterable[TrialSpec]) -> tuple[str, ...]:
    """Dotted keys in which `specs` differ among themselves."""
    specs = list(specs)
    return tuple(key for key in FIELDS if len({get_at(spec, key) for spec in specs}) > 1)
