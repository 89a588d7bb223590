"""A network that `odnbench export` has written as ONNX, as people use it (engine/predictor.py)."""

# B faces in a batch, S side of a crop with its margin, s side of the network's input

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from odnbench.arrays import Bytes
from odnbench.engine.evaluate import Predicted
from odnbench.engine.exported import RECORD
from odnbench.engine.predictor import Predictor
from odnbench.errors import OdnbenchError, one_line
from odnbench.networks.onnx_file import OnnxFile
from odnbench.plan.conversion import from_mapping
from odnbench.plan.protocols import FLIP_TEST, BoxRule, Scheme

_ONCE = (
    "each face is predicted once, and the numbers of its trial are those of a flip test; "
    "give the trial's folder to have one"
)


class FilePredictor(Predictor):
    """The network in an exported file, run by ONNX Runtime on the CPU.

    Raises OdnbenchError for a file that cannot be read, and for one that `odnbench export` has not
    written.
    """

    def __init__(self, path: Path):
        name = one_line(path)
        if not path.is_file():
            raise OdnbenchError(f"{name} is not there")
        if path.suffix.lower() != ".onnx":
            raise OdnbenchError(
                f"{name}: of exported networks only ONNX files are read, since a program of "
                "torch.export may run whatever is in it; export with --format onnx, or name the "
                "trial's folder"
            )
        try:
            self._file = OnnxFile(path.read_bytes())
        except OdnbenchError as error:
            raise OdnbenchError(f"{name}: {error}") from error
        record = self._record(name)
        crop = record["crop"]
        self.title = str(record["title"])
        self.scheme = from_mapping(Scheme, record["scheme"], f"{name}: scheme")
        # Files of before have no "grown".
        rule = {key: crop[key] for key in ("shape", "factor", "grown") if key in crop}
        rule |= {"name": "exported", "title": "of the file", "source": crop["box"]}
        self.rule = from_mapping(BoxRule, rule, f"{name}: crop")
        self.stored_px, self.input_px = int(crop["resized_px"]), int(crop["middle_px"])
        if record["numbers"]["predicted"] == FLIP_TEST:
            self.notes = (_ONCE,)

    def predict_crops(self, crops: Bytes) -> Predicted:
        """See Predictor."""
        start = (self.stored_px - self.input_px) // 2
        middle = crops[:, start : start + self.input_px, start : start + self.input_px]
        images = torch.from_numpy(np.ascontiguousarray(middle)).permute(0, 3, 1, 2)
        found = self._file.run(images)
        confidence = found.get("confidence")
        return Predicted(
            found["points"].double().numpy() + start,
            found.get("occlusion_map"),
            None if confidence is None else confidence.double().numpy(),
        )

    def _record(self, name: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._file.metadata[RECORD])
            for part in ("title", "scheme", "crop", "numbers"):
                record[part]
        except (KeyError, ValueError, TypeError) as error:
            raise OdnbenchError(
                f"{name}: it does not say how faces are cropped for it, as files of "
                "`odnbench export` do; a network of others is tested as a variant "
                "(docs/extending.md)"
            ) from error
        return record
