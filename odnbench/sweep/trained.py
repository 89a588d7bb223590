"""What is done with a trained network after its trial: exported to a file, or tested on faces of
another split.
"""

# N faces, L landmarks, S side of a prepared picture, s side of the network's input

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from odnbench import __version__
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.scheme_maps import box_rule_of, map_between, mapped, told
from odnbench.datasets.sources import FaceSource
from odnbench.engine.card import licence_of
from odnbench.engine.evaluate import FlipTest, mean_nme_percent, predict
from odnbench.engine.export import load_network
from odnbench.engine.exported import Exported, Format, export_network
from odnbench.engine.fit import TrialFailed, predict_test
from odnbench.engine.training import on_device, own_device, use_bf16
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import to_mapping
from odnbench.plan.protocols import FLIP_TEST, SchemeMap
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.predictions import Predictions

_BATCH = 32


@dataclass(frozen=True)
class Tested:
    """The faces of a split, for a network that is trained."""

    faces: FaceSet
    coverage: Coverage
    map: SchemeMap | None  # from the network's landmarks to those of the faces, where they differ
    notes: tuple[str, ...]  # sentences for people: what was substituted or is missing


def faces_for(
    trial: Trial,
    folder: TrialFolder,
    split: str,
    registry: Registry,
    data_root: Path | None,
    cache: Path,
    rendered: int | None = None,
) -> Tested:
    """The faces of `split`, cropped as those of `trial` were; see `box_rule_of` for a split with
    other points than the network's.

    rendered: how many faces are rendered where the data set is absent; None: as many as the trial's
    test splits had. Raises OdnbenchError for points that the network's cannot be mapped to, for
    faulty files, and for a split without faces.
    """
    dataset, _ = registry.split(split)
    rule, scheme_map = trial.box, map_between(trial.scheme, dataset, registry)
    if scheme_map is not None:
        mean_shape = load_network(trial, folder, registry).mean_shape.double().numpy()
        rule = box_rule_of(scheme_map, rule, mean_shape)
    data = dataclasses.replace(trial.spec.data, test=(split,))
    source = FaceSource(data, registry, data_root, cache, rule)
    absent = source.absent([split])
    notes = [f"{name} is not on this machine: its faces are rendered" for name in absent]
    if scheme_map is not None:
        notes.append(f"{split}: {told(scheme_map, trial.scheme)}")
        if rule != trial.box:
            notes.append(
                f"{split}: {rule.describe()}, as the mean shape of the training faces says"
            )
    faces, (coverage,) = source.union([split], rendered or data.rendered_test)
    if source.faults:
        raise OdnbenchError("\n".join(dict.fromkeys(source.faults)))
    if faces is None:
        raise OdnbenchError(
            f"{split}: no picture of its faces is below {data_root}; "
            f"`odnbench data doctor {dataset.name}` says what is missing"
        )
    notes += [*source.missing, *source.rules]
    return Tested(faces, coverage, scheme_map, tuple(notes))


def evaluate(trial: Trial, folder: TrialFolder, tested: Tested, registry: Registry) -> Predictions:
    """What the trained network of `trial` predicts for faces, as the trial predicted its own test
    faces: with its precision, and with a flip test if it had one.

    Mapped landmarks have no confidence. Raises OdnbenchError where the weights are damaged, or a
    prediction is not finite.
    """
    device, data, faces = own_device(), trial.spec.data, tested.faces
    network = load_network(trial, folder, registry).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    bf16 = use_bf16(trial.spec.train.precision, device)
    images = on_device(faces.images, device)
    try:
        found = predict_test(
            network, faces, images, data.input_size, bf16, FlipTest.of(trial, registry)
        )
    except TrialFailed as error:
        raise OdnbenchError(f"{trial.title}: {error}; the network is of no use") from error
    if tested.map is None:
        return found
    return dataclasses.replace(
        found, predicted=mapped(found.predicted, tested.map), confidence=None
    )


def export(
    trial: Trial,
    folder: TrialFolder,
    registry: Registry,
    path: Path,
    format: Format,
    *,
    quantised: bool,
    nme_percent: Mapping[str, float],
) -> Exported:
    """Writes the trained network of `trial` to `path`; see `export_network`.

    nme_percent: test split → NME under the trial's protocol.
    """
    network = load_network(trial, folder, registry)
    record = record_of(trial, folder, registry, nme_percent, quantised=quantised)
    size = trial.spec.data.input_size
    return export_network(network, size, record, path, format, quantised=quantised)


def nme_percent_of(
    exported: Exported, trial: Trial, folder: TrialFolder, faces: FaceSet, registry: Registry
) -> tuple[float, float]:
    """NME in percent, under the trial's protocol, of the network on the CPU and of the file that it
    was exported to, both predicting each of `faces`, which have the network's points, once.
    """
    size, stored = trial.spec.data.input_size, faces.images.shape[1]
    network = load_network(trial, folder, registry)
    images = on_device(faces.images, torch.device("cpu"))
    ours = predict(network, faces, images, size, bf16=False).points
    start = (stored - size) // 2
    crops = faces.images[:, start : start + size, start : start + size]
    points = [
        exported.predict(np.ascontiguousarray(crops[first : first + _BATCH]))["points"]
        for first in range(0, len(crops), _BATCH)
    ]
    of_file = faces.to_image(np.concatenate(points).astype(np.float64) + start)
    nme, other = (
        mean_nme_percent(found, faces, trial.protocol, trial.scheme) for found in (ours, of_file)
    )
    return nme, other


def record_of(
    trial: Trial,
    folder: TrialFolder,
    registry: Registry,
    nme_percent: Mapping[str, float],
    *,
    quantised: bool = False,
) -> dict[str, Any]:
    """What the user of an exported network must know, as JSON has it (docs/export.md)."""
    spec, box, trained = trial.spec, trial.box, trial.coverage[0]
    size, stored = spec.data.input_size, spec.data.stored_size
    return {
        "made_by": f"odnbench {__version__}",
        "trial": trial.id,
        "title": trial.title,
        "quantised": quantised,
        "input": {
            "name": "images",
            "shape": ["N", size, size, 3],
            "type": "uint8",
            "colours": "RGB",
            "normalisation": "in the network",
        },
        "crop": {
            "text": f"{box.describe()}; sides rounded to whole pixels, black outside of the image",
            "box": box.source,
            "shape": box.shape,
            "grown": box.grown,
            "factor": box.factor,
            "margin": stored / size,
            "resized_px": stored,
            "middle_px": size,
        },
        "scheme": to_mapping(trial.scheme),
        "protocol": to_mapping(trial.protocol),
        "training": {
            "split": trained.split,
            "faces": trained.faces,
            "rendered": trained.rendered,
            "share": spec.data.train_fraction,
            "licence": licence_of(trained, registry),
            "pretrained": spec.model.pretrained,
        },
        "numbers": {
            "validation_nme_percent": folder.result.validation_nme_percent,
            "test_nme_percent": dict(nme_percent),
            "coverage": {one.split: str(one) for one in trial.coverage[1:]},
            "predicted": FLIP_TEST if spec.data.flip_test else "each face once",
        },
    }
