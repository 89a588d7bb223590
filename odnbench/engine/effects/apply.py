"""Which faces of a batch get which effect, and how much of it.

Effects come after the occluders, as a camera sees both, and one after the other as the registry
lists them. Whatever is random is drawn on the CPU, so that a seed means the same on every device;
an effect is computed for the faces alone that get it.
"""

# B images, of which n get an effect, s side of the images

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from odnbench.engine.transfer import move
from odnbench.plan.entries import Augmentation
from odnbench.plan.registry import Registry, import_target

RANDOM = 8  # random numbers that an effect gets for each picture


@dataclass(frozen=True)
class Effect:
    """One effect, with the amount of it that a trial has."""

    change: Callable[..., Tensor]  # of images, amounts and random; see plan.entries.Augmentation
    amount: float  # in [0, 1]
    occludes: bool  # whether what it changes is hidden

    def __call__(self, images: Tensor, covered: Tensor | None, generator: torch.Generator) -> None:
        """Changes images (B, 3, s, s), in grey levels, and marks in covered (B, 1, s, s) what the
        effect hides; both in place.
        """
        drawn = torch.rand(len(images), 2 + RANDOM, generator=generator)
        chosen = torch.nonzero(drawn[:, 0] < self.amount)[:, 0]
        if not len(chosen):
            return
        there, random = move(chosen, images.device), move(drawn[chosen, 1:], images.device)
        before = images.index_select(0, there)
        after = self.change(
            images=before, amounts=self.amount * random[:, 0], random=random[:, 1:]
        ).clamp(0, 255)
        images.index_copy_(0, there, after)
        if self.occludes and covered is not None:
            # Resampling leaves what is white a rounding above 255.
            hidden = (after != before.clamp(0, 255)).any(dim=1, keepdim=True)
            covered.index_copy_(0, there, covered[there].masked_fill(hidden, 1.0))


def effects_of(amounts: Mapping[str, float], registry: Registry) -> tuple[Effect, ...]:
    """The effects of which a resolved spec has the `amounts`."""
    effects = []
    for name, amount in amounts.items():
        entry = registry.get(Augmentation, name)
        change = partial(import_target(entry.target), **entry.options)
        effects.append(Effect(change, amount, entry.occludes))
    return tuple(effects)
