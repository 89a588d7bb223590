"""Predictions of a network, as landmarks of another point scheme than it was trained on.

Where the network was trained on crops around the landmarks' tight box, the landmarks of the other
scheme have another box: COFW's 29, of which one lies on the jaw, a much smaller one than 300W's 68.
The mean shape of the training faces says how the two lie to each other, and with that the crop is
as in training as far as a face is like the mean.
"""

# N faces, T landmarks of the network, G landmarks of the other scheme

from dataclasses import replace

import numpy as np

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule, Scheme, SchemeMap
from odnbench.plan.registry import Registry


def map_between(takes: Scheme, dataset: Dataset, registry: Registry) -> SchemeMap | None:
    """The map from the landmarks of scheme `takes` to those of `dataset`; None where they are the
    same.

    Raises OdnbenchError where the registry has none.
    """
    if takes.name == dataset.scheme:
        return None
    for rule in registry.all(SchemeMap).values():
        if (rule.takes, rule.gives) == (takes.name, dataset.scheme):
            return rule
    raise OdnbenchError(
        f"{dataset.name} has the points of scheme {dataset.scheme}, the network predicts those of "
        f"scheme {takes.name}, and no map of the registry leads from these to those; name a data "
        "set with the network's points, or register a map (docs/extending.md)"
    )


def mapped(points: Floats, rule: SchemeMap) -> Floats:
    """(…, T, 2) → (…, G, 2): the landmarks of the scheme that `rule` gives."""
    axes = (
        np.stack([points[..., list(group), axis].mean(axis=-1) for group in groups], axis=-1)
        for axis, groups in enumerate(rule.groups)
    )
    return np.stack(list(axes), axis=-1)


def box_rule_of(rule: SchemeMap, box: BoxRule, mean_shape: Floats) -> BoxRule:
    """The rule that gives a face with G landmarks the crop that `box` gives it with T.

    mean_shape: (T, 2), the mean of the training faces in their crops.
    """
    if box.source != "landmarks":
        return box
    low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    seen = mapped(mean_shape, rule)
    sides = np.ptp(seen, axis=0)
    # Of the box of the G landmarks, by which it grows to that of the T, which `box` may grow on.
    first, last = (seen.min(axis=0) - low) / sides, (high - seen.max(axis=0)) / sides
    grown = np.stack([first, last]) + np.reshape(box.grown, (2, 2)) * (1 + first + last)
    return replace(box, grown=tuple(grown.ravel().tolist()))


def told(rule: SchemeMap, takes: Scheme) -> str:
    """What readers of a number must know of the map, in a sentence."""
    unused = rule.unused(takes.points)
    lost = f"; {len(unused)} of the {takes.points} are not used" if unused else ""
    return (
        f"predicted with {takes.points} points and mapped to {len(rule.points)} by {rule.name} "
        f"({rule.source}){lost}"
    )
