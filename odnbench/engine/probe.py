"""The cost of a trial, measured: it trains for a moment on this machine and predicts a few faces.

The steps are those of `fit`, on the trial's own faces; nothing is written.
"""

# B images in a batch

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import torch

from odnbench.datasets.sources import TrialFaces
from odnbench.engine.cost import seconds_of
from odnbench.engine.evaluate import BATCH, FlipTest, predict
from odnbench.engine.fit import spectrum
from odnbench.engine.memory import return_freed_memory
from odnbench.engine.training import Batch, Training, on_device, own_device
from odnbench.plan.conversion import replace_at
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial

_MOST_STEPS = 50
_GAIN = 1.05  # least ratio of images per second for which twice as many trials at once pay off
_CONTEXT_BYTES = 600_000_000  # of a GPU, which a process takes beside its tensors; rather high


@dataclass(frozen=True)
class Probe:
    """Time and memory of training and prediction on the machine that measured them."""

    start_seconds: float  # building the network, and the first step, in which it may be compiled
    step_seconds: float
    epoch_seconds: float  # at the end of an epoch, beside validation
    face_seconds: float  # to predict one face
    peak_bytes: int  # of memory, beyond what the process held before

    def trial_seconds(self, trial: Trial, faces: TrialFaces, disturbances: int = 0) -> float:
        """Estimated seconds of the whole of `trial` on `faces`, at the speed that was measured.

        disturbances: after how many the test faces are predicted again.
        """
        spec = trial.spec
        rows, validation_rows = faces.split(spec.data)
        steps = len(rows) // min(spec.train.batch_size, len(rows))
        judged = len(faces.test) if spec.train.select == "test" else len(validation_rows)
        epoch = steps * self.step_seconds + judged * self.face_seconds + self.epoch_seconds
        tested = len(faces.test) * (1 + spec.data.pasted_test + disturbances)
        tested += 0 if spec.train.epochs else judged
        epochs_seconds = spec.train.epochs * epoch
        return self.start_seconds + epochs_seconds + tested * self.face_seconds


def probe(trial: Trial, faces: TrialFaces, registry: Registry, seconds: float = 1.0) -> Probe:
    """Trains `trial` for about `seconds`, at least for one step after the first, and predicts a
    batch of its test faces, in as many threads as torch is set to.

    Raises what building the network raises, and OdnbenchError where there are too few faces.
    """
    device = own_device()
    peak = _MemoryPeak(device)
    rows, _ = faces.split(trial.spec.data)
    # A schedule of one cycle refuses to go on after its last step.
    longer = replace_at(trial.spec, "train.epochs", max(_MOST_STEPS, trial.spec.train.epochs))
    longer_trial = dataclasses.replace(trial, spec=longer)
    started = time.perf_counter()
    training = Training.of(longer_trial, faces.train, rows, registry, device)
    start_seconds, steps = time.perf_counter() - started, [0.0]
    if trial.spec.train.epochs:
        training.network.train()
        batches = _batches(training)

        def step() -> None:
            training.step(next(batches))

        seconds_of(step, device)
        steps.clear()
        start_seconds = time.perf_counter() - started
        while not steps or (sum(steps) < seconds and len(steps) < _MOST_STEPS - 1):
            steps.append(seconds_of(step, device))
    few = faces.test[np.arange(min(len(faces.test), BATCH))]
    images, size = on_device(few.images, device), trial.spec.data.input_size

    def predict_few() -> None:
        predict(training.network, few, images, size, training.bf16, FlipTest.of(trial, registry))

    def end_epoch() -> None:
        training.objective.penalties(spectrum(training.network))

    seconds_of(predict_few, device)  # the first picks its algorithms
    return Probe(
        start_seconds=start_seconds,
        step_seconds=median(steps),
        epoch_seconds=seconds_of(end_epoch, device),
        face_seconds=seconds_of(predict_few, device) / len(few),
        peak_bytes=peak.bytes(),
    )


def trials_per_gpu(throughput: Callable[[int], float], most: int) -> int:
    """How many trials to run side by side on a GPU: 1, 2, 4, … up to `most`, as long as each
    doubling trains at least 5 % more images per second in all.

    throughput: number of trials → images per second of all of them together, measured. It is not
    called where `most` is 1.
    """
    chosen = 1
    found = throughput(1) if most > 1 else 0.0
    while 2 * chosen <= most:
        more = throughput(2 * chosen)
        if more < _GAIN * found:
            break
        chosen, found = 2 * chosen, more
    return chosen


def _batches(training: Training) -> Iterator[Batch]:
    """Batches of one epoch after the other, without end."""
    for _ in count():
        yield from training.batches.epoch(training.generator)


class _MemoryPeak:
    """The peak of the memory that this process takes from now on, beyond what it holds."""

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        else:
            # On Linux, freed memory is returned and the peak reset, so that an earlier peak does
            # not hide the new one; elsewhere only a peak above all earlier ones is seen.
            return_freed_memory()
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self.before = _peak_resident_bytes()

    def bytes(self) -> int:
        """The peak so far, in bytes; on a GPU, the context of the process included."""
        if self.on_gpu:
            return torch.cuda.max_memory_reserved() + _CONTEXT_BYTES
        return _peak_resident_bytes() - self.before


def _peak_resident_bytes() -> int:
    """The most resident memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
