"""The files that predictions are written to: JSON, CSV, overlays.

predictions.json holds all that is known; predictions.csv has a row for each face, which `odnbench
score` reads. A video has at least a row for each frame; the cells of a frame without face are
empty.
"""

# L landmarks

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from odnbench.arrays import Floats
from odnbench.datasets.inputs import Source
from odnbench.engine.predict_files import Outcome
from odnbench.engine.predictor import PredictedFace, Predictor
from odnbench.files.whole import write_whole

JSON, CSV, OVERLAYS = "predictions.json", "predictions.csv", "overlays"
PIXELS = (
    "points and boxes are in pixels of the picture as it is shown, that is, turned by the EXIF "
    "orientation that its file notes; counted from 0, pixel centres at integers"
)
ANNOTATED_PIXELS = (
    "points and boxes are in pixels of the picture that the annotation refers to; counted from 0, "
    "pixel centres at integers"
)
_DIGITS = 4  # of coordinates, in px
_SHARE_DIGITS = 5


@dataclass
class PredictedFiles:
    """The files in the folder `out`, written when all is predicted."""

    out: Path
    predictor: Predictor
    about: Mapping[str, Any]  # model, boxes and further facts, for the head of the JSON
    _records: list[dict[str, Any]] = field(default_factory=list)
    _rows: list[list[object]] = field(default_factory=list)
    _overlays: dict[Path, str] = field(default_factory=dict)

    def overlay(self, source: Source, suffix: str) -> Path:
        """Where the overlay of `source` is written; no two sources have the same place."""
        parts = [part for part in Path(source.name).parts if part not in ("/", "..", ".")]
        whole = Path(*parts)
        path = self.out / OVERLAYS / whole.with_suffix(suffix)
        if self._overlays.setdefault(path, source.name) != source.name:
            path = self.out / OVERLAYS / whole.with_name(whole.name + suffix)
        self._overlays[path] = source.name
        return path

    def add_picture(self, outcome: Outcome, overlay: Path | None) -> None:
        """Adds a picture, with the place of its overlay if it has one."""
        record = self._record(outcome, overlay)
        self._records.append({**record, "faces": list(map(_face, outcome.faces))})
        self._add_rows(outcome)

    def add_video(
        self, frames: Sequence[Outcome], overlay: Path | None, frames_per_second: float
    ) -> None:
        """Adds a video with the outcomes of its frames, of which there is at least one."""
        record = self._record(frames[0], overlay)
        each = [{"frame": one.frame, "faces": list(map(_face, one.faces))} for one in frames]
        self._records.append({**record, "frames_per_second": frames_per_second, "frames": each})
        for one in frames:
            self._add_rows(one)

    def add_error(self, source: Source, error: str) -> bool:
        """Adds what is wrong with a picture that was added before; False where it has an error."""
        (record,) = (each for each in self._records if each["file"] == source.name)
        if record["error"] is not None:
            return False
        record["error"] = error
        return True

    def write(self) -> None:
        """Writes predictions.json and predictions.csv."""
        scheme = self.predictor.scheme
        head = {
            **self.about,
            "network": self.predictor.title,
            "scheme": scheme.name,
            "landmarks": scheme.points,
            "box_rule": self.predictor.rule.describe(),
        }
        text = json.dumps({**head, "files": self._records}, ensure_ascii=False, allow_nan=False)
        self.out.mkdir(parents=True, exist_ok=True)
        write_whole(self.out / JSON, _encoded(text + "\n"))
        write_whole(self.out / CSV, _encoded(self._table()))

    def _record(self, outcome: Outcome, overlay: Path | None) -> dict[str, Any]:
        width, height = outcome.size or (None, None)
        return {
            "file": outcome.source.name,
            "width": width,
            "height": height,
            "exif_orientation": outcome.orientation,
            "notes": list(outcome.notes),
            "error": outcome.error or None,
            "overlay": None if overlay is None else str(overlay.relative_to(self.out)),
        }

    def _add_rows(self, outcome: Outcome) -> None:
        frame = "" if outcome.frame is None else outcome.frame
        start: list[object] = [outcome.source.name, frame]
        for number, face in enumerate(outcome.faces):
            score = "" if face.score is None else face.score
            confidence = [] if face.confidence is None else _rounded(face.confidence, _SHARE_DIGITS)
            hidden = [] if face.occlusion is None else _rounded(face.occlusion, _SHARE_DIGITS)
            box, points = _rounded(face.box), _rounded(face.points.ravel())
            self._rows.append([*start, number, *box, score, *points, *confidence, *hidden])
        if outcome.frame is not None and not outcome.faces:
            self._rows.append(start)

    def _table(self) -> str:
        """A row for each face. `number` counts the faces of a picture or frame."""
        L = self.predictor.scheme.points
        header = ["file", "frame", "number", "left", "top", "right", "bottom", "score"]
        header += [f"{axis}{point}" for point in range(L) for axis in "xy"]
        first = next((row for row in self._rows if len(row) > 2), [])
        extra = self._extra()
        assert not first or len(first) == len(header) + L * len(extra)
        header += [f"{name}_{point}" for name in extra for point in range(L)]
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(header)
        table.writerows([*row, *[""] * (len(header) - len(row))] for row in self._rows)
        return text.getvalue()

    def _extra(self) -> list[str]:
        """What the network tells of each point besides its place."""
        faces = [
            face
            for record in self._records
            for frame in record.get("frames", [record])
            for face in frame["faces"]
        ]
        # Not `occlusion_0`, which stands for flags of 0 and 1 in files that are scored.
        names = {"confidence": "confidence_of", "occlusion": "occlusion_at"}
        return [name for key, name in names.items() if faces and key in faces[0]]


def _face(face: PredictedFace) -> dict[str, Any]:
    """A face in JSON; what the network does not tell is left out."""
    values: dict[str, Any] = {
        "box": _rounded(face.box),
        "seen": _rounded(face.seen),
        "points": [_rounded(point) for point in face.points],
    }
    if face.score is not None:
        values["score"] = face.score
    for name, shares in (("confidence", face.confidence), ("occlusion", face.occlusion)):
        if shares is not None:
            values[name] = _rounded(shares, _SHARE_DIGITS)
    if face.occlusion_map is not None:
        values["occlusion_map"] = [_rounded(row, _SHARE_DIGITS) for row in face.occlusion_map]
    return values


def _rounded(numbers: Floats | Iterable[float], digits: int = _DIGITS) -> list[float]:
    return [round(float(number), digits) for number in numbers]


def _encoded(text: str) -> bytes:
    """UTF-8; bytes of a file name that are none stand as escapes, which JSON reads."""
    return text.encode(errors="backslashreplace")
