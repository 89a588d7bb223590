"""A trained network as one file that needs no odnbench: ONNX, or a program of torch.export.

The file takes crops as they leave an image library, (N, s, s, 3) uint8 RGB; it normalises them
itself and gives points in pixels of the crop. What a user must know besides (how faces are cropped,
which point is which, what the network was trained on) stands in the file as JSON under the key
RECORD: in the metadata of ONNX, and as an extra file of torch.export.

Before anything is written, the file predicts pictures that PyTorch predicts too.
"""

# N images, L landmarks, s side of the network's input, h×w occlusion map P

import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.arrays import Bytes, Floats
from odnbench.engine.augment import to_pixels
from odnbench.errors import OdnbenchError, one_line
from odnbench.files.whole import write_whole
from odnbench.networks.base import LandmarkNetwork
from odnbench.networks.onnx_file import OnnxFile, library

RECORD = "odnbench"  # the key of the JSON in a file
INPUT = "images"
# name → what it is; a network gives those that it has, in this order.
OUTPUTS = {
    "points": "N×L×2 float32: x y in pixels of the crop, from 0 at the centre of its first pixel",
    "confidence": "N×L float32 in 0 to 1: how sure the head is of each point, not calibrated",
    "occlusion_map": "N×1×h×w float32 in 0 to 1 over the crop: 1 where the network trusts it",
}
LARGEST_DIFFERENCE_PX = 1e-3  # between the file and PyTorch
_PICTURES, _CELLS, _SEED = 32, 8, 2019

Format = Literal["onnx", "torch-export"]
# (N, s, s, 3) uint8 → name → output.
Predictor = Callable[[Bytes], Mapping[str, Floats]]


class Exported(NamedTuple):
    """A file that was written, and how far its points lie from those of PyTorch."""

    path: Path
    bytes: int
    mean_difference_px: float
    largest_difference_px: float
    predict: Predictor


