"""A network of others as an opponent: an ONNX file that is tested as it is and never trained.

In variants.toml of a registry folder:

    [theirs]
    title = "Theirs"
    network = "odnbench.networks.onnx_network:OnnxNetwork"
    changes = { "train.epochs" = 0, "model.pretrained" = "theirs.onnx" }
    options = { points = "unit", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }

The content of the file is part of the network's state, and so of the trial's checkpoint, which
needs the file no more.
"""

# B images, L landmarks, K points of the file, s side of its input, h×h heatmap

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from odnbench.errors import OdnbenchError, one_line, unknown
from odnbench.networks.base import LandmarkNetwork, Normalisation, Prediction
from odnbench.networks.heads.cells import from_cells
from odnbench.networks.heads.dark import refined_peaks
from odnbench.networks.onnx_file import OnnxFile
from odnbench.plan.registry import Registry
from odnbench.plan.specs import ModelSpec
from odnbench.plan.weights import weights_file

# What the numbers of a point may be: pixels of the file's input, from 0 at the centre of the first;
# shares of its side, in [0, 1]; the same in [-1, 1]; or a map whose peak is the point.
POINTS = ("pixels", "unit", "signed", "heatmaps")
COLOURS = ("rgb", "bgr")
_GREY_LEVELS = Normalisation((0.0,) * 3, (1 / 255,) * 3)  # of files that take uint8


class OnnxNetwork(LandmarkNetwork):
    """The network in the ONNX file that `model.pretrained` names, run by ONNX Runtime on the CPU.

    The file takes pictures (B, 3, s, s) or (B, s, s, 3), float32 or uint8, and its output `output`,
    by default the first, gives K points for each: (B, K, 2), (B, 2K) with x y in turn, or heatmaps
    (B, K, h, h). Crops of another side are resampled to s.

    points: one of POINTS. order: for each landmark of the trial's scheme the number of the file's
    point, from 0; by default their own. mean, std: of R, G and B on [0, 1], by which a file that
    takes float32 wants its pictures normalised. colours: "rgb" or "bgr", in which it takes them.
    size: s, of a file that does not state it; by default that of the crop. shift_px: x and y to be
    added to each point, in pixels of the file's input. sigma: deviation of the Gaussians that its
    heatmaps were trained towards, in cells. confidence, occlusion_map: names of outputs (B, K) and
    (B, 1, h, w), if the file has them (networks/base.py).

    Raises OdnbenchError for options that do not fit the file, and for a file that cannot be read.
    """

    runs_in_torch = False
    content: Tensor  # (n,) uint8, the file; empty until it is known

    def __init__(
        self,
        model: ModelSpec,
        registry: Registry,
        landmarks: int,
        input_size: int,
        *,
        points: str,
        order: Sequence[int] = (),
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        colours: str = "rgb",
        output: str = "",
        size: int = 0,
        shift_px: Sequence[float] = (0.0, 0.0),
        sigma: float = 1.5,
        confidence: str = "",
        occlusion_map: str = "",
    ):
        super().__init__(landmarks)
        for what, name, known in (("points", points, POINTS), ("colours", colours, COLOURS)):
            if name not in known:
                raise unknown(what, name, known)
        for name, values, count in (("mean", mean, 3), ("std", std, 3), ("shift_px", shift_px, 2)):
            if len(values) != count:
                raise OdnbenchError(f"{name} must have {count} numbers, got {list(values)}")
        if order and len(order) != landmarks:
            raise OdnbenchError(
                f"order must name a point for each of {landmarks} landmarks, got {len(order)}"
            )
        self._points, self._order, self._bgr = points, list(order), colours == "bgr"
        self._output, self._beside = output, {"confidence": confidence, "map": occlusion_map}
        self._size = size or input_size
        self._shift_px, self._sigma = tuple(shift_px), sigma
        self._float_normalisation = Normalisation(tuple(mean), tuple(std))
        self.register_buffer("content", torch.empty(0, dtype=torch.uint8))
        self._file: OnnxFile | None = None
        if (path := weights_file(model.pretrained)) is not None:
            try:
                self._take(torch.from_numpy(np.fromfile(path, np.uint8)))
            except OdnbenchError as error:
                raise OdnbenchError(f"model.pretrained: {one_line(path)}: {error}") from error

    @property
    def parameter_count(self) -> int:
        """See LandmarkNetwork.parameter_count."""
        return self._opened().parameters

    def forward(self, images: Tensor) -> Prediction:
        """See LandmarkNetwork.forward."""
        file = self._opened()
        inputs = images.float()
        if inputs.shape[-1] != self._size:
            sides = (self._size, self._size)
            inputs = functional.interpolate(inputs, sides, mode="bilinear", antialias=True)
        found = file.run(inputs.flip(1) if self._bgr else inputs)
        points = self._in_unit(found[self._output or next(iter(found))]).to(images.device)
        P = found.get(self._beside["map"])
        return Prediction(
            points,
            None if P is None else P.to(images.device),
            found.get(self._beside["confidence"]),
        )

    def confidence(self, prediction: Prediction) -> Tensor | None:
        """See LandmarkNetwork.confidence."""
        values: Tensor | None = prediction.output
        return None if values is None else self._ordered(values).to(prediction.points.device)

    def _in_unit(self, output: Tensor) -> Tensor:
        """(B, L, 2) in [-1, 1] over the crop, of what the file says of points."""
        if self._points == "heatmaps":
            if output.ndim != 4 or output.shape[2] != output.shape[3]:
                raise OdnbenchError(
                    f"heatmaps are (B, K, h, h), but its output is {_shape(output)}"
                )
            unit = from_cells(refined_peaks(output, self._sigma), output.shape[3])
        else:
            if output[0].numel() % 2:
                raise OdnbenchError(f"points are x and y, but its output is {_shape(output)}")
            unit = output.reshape(len(output), -1, 2)
            if self._points == "pixels":
                unit = (unit + 0.5) * (2 / self._size) - 1
            elif self._points == "unit":
                unit = 2 * unit - 1
        return self._ordered(unit) + torch.tensor(self._shift_px) * (2 / self._size)

    def _ordered(self, values: Tensor) -> Tensor:
        """(B, L, …) of the trial's landmarks, from (B, K, …) of the file's points."""
        K = values.shape[1]
        if self._order:
            if not 0 <= min(self._order) <= max(self._order) < K:
                raise OdnbenchError(f"order names points beyond those of the file, 0 to {K - 1}")
            return values[:, self._order]
        if (L := len(self.mean_shape)) != K:
            raise OdnbenchError(
                f"it gives {K} points and the scheme has {L}; name those of the scheme as order"
            )
        return values

    def _opened(self) -> "OnnxFile":
        if self._file is None:
            raise OdnbenchError("it is no ONNX file; name one as model.pretrained")
        return self._file

    def _take(self, content: Tensor) -> None:
        """Makes `content` (n,) uint8 the file."""
        file = OnnxFile(content.cpu().numpy().tobytes())
        for name in filter(None, (self._output, *self._beside.values())):
            if name not in file.outputs:
                raise unknown("output", name, file.outputs)
        self._file, self.content = file, content.to(self.content.device)
        self._size = file.side or self._size
        self.normalisation = _GREY_LEVELS if file.takes_bytes else self._float_normalisation

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *others: Any
    ) -> None:
        content = state_dict.get(f"{prefix}content")
        if content is not None and not torch.equal(content.cpu(), self.content.cpu()):
            self._take(content)  # of whatever length
        super()._load_from_state_dict(state_dict, prefix, *others)


def _shape(output: Tensor) -> str:
    return f"({', '.join(map(str, output.shape))})"
