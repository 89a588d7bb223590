"""The files that predictions are written to: JSON, CSV, overlays.

predictions.json holds all that is known; predictions.csv has a row for each face, which `odnbench
score` reads. A video has at least a row for each frame; the cells of a frame without face are
empty. Until all is predicted, rows and frames wait in temporary files beside them: a film has many.
"""

# L landmarks

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from odnbench.arrays import Floats
from odnbench.datasets.inputs import Source
from odnbench.engine.predict_files import Outcome
from odnbench.engine.predictor import PredictedFace, Predictor
from odnbench.files.whole import write_pieces

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
_ESCAPED = "backslashreplace"  # of UTF-8: bytes of a file name that are none, which JSON reads
_MEMORY_BYTES = 16_000_000  # of a temporary file, before it is one on disk
_PIECE_BYTES = 1_000_000
# What a network may tell of each point besides its place → columns. Not `occlusion_0`, which stands
# for flags of 0 and 1 in files that are scored.
_TOLD = {"confidence": "confidence_of", "occlusion": "occlusion_at"}


@dataclass
class _Frames:
    """The frames of a video, as JSON, among those of other videos."""

    start: int  # in bytes
    count: int = 0
    end: int = 0


@dataclass
class PredictedFiles:
    """The files in the folder `out`, written when all is predicted."""

    out: Path
    predictor: Predictor
    about: Mapping[str, Any]  # model, boxes and further facts, for the head of the JSON
    _records: list[dict[str, Any]] = field(default_factory=list)
    _frames: dict[str, _Frames] = field(default_factory=dict)  # by the name of the video
    _told: tuple[str, ...] = ()  # of the first face
    _overlays: dict[Path, str] = field(default_factory=dict)  # path below OVERLAYS → source

    def __post_init__(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        # `write` closes them.
        self._frame_texts = SpooledTemporaryFile(_MEMORY_BYTES, dir=str(self.out))  # noqa: SIM115
        self._rows = SpooledTemporaryFile(  # noqa: SIM115
            _MEMORY_BYTES, "w+", encoding="utf-8", errors=_ESCAPED, newline="", dir=str(self.out)
        )

    def overlay(self, source: Source, suffix: str) -> Path:
        """Where the overlay of `source` is written; no two sources have the same place."""
        parts = [part for part in Path(source.name).parts if part not in ("/", "..", ".")]
        whole = Path(*parts)
        path, name = whole.with_suffix(suffix), whole.name
        while self._overlays.setdefault(path, source.name) != source.name:
            path = path.with_name(name := name + suffix)
        return self.out / OVERLAYS / path

    def add_picture(self, outcome: Outcome, overlay: Path | None) -> None:
        """Adds a picture, with the place of its overlay if it has one."""
        record = self._record(outcome, overlay)
        self._records.append({**record, "faces": list(map(_face, outcome.faces))})
        self._add_rows(outcome)

    def add_frame(self, outcome: Outcome) -> None:
        """Adds the next frame of a video."""
        name = outcome.source.name
        if name not in self._frames:
            # What is wrong with one frame is not yet what is wrong with the video.
            self._records.append(self._record(replace(outcome, error=""), None))
            self._frames[name] = _Frames(self._frame_texts.tell())
        frames = self._frames[name]
        text = _json({"frame": outcome.frame, "faces": list(map(_face, outcome.faces))})
        self._frame_texts.write(_encoded((", " if frames.count else "") + text))
        frames.count, frames.end = frames.count + 1, self._frame_texts.tell()
        self._add_rows(outcome)

    def frames_of(self, source: Source) -> int:
        """How many frames of a video were added."""
        return self._frames[source.name].count if source.name in self._frames else 0

    def end_video(self, source: Source, overlay: Path | None, frames_per_second: float) -> None:
        """Adds what is known of a video after its frames, of which there is at least one."""
        record = self._record_of(source)
        record["overlay"] = self._below_out(overlay)
        record["frames_per_second"] = frames_per_second

    def add_note(self, source: Source, note: str) -> None:
        """Adds what is to be known of a picture or video that was added before."""
        self._record_of(source)["notes"].append(note)

    def add_error(self, source: Source, error: str) -> bool:
        """Adds what is wrong with a picture or video that was added before; False where it has an
        error.
        """
        record = self._record_of(source)
        if record["error"] is not None:
            return False
        record["error"] = error
        return True

    def write(self, complete: bool) -> None:
        """Writes predictions.json and predictions.csv, after which nothing can be added.

        complete: whether all files were predicted that were to be.
        """
        scheme = self.predictor.scheme
        head = {
            **self.about,
            "network": self.predictor.title,
            "scheme": scheme.name,
            "landmarks": scheme.points,
            "box_rule": self.predictor.rule.describe(),
            "complete": complete,
        }
        with self._frame_texts, self._rows:
            write_pieces(self.out / JSON, self._json(head))
            write_pieces(self.out / CSV, map(_encoded, self._table()))

    def _json(self, head: Mapping[str, Any]) -> Iterator[bytes]:
        yield _encoded(_json(head)[:-1] + ', "files": [')
        for index, record in enumerate(self._records):
            text = (", " if index else "") + _json(record)
            if (frames := self._frames.get(record["file"])) is not None:
                yield _encoded(text[:-1] + ', "frames": [')
                self._frame_texts.seek(frames.start)
                for start in range(frames.start, frames.end, _PIECE_BYTES):
                    yield self._frame_texts.read(min(_PIECE_BYTES, frames.end - start))
                text = "]}"
            yield _encoded(text)
        yield b"]}\n"

    def _record_of(self, source: Source) -> dict[str, Any]:
        (record,) = (each for each in self._records if each["file"] == source.name)
        return record

    def _below_out(self, path: Path | None) -> str | None:
        return None if path is None else str(path.relative_to(self.out))

    def _record(self, outcome: Outcome, overlay: Path | None) -> dict[str, Any]:
        width, height = outcome.size or (None, None)
        return {
            "file": outcome.source.name,
            "width": width,
            "height": height,
            "exif_orientation": outcome.orientation,
            "notes": list(outcome.notes),
            "error": outcome.error or None,
            "overlay": self._below_out(overlay),
        }

    def _add_rows(self, outcome: Outcome) -> None:
        table = csv.writer(self._rows, lineterminator="\n")
        frame = "" if outcome.frame is None else outcome.frame
        start: list[object] = [outcome.source.name, frame]
        for number, face in enumerate(outcome.faces):
            told = {name: shares for name in _TOLD if (shares := getattr(face, name)) is not None}
            self._told = self._told or tuple(told)
            score = "" if face.score is None else face.score
            box, points = _rounded(face.box), _rounded(face.points.ravel())
            shares = [one for each in told.values() for one in _rounded(each, _SHARE_DIGITS)]
            table.writerow([*start, number, *box, score, *points, *shares])
        if outcome.frame is not None and not outcome.faces:
            table.writerow(start)

    def _table(self) -> Iterator[str]:
        """A row for each face. `number` counts the faces of a picture or frame."""
        L = self.predictor.scheme.points
        header = ["file", "frame", "number", "left", "top", "right", "bottom", "score"]
        header += [f"{axis}{point}" for point in range(L) for axis in "xy"]
        header += [f"{_TOLD[name]}_{point}" for name in self._told for point in range(L)]
        self._rows.seek(0)
        table = csv.writer(line := _Line(), lineterminator="\n")
        table.writerow(header)
        yield line.text
        for row in csv.reader(self._rows):
            table.writerow([*row, *[""] * (len(header) - len(row))])
            yield line.text


class _Line:
    """The last line that was written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


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


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _encoded(text: str) -> bytes:
    return text.encode(errors=_ESCAPED)
