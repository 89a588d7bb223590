"""Benchmark of prediction: in batches, compared with one face at a time in single precision."""

import torch

from odnbench.bench.subject import Subject
from odnbench.bench.timing import Benchmark, in_turns, machine_of
from odnbench.engine.augment import central_crop, normalise
from odnbench.engine.build import build_network
from odnbench.engine.evaluate import predict
from odnbench.engine.training import on_device, own_device, use_bf16

BATCHED, ONE_BY_ONE = "predict", "one face at a time, float32"


def bench_evaluate(subject: Subject, *, repeats: int) -> Benchmark:
    """Times the prediction of every test face of the subject."""
    device = own_device()
    trial, faces = subject.trial, subject.faces.test
    network = build_network(trial.spec, subject.registry, trial.scheme.points).to(device)
    plain = build_network(trial.spec, subject.registry, trial.scheme.points).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, size = on_device(faces.images, device), trial.spec.data.input_size
    bf16 = use_bf16(trial.spec.train.precision, device)

    def one_by_one() -> None:
        plain.eval()
        with torch.no_grad():
            for image in images:
                crop = central_crop(image[None].to(device), size)
                plain(normalise(crop, plain.normalisation).contiguous()).points.cpu()

    contenders = {
        BATCHED: lambda: predict(network, faces, images, size, bf16),
        ONE_BY_ONE: one_by_one,
    }
    timings = in_turns(contenders, repeats)
    facts = {"faces": float(len(faces)), "size_px": size}
    return Benchmark("evaluate", machine_of(device), timings, {BATCHED: ONE_BY_ONE}, facts)
