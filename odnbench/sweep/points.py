"""The trials at the points of a search."""

import dataclasses

from odnbench.plan.effects import named
from odnbench.plan.ids import trial_id
from odnbench.plan.registry import Registry
from odnbench.plan.spaces import Point, apply
from odnbench.plan.specs import TrialSpec
from odnbench.plan.titles import point_title
from odnbench.plan.trials import Trial
from odnbench.results.teachers import teacher_content


def trial_at(
    base: Trial, registry: Registry, point: Point, repeat: int = 0, identity: str = ""
) -> Trial:
    """The trial at a point of the space around `base`, with the `repeat`-th seed from its own.

    identity: its content id, where that is known; to tell it, weights files and teachers are read.
    """
    spec = apply(base.spec, point)
    spec = dataclasses.replace(spec, seed=base.spec.seed + repeat)
    if not identity:
        identity = trial_id(spec, registry, base.faces, teacher_content(spec, registry))
    title = title_of(point, base, registry, repeat)
    return dataclasses.replace(base, id=identity, spec=spec, title=title)


def with_amounts(spec: TrialSpec, registry: Registry) -> TrialSpec:
    """The same spec, every effect of which has an amount of its own."""
    return dataclasses.replace(spec, augment=named(spec.augment, registry))


def title_of(point: Point, base: Trial, registry: Registry, repeat: int = 0) -> str:
    """The title of a trial at a point."""
    title = point_title(point, registry)
    # The defaults may have by augment.strength the amount that a point names.
    defaults = with_amounts(base.spec, registry)
    if with_amounts(apply(base.spec, point), registry) == defaults:
        title += " (defaults)"
    return f"{title}, seed {base.spec.seed + repeat}" if repeat else title
