"""The network that a spec describes."""

from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.entries import Variant
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.specs import TrialSpec


def build_network(spec: TrialSpec, registry: Registry, landmarks: int) -> LandmarkNetwork:
    """The network of `spec`, with fresh or pretrained weights."""
    variant = registry.get(Variant, spec.variant)
    network: LandmarkNetwork = import_target(variant.network)(
        model=spec.model,
        registry=registry,
        landmarks=landmarks,
        input_size=spec.data.input_size,
        **variant.options,
    )
    return network
