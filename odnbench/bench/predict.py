"""Benchmark of `odnbench predict`: from picture files to points, compared with the network alone.

The bare network predicts one batch of pictures that are cropped already, as often as it takes for
as many faces. Overlays are left out: what they cost is the choice of the user.
"""

from collections import deque
from pathlib import Path

import numpy as np
import torch

from odnbench.bench.subject import Subject
from odnbench.bench.timing import Benchmark, in_turns, machine_of
from odnbench.datasets.boxes import Located
from odnbench.datasets.inputs import Source
from odnbench.datasets.pictures import read_picture
from odnbench.engine.augment import central_crop, normalise
from odnbench.engine.build import build_network
from odnbench.engine.predict_files import predict_pictures
from odnbench.engine.predictor import TrainedPredictor
from odnbench.engine.training import own_device

END_TO_END, BARE = "predict, from files to points", "the network alone, on one batch"


class _Known:
    """The boxes of the subject's pictures, which are known."""

    def __init__(self, subject: Subject):
        self._faces = {face.image: [Located(face)] for face in subject.files}

    def describe(self) -> str:
        return "known boxes"

    def annotated(self, path: Path) -> list[Located]:
        return self._faces[path]

    def of(self, path: Path, frame: int | None, picture: object) -> list[Located]:
        return self._faces[path]


def bench_predict(subject: Subject, *, batch_size: int, batches: int, repeats: int) -> Benchmark:
    """Times the prediction of `batches` · `batch_size` picture files of the subject, which are
    taken again from the first where it has fewer.
    """
    device, trial = own_device(), subject.trial
    network = build_network(trial.spec, subject.registry, trial.scheme.points)
    predictor = TrainedPredictor(trial, network, device, subject.registry)
    count = batches * batch_size
    taken = [subject.files[row % len(subject.files)] for row in range(count)]
    paths = [face.image for face in taken if isinstance(face.image, Path)]
    sources = [Source(path.name, path, "picture") for path in paths]
    crops = np.stack(
        [
            predictor.crop(read_picture(path, face.points), Located(face)).pixels
            for path, face in zip(paths[:batch_size], taken, strict=False)
        ]
    )
    images, size = torch.from_numpy(crops), predictor.input_px

    def bare() -> None:
        network.eval()
        with torch.inference_mode():
            for _ in range(batches):
                inputs = normalise(central_crop(images.to(device), size), network.normalisation)
                with torch.autocast(device.type, torch.bfloat16, enabled=predictor.bf16):
                    network(inputs).points.cpu()

    def end_to_end() -> None:
        known = _Known(subject)
        deque(
            predict_pictures(predictor, sources, known, batch_size=batch_size, overlays=False),
            maxlen=0,
        )

    timings = in_turns({END_TO_END: end_to_end, BARE: bare}, repeats)
    facts = {"images": float(count), "batch_size": float(batch_size), "size_px": float(size)}
    return Benchmark("predict", machine_of(device), timings, {END_TO_END: BARE}, facts)
