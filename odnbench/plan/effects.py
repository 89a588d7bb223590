"""How much of each effect a trial's augmentation has.

`augment.strength` is one number for all effects: one that the spec does not name has the amount
strength · reference, where the reference amount is that of its entry. One that is named has its own
amount, 0 included, so that "all but blur" is `-s strength=1 -s blur=0`. Shear and aspect, which are
degrees and a share, are counted among the effects.
"""

import dataclasses

from odnbench.plan.conversion import Amounts
from odnbench.plan.entries import Augmentation
from odnbench.plan.registry import Registry
from odnbench.plan.specs import AugmentSpec

REFERENCE_SHEAR_DEG = 10.0
REFERENCE_ASPECT = 0.1


def named(augment: AugmentSpec, registry: Registry) -> AugmentSpec:
    """The same augmentation with every amount named, those of 0 included.

    Effects stand in the order of the registry. Raises OdnbenchError for an unknown effect.
    """
    strength, effects = augment.strength, augment.effects
    for name in effects:
        registry.get(Augmentation, name)
    shear_deg, aspect = augment.shear_deg, augment.aspect
    return dataclasses.replace(
        augment,
        shear_deg=strength * REFERENCE_SHEAR_DEG if shear_deg is None else shear_deg,
        aspect=strength * REFERENCE_ASPECT if aspect is None else aspect,
        effects=Amounts(
            {
                name: effects.get(name, strength * entry.reference)
                for name, entry in registry.all(Augmentation).items()
            }
        ),
    )


def resolved(augment: AugmentSpec, registry: Registry) -> AugmentSpec:
    """The same augmentation with strength 0 and the amounts that are not 0 named; see `named`."""
    found = named(augment, registry)
    return dataclasses.replace(
        found,
        strength=0.0,
        shear_deg=found.shear_deg or None,
        aspect=found.aspect or None,
        effects=Amounts({name: amount for name, amount in found.effects.items() if amount}),
    )
