"""A trained network for a notebook: `odnbench.load`."""

# L landmarks, S side of a crop with its margin, s side of the network's input

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.crop import window_of
from odnbench.datasets.faces import Face
from odnbench.engine.export import ServedNetwork, load_network
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.models import find_model


@dataclass(frozen=True)
class Loaded:
    """The network of a finished trial."""

    trial: Trial
    network: ServedNetwork

    def predict(self, image: Bytes, box: Sequence[float] | Floats) -> Floats:
        """(L, 2) landmarks x y of one face, in pixels of `image`, whose centres are at integers.

        image: (H, W, 3) uint8 RGB. box: left, top, right, bottom of the face, of the kind from
        which the trial's box rule starts (`trial.box.describe()`). The face is predicted once, also
        where the trial's numbers are those of a flip test. Raises OdnbenchError for a picture of
        another kind and for a box without area.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise OdnbenchError(
                f"image must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}; "
                "convert it, as by cv2.cvtColor(image, cv2.COLOR_BGR2RGB)"
            )
        edges = np.asarray(box, np.float64)
        face = Face("the face", "image", image, edges.reshape(2, 2), box=edges, detector_box=edges)
        data = self.trial.spec.data
        stored, size = data.stored_size, data.input_size
        window = window_of(face, self.trial.box, stored / size)
        crop = window.cut(image, np.empty((stored, stored, 3), np.uint8))
        with torch.inference_mode():
            found = self.network(torch.from_numpy(crop[None]))[0].double().numpy()
        affine = window.crop_to_image(stored)
        points: Floats = (found + (stored - size) / 2) @ affine[:, :2].T + affine[:, 2]
        return points


def load(
    model: str | Path, *, storage: str | Path = "runs", registry: Iterable[str | Path] = ()
) -> Loaded:
    """The network of a finished trial, on the CPU.

    model: the trial's folder or checkpoint, or "best:PIPELINE", the trial of the pipeline's last
    plan below `storage` with the lowest validation NME. registry: folders of entries that it was
    made of, beside those that are shipped or installed. Raises OdnbenchError where there is no such
    trial, or its weights are gone or damaged.
    """
    folder = find_model(str(model), Path(storage))
    trial = folder.trial
    network = load_network(trial, folder, Registry.load(map(Path, registry)))
    return Loaded(trial, ServedNetwork(network, trial.spec.data.input_size).eval())
