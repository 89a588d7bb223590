"""Benchmark of training, compared with the least that must be done and with the field's habit.

BARE       the same network and optimiser on one fixed random batch, without any penalty
FULL       the engine's step: batches from uint8 pictures, augmentation, all five penalties
AUGMENTED  the engine's step with all effects of the registry at their reference amounts
PLAIN      the engine's step in single precision, channels first
HABIT      the engine's step in single precision, channels first, fed by a DataLoader that decodes
           and warps sample by sample (habit.py)
"""

# B images in a batch, L landmarks, s side of the input

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from odnbench.bench.habit import PerSample
from odnbench.bench.subject import Subject
from odnbench.bench.timing import Benchmark, in_turns, machine_of
from odnbench.engine.training import Batch, Training, own_device, use_bf16
from odnbench.plan.conversion import replace_at

BARE, FULL, PLAIN, HABIT = "bare loop", "full step", "full step, plain float32", "field's habit"
AUGMENTED = "full step, augmented"
# Side of the square matrices whose product measures the device's peak.
_MATRIX_SIDE = {"cuda": 4096, "cpu": 1024}


def bench_train(subject: Subject, *, steps: int, repeats: int) -> Benchmark:
    """Times `steps` training steps of each contender on the same machine, in turns."""
    device = own_device()
    B, s = subject.trial.spec.train.batch_size, subject.trial.spec.data.input_size
    rows = np.arange(B * steps) % len(subject.faces.train)

    def training(precision: str, strength: float = 0.0) -> Training:
        spec = replace_at(subject.trial.spec, "train.precision", precision)
        spec = replace_at(spec, "augment.strength", strength)
        spec = replace_at(spec, "train.epochs", 1000)  # more than are timed
        trial = dataclasses.replace(subject.trial, spec=spec)
        return Training.of(trial, subject.faces.train, rows, subject.registry, device)

    full, bare, plain, habit = (training(p) for p in ("auto", "auto", "float32", "float32"))
    for channels_first in (plain, habit):
        channels_first.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for group in bare.optimizer.param_groups:
        group["weight_decay"] = 0.0  # the quadratic penalties
    noise = torch.randn(B, 3, s, s, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.randn(B, subject.trial.scheme.points, 2, device=device)
    files = PerSample([subject.files[i % len(subject.files)] for i in rows], subject.trial)
    loader = DataLoader(
        files,
        B,
        shuffle=True,
        drop_last=True,
        num_workers=os.cpu_count() or 1,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )

    def bare_step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bare.bf16):
            prediction = bare.network(noise)
        loss = bare.network.data_term(prediction, target, bare.objective.criterion).mean()
        bare.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        bare.optimizer.step()

    def bare_loop() -> None:
        for _ in range(steps):
            bare_step()

    def plain_epoch() -> None:
        for batch in plain.batches.epoch(plain.generator):
            plain.step(batch._replace(inputs=batch.inputs.contiguous()))

    def habit_epoch() -> None:
        for inputs, targets in loader:
            habit.step(Batch(inputs.to(device), targets.to(device)))

    def synchronised(run: Callable[[], object]) -> Callable[[], None]:
        def timed() -> None:
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return timed

    for each in (full, bare, plain, habit):
        each.network.train()
    with FlopCounterMode(display=False) as counter:
        bare_step()
    # A processor without bf16 emulates it, hundreds of times slower than it computes float32.
    peak = torch.bfloat16 if use_bf16("auto", device) else torch.float32
    side = _MATRIX_SIDE[device.type]
    matrix = torch.randn(side, side, device=device, dtype=peak)
    contenders = {BARE: bare_loop, FULL: full.epoch, PLAIN: plain_epoch, HABIT: habit_epoch}
    contenders[AUGMENTED] = training("auto", strength=1.0).epoch
    timings = in_turns({name: synchronised(run) for name, run in contenders.items()}, repeats)
    (matmul,) = in_turns({"matrix product": synchronised(lambda: matrix @ matrix)}, repeats)
    facts = {
        "images": float(B * steps),
        "size_px": s,
        "batch": B,
        "flops_per_image": counter.get_total_flops() / B,
        "peak_flops_per_second": 2 * side**3 / matmul.median,
    }
    baselines = {FULL: BARE, AUGMENTED: FULL, PLAIN: FULL, HABIT: FULL}
    return Benchmark("train", machine_of(device), timings, baselines, facts)
