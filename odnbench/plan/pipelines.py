"""Pipelines: read from pipelines/*.toml and resolved to the trials that they stand for.

A field of a trial has the value of the last of these that sets it: the defaults of
odnbench/plan/specs.py, registry/slots.toml and registry/weights.toml; the pipeline's `[base]`;
settings (the pipeline's own where rendered faces stand in, then `--settings`); `-s key=value`; the
pipeline's `[axes]`; the variant's `changes`. An override of an axis replaces the axis, and one with
commas is an axis, so that `-s variant=odn,brnet -s seed=0,1,2 -s ema=0,0.99` makes twelve trials.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.axes import combinations, keys_at_every_point, keys_of, read_axes, with_axis
from odnbench.plan.conversion import (
    Names,
    convert,
    from_mapping,
    get_at,
    leaves,
    parse,
    replace_at,
)
from odnbench.plan.disturbances import (
    Disturbance,
    check_levels,
    check_margin,
    disturbances_of,
)
from odnbench.plan.entries import (
    Augmentation,
    Backbone,
    Criterion,
    Head,
    LossWeight,
    Module,
    Published,
    Slot,
    Variant,
)
from odnbench.plan.fields import Fields, flat, full_key, spec_fields
from odnbench.plan.paths import path_of
from odnbench.plan.protocols import BoxRule, Protocol
from odnbench.plan.reference import Reference
from odnbench.plan.registry import Registry
from odnbench.plan.searches import Search, space_of
from odnbench.plan.shipped import shipped
from odnbench.plan.specs import FILES, NONE, LossSpec, ModelSpec, TrainSpec, TrialSpec
from odnbench.plan.toml import read_toml

_MOST_TRIALS = 10_000
# A name becomes a folder, the beginning of file names, and a text in MLflow's search language.
_NAME = re.compile(r"\w([\w .,+=()@-]*[\w,+=()@-])?")
_LONGEST_NAME = 100  # bytes; a file name has 255 at most, and ours put words behind
_OFF = (NONE, 0)  # values with which a variant switches something off


@dataclass(frozen=True)
class Pipeline:
    """A family of trials, and what their report compares them with."""

    name: str
    title: str
    published: tuple[str, ...] = ()  # tables of registry/published/
    # What the other rows of the report are compared with: plan/reference.py.
    reference: str | Mapping[str, Any] = ""
    columns: tuple[str, ...] = ()  # splits of the data set that the report shows
    rendered: str = ""  # settings for rendered faces, where the data set is absent
    base: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    # Kind → levels at which the test faces are predicted again (plan/disturbances.py).
    disturbances: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def disturbed(self) -> tuple[Disturbance, ...]:
        """After what the test faces are predicted again."""
        return disturbances_of(self.disturbances)


def load_pipeline(name_or_file: str) -> Pipeline:
    """The shipped pipeline of that name, or the pipeline in a file whose name ends in .toml."""
    path = _toml_file(name_or_file, shipped("pipelines"), "pipeline")
    pipeline = from_mapping(Pipeline, {"name": path.stem, **read_toml(path)}, str(path))
    try:
        check_name(pipeline.name)
    except OdnbenchError as error:
        cure = "give the file another name, or the pipeline a key 'name'"
        raise OdnbenchError(f"{path}: {error}; {cure}") from error
    return pipeline


def check_name(name: str) -> None:
    """Raises OdnbenchError unless results of a pipeline of that `name` can be kept: the name must
    lead out of no folder and fit into the names of files.
    """
    if not _NAME.fullmatch(name) or len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise OdnbenchError(
            "the name of a pipeline must begin with a letter, a digit or _, may go on with these, "
            f"blanks and . , + = ( ) @ -, not end with a blank or dot, and take {_LONGEST_NAME} "
            f"bytes at most, got {name!r}"
        )


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
    fields = spec_fields(registry)
    _check_pipeline(pipeline, registry, fields)
    changes = flat(pipeline.base, fields, f"pipeline {pipeline.name}, [base]")
    axes = read_axes(pipeline.axes, fields, f"pipeline {pipeline.name}, [axes]")
    on_axes = keys_at_every_point(axes)
    for name in (pipeline.rendered if rendered else "", settings):
        if name:
            changes |= _read_settings(name, fields)
    asked: dict[str, str] = {}  # key → value as text, of each -s key=value
    for text in overrides:
        key, value = _split_override(text, fields)
        asked[key] = value
        if key in on_axes or _is_axis(key, value, fields):
            axes = with_axis(axes, key, _points(key, value, fields))
        else:
            changes[key] = parse(value, fields[key], f"-s {key}")

    count = math.prod(map(len, axes.values()))
    if count > _MOST_TRIALS:
        raise OdnbenchError(f"its axes span {count} trials; at most {_MOST_TRIALS} can be run")
    base = _default_spec(registry)
    for key, value in changes.items():
        base = replace_at(base, key, convert(value, fields[key], key))
    trials = []
    reached: dict[str, bool] = dict.fromkeys(asked, False)
    varied = keys_of({name: points for name, points in axes.items() if len(points) > 1})
    for point in combinations(axes):
        plain = base
        for key, value in point.items():
            plain = replace_at(plain, key, value)
        trial, before = plain, leaves(plain)
        for key, value in _changes_of(plain.variant, registry, fields).items():
            trial = replace_at(trial, key, value)
            wanted = before.get(key, NONE)  # a slot that is not spoken of is empty
            if value not in (wanted, *_OFF) and (key in asked or key in varied):
                source = f"-s {key}={wanted}" if key in asked else f"[axes] {key} = {wanted!r}"
                raise OdnbenchError(_contradiction(source, key, value, plain.variant))
        for key in asked:
            reached[key] |= get_at(trial, key) == get_at(plain, key)
        trials.append(trial)
    for key in (key for key, reaches in reached.items() if not reaches):
        last = trials[-1]
        raise OdnbenchError(
            _contradiction(f"-s {key}={asked[key]}", key, get_at(last, key), last.variant)
        )
    for trial in trials:
        _check_spec(trial, registry)
        protocol = registry.get(Protocol, trial.data.protocol)
        check_margin(pipeline.disturbed, trial.data, registry.get(BoxRule, protocol.box))
    if pipeline.reference and not overrides:  # which may leave the reference out, or multiply it
        fault = Reference(pipeline.reference, registry).fault(trials)
        if fault:
            raise OdnbenchError(fault)
    if pipeline.search is not None:
        space = space_of(pipeline.search, registry)
        varied_by = (space.neighbours, space.pairs)
        for key, neighbour in (near for t in trials for vary in varied_by for near in vary(t)):
            try:
                _check_spec(neighbour, registry)
            except OdnbenchError as error:
                raise OdnbenchError(f"search space {space.name}: {key}: {error}") from error
    return trials


def _is_axis(key: str, value: str, fields: Fields) -> bool:
    """Whether the text `value` of a key stands for several values. A list is one value, and a file
    may have a comma in its name.
    """
    origin: Any = get_origin(fields[key])
    return "," in value and origin is not tuple and key not in FILES


def _points(key: str, value: str, fields: Fields) -> list[Any]:
    """The values of a key on an axis that the text `value` stands for; a list is one value."""
    origin: Any = get_origin(fields[key])
    items = [value] if origin is tuple else value.split(",")
    return [parse(item, fields[key], f"-s {key}") for item in items]


def overruled(
    specs: Iterable[TrialSpec], registry: Registry, overrides: Sequence[str]
) -> list[str]:
    """A line for each of `overrides` that some trials do not follow.

    A variant that is defined without something stays without it: the mean shape is not trained,
    however many epochs the others get. A point of an axis keeps what it sets.
    """
    fields = spec_fields(registry)
    notes = []
    for text in overrides:
        key, value = _split_override(text, fields)
        without = {
            spec.variant: get_at(spec, key)
            for spec in specs
            if key in _changes_of(spec.variant, registry, fields)
            and get_at(spec, key) != _points(key, value, fields)[0]
        }
        if without:
            kept = ", ".join(f"{variant} ({kept})" for variant, kept in without.items())
            notes.append(f"-s {key}={value} does not reach what is defined without it: {kept}")
        elif not _is_axis(key, value, fields):
            wanted = parse(value, fields[key], f"-s {key}")
            own = {found for spec in specs if (found := get_at(spec, key)) != wanted}
            if own:
                kept = ", ".join(sorted(map(str, own)))
                notes.append(
                    f"-s {key}={value} does not reach the trials that have their own: {kept}"
                )
    return notes


def _contradiction(source: str, key: str, value: object, variant: str) -> str:
    return (
        f"{source} contradicts variant '{variant}', which sets {key} = {value!r}; leave one of "
        "them out, or choose other variants with -s variant=…"
    )


def _changes_of(variant: str, registry: Registry, fields: Fields) -> dict[str, Any]:
    """Dotted key → value, of the fields that a variant changes."""
    where = f"variant {variant}"
    return {
        (full := full_key(key, fields, where)): convert(value, fields[full], f"{where}: {full}")
        for key, value in registry.get(Variant, variant).changes.items()
    }


def _default_spec(registry: Registry) -> TrialSpec:
    weights = {name: weight.default for name, weight in registry.all(LossWeight).items()}
    slots = registry.all(Slot).values()
    modules = Names({slot.name: slot.default for slot in slots if slot.default != NONE})
    return TrialSpec(
        loss=from_mapping(LossSpec, weights, "registry/weights.toml"),
        model=ModelSpec(modules=modules),
    )


def _check_pipeline(pipeline: Pipeline, registry: Registry, fields: Fields) -> None:
    """Raises OdnbenchError unless every name in `pipeline` is known."""
    for table in pipeline.published:
        registry.get(Published, table)
    named = Reference(pipeline.reference, registry).values if pipeline.reference else {}
    if "variant" in named:
        registry.get(Variant, named["variant"])
    for column in pipeline.columns:
        registry.split(column)
    check_levels(pipeline.disturbances)
    if pipeline.rendered:
        _read_settings(pipeline.rendered, fields)


def _check_spec(spec: TrialSpec, registry: Registry) -> None:
    """Raises OdnbenchError unless every name in `spec` is registered and fits its place."""
    registry.get(Backbone, spec.model.backbone)
    head = registry.get(Head, spec.model.head)
    for name, slot in registry.all(Slot).items():
        module = spec.model.module(name)
        if module == NONE:
            continue
        if (actual := registry.get(Module, module).slot) != name:
            raise OdnbenchError(f"model.{name}: module '{module}' is for the slot {actual}")
        if slot.place == "vector" and head.takes != "vector":
            raise OdnbenchError(
                f"model.{name} '{module}' changes a vector of features, but head '{head.name}' "
                f"takes their map; add -s {name}=none"
            )
    _check_criterion(spec.loss, head, registry)
    if spec.loss.zeta and not spec.augment.occluders:
        raise OdnbenchError(
            f"loss.zeta {spec.loss.zeta:g} compares P with the masks of pasted occluders, but "
            "augment.occluders is 0; add -s occluders=0.5, or leave out loss.zeta"
        )
    _check_warmup(spec.train)
    for effect in spec.augment.effects:
        registry.get(Augmentation, effect)
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


def _check_criterion(loss: LossSpec, head: Head, registry: Registry) -> None:
    """Raises OdnbenchError unless the data term that `loss` asks for is one of `head`."""
    criterion = registry.get(Criterion, loss.criterion)
    # The default stands for whatever a head with a data term of its own does.
    if head.criterion == "own" and criterion.name != LossSpec.criterion:
        raise OdnbenchError(
            f"loss.criterion '{criterion.name}' would do nothing: head '{head.name}' has a data "
            "term of its own; leave loss.criterion out"
        )
    if head.criterion != "own" and head.criterion not in criterion.on:
        every = registry.all(Criterion).values()
        fitting = ", ".join(other.name for other in every if head.criterion in other.on)
        raise OdnbenchError(
            f"loss.criterion '{criterion.name}' compares {' or '.join(criterion.on)}, but head "
            f"'{head.name}' compares {head.criterion}; choose one of {fitting}"
        )
    if head.criterion != "points" and loss.unit != LossSpec.unit:
        raise OdnbenchError(
            f"loss.unit '{loss.unit}' is of criteria on points, but head '{head.name}' compares "
            "none; leave loss.unit out"
        )
    if criterion.unit and criterion.unit != loss.unit:
        raise OdnbenchError(
            f"loss.criterion '{criterion.name}' has its options in {criterion.unit}, but loss.unit "
            f"is '{loss.unit}'; add -s loss.unit={criterion.unit}"
        )


def _check_warmup(train: TrainSpec) -> None:
    """Raises OdnbenchError where the schedule has no place for the warm-up."""
    if train.warmup_epochs and train.schedule == "one-cycle":
        raise OdnbenchError(
            f"train.warmup_epochs is {train.warmup_epochs:g}, but the one-cycle schedule has a "
            "warm-up of its own; add -s schedule=cosine, or leave out train.warmup_epochs"
        )
    if 0 < train.epochs <= train.warmup_epochs:
        raise OdnbenchError(
            f"train.warmup_epochs must be below train.epochs ({train.epochs}), got "
            f"{train.warmup_epochs:g}"
        )


def _read_settings(name: str, fields: Fields) -> dict[str, Any]:
    path = _toml_file(name, shipped("pipelines") / "settings", "settings")
    return flat(read_toml(path), fields, str(path))


def _split_override(text: str, fields: Fields) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise OdnbenchError(f"-s {text}: expected key=value, as in -s train.epochs=24")
    return full_key(key.strip(), fields, "-s"), value.strip()


def _toml_file(name_or_file: str, folder: Path, kind: str) -> Path:
    """The file `name_or_file`, if it ends in .toml, else the file of that name in `folder`."""
    if name_or_file.endswith(".toml"):
        path = path_of(name_or_file)
        try:
            path.stat()
        except FileNotFoundError as error:
            raise OdnbenchError(f"{kind} file {path} is not there") from error
        except OSError as error:  # as for a name that no file can have
            raise OdnbenchError(f"{kind} file {path}: {error.strerror}") from error
        return path
    shipped_files = {path.stem: path for path in folder.glob("*.toml")}
    if name_or_file not in shipped_files:
        raise unknown(kind, name_or_file, shipped_files)
    return shipped_files[name_or_file]
