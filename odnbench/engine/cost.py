"""What it costs to predict faces with a network: work, time and memory, measured.

One pass of the network is measured as `predict` runs it: in eval mode, in the trial's precision, on
the trial's device and in as many threads as the trial has. The pictures are noise: neither time nor
memory depends on what they show, and no random number of the trial is taken.
"""

# B images in a batch, s side of the network's input

import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from odnbench.networks.base import LandmarkNetwork
from odnbench.results.records import COST_BATCH, Cost

_MOST_RUNS = 6  # of each batch size; the first picks algorithms
_MOST_SECONDS = 0.4  # after which no further run of a batch size is begun


def cost_of(network: LandmarkNetwork, size: int, bf16: bool, passes: int = 1) -> Cost | None:
    """The cost of predicting pictures of side `size`; None for a network without parameters.

    passes: of the network over each picture, two in a flip test; one of them is measured.

    Takes a second at most, or two passes of COST_BATCH faces where these take longer. Leaves
    weights and generators as they are, and the network in eval mode.
    """
    if not network.parameter_count:
        return None
    network.eval()
    device = network.mean_shape.device
    noise = torch.randn(COST_BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))
    inputs = noise.to(device).contiguous(memory_format=torch.channels_last)  # (B, 3, s, s)

    def run(faces: int) -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            network(inputs[:faces])

    in_torch = network.runs_in_torch
    single, batched = partial(run, 1), partial(run, COST_BATCH)
    return Cost(
        multiply_adds=passes * multiply_adds(network, inputs[:1]) if in_torch else None,
        ms_single=passes * 1000 * least_seconds(single, device),
        ms_batched=passes * 1000 * least_seconds(batched, device) / COST_BATCH,
        peak_bytes=_peak_bytes(batched, network, inputs) if in_torch else None,
        threads=torch.get_num_threads(),
    )


def multiply_adds(network: LandmarkNetwork, inputs: Tensor) -> int:
    """The multiply-adds of the convolutions and matrix products in one pass of `network`.

    Torch counts two floating-point operations for each of them. Activations, normalisation,
    pooling and resampling are not counted, as in published tables.
    """
    # Fused attention on the CPU is unknown to the counter; written out, it is two products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(inputs)
    return int(counter.get_total_flops()) // 2


def least_seconds(run: Callable[[], object], device: torch.device) -> float:
    """The seconds of the fastest of a few calls of `run`.

    Whatever else the machine does makes a call slower and none faster.
    """
    times: list[float] = []
    while len(times) < _MOST_RUNS and sum(times) < _MOST_SECONDS:
        times.append(seconds_of(run, device))
    return min(times)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Seconds that `run` takes, until `device` has finished the work too."""
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _peak_bytes(run: Callable[[], object], network: LandmarkNetwork, inputs: Tensor) -> int:
    """See `Cost.peak_bytes`."""
    held = [inputs, *chain(network.parameters(), network.buffers())]
    if inputs.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(inputs.device)
        before = torch.cuda.memory_allocated(inputs.device)
        run()
        taken: int = torch.cuda.max_memory_allocated(inputs.device) - before
        return taken + sum(tensor.nbytes for tensor in held)
    live = LiveTensors(held)
    with live:
        run()
    return live.peak_bytes


class LiveTensors(TorchDispatchMode):
    """Within the `with` block, the most bytes that tensors hold at the end of any operation.

    held: tensors of before the block that count too. What an operation takes for itself and gives
    back before its end is not seen.
    """

    def __init__(self, held: list[Tensor]):
        super().__init__()  # type: ignore[no-untyped-call]
        self._bytes = WeakIdKeyDictionary()  # storage → its bytes, as long as something holds it
        self.peak_bytes = 0
        self._add(held)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self._add([leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)])
        return output

    def _add(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._bytes[storage] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self._bytes.values()))