class CropNetwork(nn.Module):
    """(N, s, s, 3) uint8 RGB crops → OUTPUTS, those that the network has; each crop is predicted
    once.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: LandmarkNetwork, size: int):
        super().__init__()
        self.network, self.size = network, size
        mean, deviation = torch.tensor(network.normalisation)[:, :, None, None]
        self.register_buffer("shift", -mean / deviation)
        self.register_buffer("scale", 1 / (255 * deviation))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        prediction = self.network(images.permute(0, 3, 1, 2).float() * self.scale + self.shift)
        found = {
            "points": to_pixels(prediction.points, self.size),
            "confidence": self.network.confidence(prediction),
            "occlusion_map": prediction.occlusion_map,
        }
        return {name: found[name].float() for name in OUTPUTS if found[name] is not None}

    def predict(self, images: Bytes) -> dict[str, Floats]:
        """The outputs for `images` as arrays."""
        with torch.inference_mode():
            return {k: v.numpy() for k, v in self(torch.from_numpy(images)).items()}


def export_network(
    network: LandmarkNetwork,
    size: int,
    record: Mapping[str, Any],
    path: Path,
    format: Format = "onnx",
    *,
    quantised: bool = False,
) -> Exported:
    """Writes `network`, on the CPU, with `record` to `path`.

    size: s. quantised: whether the weights of matrix products and convolutions are stored in 8 bits
    and the values they meet are rounded to 8 bits while the network runs, of ONNX alone; how far
    points then move is told and not judged. Raises OdnbenchError where a library is missing, the
    network cannot be exported, or the file does not predict what PyTorch does; `path` is then as it
    was.
    """
    module = CropNetwork(network, size).eval()
    names = [name for name in OUTPUTS if name in module.predict(pictures(size)[:1])]
    text = json.dumps(
        {**record, "outputs": {name: OUTPUTS[name] for name in names}}, ensure_ascii=False
    )
    if format == "onnx":
        content = _onnx(module, names, text)
        predict = onnx_predictor(content)
    else:
        content = _program(module, text)
        predict = program_predictor(content)
    shown = pictures(size)
    differences = _distances(module.predict(shown)["points"], predict(shown)["points"])
    if not differences.max() <= LARGEST_DIFFERENCE_PX:
        raise OdnbenchError(
            f"{one_line(path)}: not written: on {_PICTURES} pictures of noise the exported "
            f"network's points lie up to {differences.max():.3g} px from those of PyTorch, and may "
            f"lie {LARGEST_DIFFERENCE_PX:g} px from them; try the other format"
        )
    if quantised:
        content = _quantised(content, text)
        predict = onnx_predictor(content)
        differences = _distances(module.predict(shown)["points"], predict(shown)["points"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    mean, largest = float(differences.mean()), float(differences.max())
    return Exported(path, len(content), mean, largest, predict)


def pictures(size: int) -> Bytes:
    """(32, s, s, 3): clouds of colour, the same each time, on which every network can be tried."""
    coarse = torch.from_numpy(np.random.default_rng(_SEED).random((_PICTURES, 3, _CELLS, _CELLS)))
    fine = functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    found: Bytes = (255 * fine).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return found


def onnx_predictor(content: bytes) -> Predictor:
    """What ONNX Runtime predicts with the content of a file, on the CPU."""
    file = OnnxFile(content)

    def predict(images: Bytes) -> Mapping[str, Floats]:
        found = file.run(torch.from_numpy(images).permute(0, 3, 1, 2))
        return {name: output.numpy() for name, output in found.items()}

    return predict


def program_predictor(content: bytes) -> Predictor:
    """What a program of torch.export predicts, read from the content of its file."""
    program = torch.export.load(io.BytesIO(content)).module()

    def predict(images: Bytes) -> Mapping[str, Floats]:
        with torch.inference_mode():
            return {k: v.numpy() for k, v in program(torch.from_numpy(images)).items()}

    return predict


def _captured(module: CropNetwork) -> torch.export.ExportedProgram:
    # Two pictures: of a batch of one, the export would make a fixed size.
    example = torch.from_numpy(pictures(module.size)[:2])
    dynamic = ({0: torch.export.Dim("batch")},)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        try:
            return torch.export.export(module, (example,), dynamic_shapes=dynamic)
        except Exception as error:  # whatever an operator that cannot be exported leads to
            raise _not_exported(error) from error


def _program(module: CropNetwork, record: str) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_captured(module), buffer, extra_files={RECORD: record})
    return buffer.getvalue()


def _onnx(module: CropNetwork, names: list[str], record: str) -> bytes:
    library("onnx")
    library("onnxscript")
    program = _captured(module)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        try:
            exported = torch.onnx.export(
                program, dynamo=True, input_names=[INPUT], output_names=names, verbose=False
            )
        except Exception as error:
            raise _not_exported(error) from error
    assert exported is not None
    return _with_record(exported.model_proto, record)


def _quantised(content: bytes, record: str) -> bytes:
    """The ONNX file `content` with weights of 8 bits."""
    onnx = library("onnx")
    quantization = library("onnxruntime.quantization")
    with TemporaryDirectory() as temporary:
        whole, small = Path(temporary) / "whole.onnx", Path(temporary) / "small.onnx"
        whole.write_bytes(content)
        logging.disable(logging.WARNING)  # which advises on files that are not from PyTorch
        try:
            # The CPU has no convolution of signed weights.
            quantization.quantize_dynamic(whole, small, weight_type=quantization.QuantType.QUInt8)
        finally:
            logging.disable(logging.NOTSET)
        return _with_record(onnx.load(small), record)


def _with_record(model: Any, record: str) -> bytes:
    """The content of the file of an ONNX `model`, whose metadata is `record` alone."""
    del model.metadata_props[:]
    model.metadata_props.add(key=RECORD, value=record)
    content: bytes = model.SerializeToString()
    return content


def _distances(one: Floats, other: Floats) -> Floats:
    """(N, L) distances in px; NaN counts as infinite."""
    distances = np.linalg.norm(one - other, axis=2)
    return np.where(np.isnan(distances), np.inf, distances)


def _not_exported(error: Exception) -> OdnbenchError:
    reason = one_line(str(error).strip().partition("\n")[0])[:300]
    return OdnbenchError(f"the network cannot be exported: {type(error).__name__}: {reason}")
