"""A trained network of a plan, and what it predicts for the files of a user."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from odnbench.datasets.boxes import AnnotatedBoxes, Boxes
from odnbench.datasets.decoders import listening
from odnbench.datasets.inputs import Source, open_video
from odnbench.datasets.pictures import damage_of, write_picture
from odnbench.engine.file_predictor import FilePredictor
from odnbench.engine.film import Film
from odnbench.engine.predict_files import Outcome, predict_pictures, predict_video
from odnbench.engine.predicted_files import ANNOTATED_PIXELS, PIXELS, PredictedFiles
from odnbench.engine.predictor import Predictor, TrainedPredictor
from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.registry import Registry
from odnbench.results.folder import TrialFolder

_DAMAGED = "the picture is damaged: its points are those of what could be decoded"

Bar = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def open_predictor(model: TrialFolder | Path, registry: Registry) -> Predictor:
    """The network of a finished trial, or of an exported file.

    Raises OdnbenchError where it cannot be read, or weights do not fit their trial.
    """
    if isinstance(model, Path):
        return FilePredictor(model)
    return TrainedPredictor.load(model, registry)


@dataclass
class Count:
    """How much was predicted."""

    images: int = 0  # pictures and frames that could be read
    faces: int = 0
    failed: int = 0  # files
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts a picture or a frame."""
        self.images += outcome.size is not None
        self.faces += len(outcome.faces)
        self.failed += bool(outcome.error)


def predict_all(
    predictor: Predictor,
    sources: Sequence[Source],
    boxes: Boxes,
    files: PredictedFiles,
    *,
    batch_size: int,
    smoothing: float,
    overlays: bool,
    tell: Callable[[str, str], None],
    bar: Bar,
) -> Count:
    """Predicts the pictures, then each video, and writes `files`, also where it is interrupted.

    tell: is given the name of a file and an error or note about it. bar: shows a progress of so
    many steps.
    """
    count, began = Count(), time.perf_counter()
    pictures = {source.path: source for source in sources if source.kind == "picture"}
    try:
        with bar("predicting", len(pictures)) as advance, listening() as suspects:
            for outcome in predict_pictures(
                predictor, pictures.values(), boxes, batch_size=batch_size, overlays=overlays
            ):
                _finish_picture(outcome, files, tell)
                count.add(outcome)
                advance()
        for path in suspects:
            if not damage_of(path)[1] and files.add_error(pictures[path], _DAMAGED):
                tell(pictures[path].name, _DAMAGED)
                count.failed += 1
        films = [source for source in sources if source.kind != "picture"]
        for source in sorted(films, key=lambda source: source.is_live):  # Ctrl-C ends a live one
            _predict_video(predictor, source, boxes, files, batch_size, smoothing, tell, bar, count)
    finally:
        count.seconds = time.perf_counter() - began
        files.write()
    return count


def _finish_picture(
    outcome: Outcome, files: PredictedFiles, tell: Callable[[str, str], None]
) -> None:
    """Writes the overlay of a picture, adds it to `files`, and tells what there is to say of it."""
    path = None
    if outcome.overlay is not None:
        path = files.overlay(outcome.source, ".jpg")
        write_picture(outcome.overlay, path)
    files.add_picture(replace(outcome, overlay=None), path)
    for said in (*outcome.notes, *filter(None, [outcome.error])):
        tell(outcome.source.name, said)


def _predict_video(
    predictor: Predictor,
    source: Source,
    boxes: Boxes,
    files: PredictedFiles,
    batch_size: int,
    smoothing: float,
    tell: Callable[[str, str], None],
    bar: Bar,
    count: Count,
) -> None:
    """Predicts a video, or the webcam until the command is interrupted, and writes its overlay."""
    film, before = None, count.faces
    try:
        video = open_video(source)
        path, speed = files.overlay(source, ".mp4"), video.frames_per_second
        film = Film(path, speed, is_live=source.is_live)
        until = suppress(KeyboardInterrupt) if source.is_live else nullcontext()
        with until, bar(one_line(source.name), video.frames) as advance:
            for outcome in predict_video(
                predictor, video, boxes, batch_size=batch_size, smoothing=smoothing
            ):
                assert outcome.overlay is not None
                film.add(outcome.overlay)
                files.add_frame(outcome)
                count.add(outcome)
                advance()
        if not (frames := files.frames_of(source)):
            raise OdnbenchError(
                "it showed no frame" if source.is_live else "no frame of the video can be read"
            )
        if count.faces == before:
            raise OdnbenchError(f"no face in its frames ({boxes.describe()})")
        if frames < video.frames:
            tell(source.name, f"{frames} of its {video.frames} frames can be read")
    except OdnbenchError as error:
        tell(source.name, str(error))
        count.failed += 1
        if not files.frames_of(source):
            files.add_picture(Outcome(source, error=str(error)), None)
    finally:
        if film is not None:
            shown = film.close()
            if files.frames_of(source):
                files.end_video(source, shown, film.rate)


def files_in(
    out: Path, predictor: Predictor, model: Path, boxes: Boxes, smoothing: float
) -> PredictedFiles:
    """The files in the folder `out`, which say how their predictions came about."""
    about = {
        "model": str(model),
        "boxes": boxes.describe(),
        "pixels": ANNOTATED_PIXELS if isinstance(boxes, AnnotatedBoxes) else PIXELS,
        "smoothing": smoothing,
        "notes": list(predictor.notes),
    }
    return PredictedFiles(out, predictor, about)
