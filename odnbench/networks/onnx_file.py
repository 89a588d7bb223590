"""An ONNX file that takes pictures, run by ONNX Runtime on the CPU."""

# B images, s side of the file's input

import math
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from odnbench.errors import OdnbenchError, one_line


class OnnxFile:
    """An ONNX file that takes pictures, opened on the CPU.

    Raises OdnbenchError where a library is missing, or the file cannot be read or takes no square
    pictures.
    """

    def __init__(self, content: bytes):
        self._content = content
        self._session = _open_session(content)
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape)
        if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise OdnbenchError(
                "an ONNX file must take pictures of one shape, (B, 3, s, s) or (B, s, s, 3), but "
                f"this takes {', '.join(f'{one.name} {one.shape}' for one in inputs)}"
            )
        self.channels_first = shape[1] == 3
        height, width = shape[2:] if self.channels_first else shape[1:3]
        if height != width and isinstance(height, int) and isinstance(width, int):
            raise OdnbenchError(f"an ONNX file must take square pictures, not {height}×{width}")
        self.side = height if isinstance(height, int) else 0  # 0: any
        self._input, self._batch = inputs[0].name, shape[0] if isinstance(shape[0], int) else 0
        self.takes_bytes = inputs[0].type == "tensor(uint8)"
        self.outputs = [one.name for one in self._session.get_outputs()]
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    @property
    def parameters(self) -> int:
        """How many numbers the file holds as weights."""
        onnx = library("onnx")
        model = onnx.load_model_from_string(self._content)
        constants = (
            attribute.t
            for node in model.graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        )
        of_shapes = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
        return sum(
            math.prod(tensor.dims)
            for tensor in (*model.graph.initializer, *constants)
            if tensor.data_type not in of_shapes
        )

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs, float32 on the CPU, for images (B, 3, s, s)."""
        if not self.channels_first:
            images = images.permute(0, 2, 3, 1)
        if self.takes_bytes and images.is_floating_point():
            images = images.round().clamp(0, 255).byte()
        batch = self._batch or len(images)
        if len(images) % batch:
            raise OdnbenchError(f"it takes {batch} pictures at once, and not any other number")
        found = [
            self._session.run(self.outputs, {self._input: part.contiguous().cpu().numpy()})
            for part in images.split(batch)
        ]
        return {
            name: torch.from_numpy(np.concatenate(parts)).float()
            for name, parts in zip(self.outputs, zip(*found, strict=True), strict=True)
        }

    def __deepcopy__(self, memo: Any) -> "OnnxFile":
        return OnnxFile(self._content)  # a session cannot be copied


def _open_session(content: bytes) -> Any:
    """ONNX Runtime's session, on the CPU, of the content of a file.

    Raises OdnbenchError where ONNX Runtime is missing or cannot read it.
    """
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # of warnings that concern no user
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each fault has its own class
        reason = one_line(str(error).strip().partition("\n")[0])[:300]
        raise OdnbenchError(f"ONNX Runtime cannot read the file: {reason}") from error


def library(name: str) -> Any:
    """A library that ONNX files need; OdnbenchError where it is missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise OdnbenchError(
            f"{error.name} is not installed, which ONNX needs; `pip install 'odnbench[export]'` "
            "brings it"
        ) from error
