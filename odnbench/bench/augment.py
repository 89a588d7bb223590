"""Benchmark of augmentation: a whole batch at once, compared with one sample after the other."""

import cv2
import numpy as np
import torch

from odnbench.bench.subject import Subject
from odnbench.bench.timing import Benchmark, in_turns, machine_of
from odnbench.engine.augment import IMAGENET, sample_transforms
from odnbench.engine.training import Batches, own_device

BATCH, LOOP = "one resampling per batch", "cv2.warpAffine per sample"


def bench_augment(subject: Subject, *, repeats: int) -> Benchmark:
    """Times the way from uint8 pictures in memory to one batch of the network's input."""
    device = own_device()
    trial, faces = subject.trial, subject.faces.train
    rows = np.arange(min(trial.spec.train.batch_size, len(faces)))
    batches = Batches.of(faces, rows, trial, subject.registry, device)
    size, stored = batches.input_size, faces.images.shape[1]
    generator = torch.Generator().manual_seed(0)

    def batched() -> None:
        for _ in batches.epoch(generator):
            if device.type == "cuda":
                torch.cuda.synchronize()

    def by_sample() -> None:
        transforms, _ = sample_transforms(len(rows), batches.augment, generator)
        samples = []
        for row, transform in zip(rows, transforms.double().numpy(), strict=True):
            # from [-1, 1] over the input to pixels of the prepared picture
            A = transform[:, :2]
            t = transform[:, 2] * size / 2 + (stored - 1) / 2
            to_stored = np.column_stack([A, t - A @ np.full(2, (size - 1) / 2)])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            crop = cv2.warpAffine(faces.images[row], to_stored, (size, size), flags=flags)
            image = (crop.astype(np.float32) / 255 - IMAGENET.mean) / IMAGENET.std
            samples.append(torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)))
        torch.stack(samples).to(device).contiguous(memory_format=torch.channels_last)

    timings = in_turns({BATCH: batched, LOOP: by_sample}, repeats)
    facts = {"batch": float(len(rows)), "size_px": size}
    return Benchmark("augment", machine_of(device), timings, {BATCH: LOOP}, facts)
