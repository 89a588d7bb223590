"""The contract of effects on pictures."""

# n pictures, s their side

import torch
from torch import Tensor

from odnbench.engine.effects.apply import RANDOM
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import field_types
from odnbench.plan.entries import Augmentation
from odnbench.plan.registry import Registry
from odnbench.plan.specs import AugmentSpec

_SIDE = 32
_AMOUNTS = (0.3, 0.6, 1.0)


def check_augmentation(registry: Registry, name: str) -> str:
    """The name is free in the spec. Pictures become pictures of the same shape; each depends on its
    own picture, amount and random numbers alone; the arguments stay as they are.
    """
    if name in field_types(AugmentSpec):
        raise OdnbenchError(f"the name '{name}' is taken in augment; give it another one")

    def changed(images: Tensor, amounts: Tensor, random: Tensor) -> Tensor:
        arguments = {"images": images, "amounts": amounts, "random": random}
        before = {what: tensor.clone() for what, tensor in arguments.items()}
        found = registry.build(Augmentation, name, **arguments)
        if not isinstance(found, Tensor) or found.shape != images.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise OdnbenchError(
                f"it must return pictures (n, 3, s, s), here {tuple(images.shape)}, got {shape}"
            )
        if found.dtype != torch.float32 or not found.isfinite().all():
            raise OdnbenchError(f"its pictures must be float32 and finite, got {found.dtype}")
        for what, tensor in arguments.items():
            if not torch.equal(tensor, before[what]):
                raise OdnbenchError(f"it must not write to {what}; change a copy")
        return found

    images = 255 * torch.rand(len(_AMOUNTS), 3, _SIDE, _SIDE)
    amounts, random = torch.tensor(_AMOUNTS), torch.rand(len(_AMOUNTS), RANDOM)
    together = changed(images, amounts, random)
    if torch.equal(together, images):
        raise OdnbenchError(f"it changes nothing, with amounts up to {max(_AMOUNTS)}")
    if not torch.equal(changed(images, amounts, random), together):
        raise OdnbenchError(
            "a second call gives other pictures; all that is random must come from `random`"
        )
    rows = range(len(images))
    alone = [changed(images[i : i + 1], amounts[i : i + 1], random[i : i + 1]) for i in rows]
    if not torch.allclose(torch.cat(alone), together, atol=0.01):
        raise OdnbenchError("a picture must not depend on the others of its batch")
    return ""
