"""A trained network of a plan, and what it predicts for the files of a user."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from odnbench.datasets.boxes import AnnotatedBoxes, Boxes
from odnbench.datasets.decoders import listening
from odnbench.datasets.inputs import Source, Video, open_video
from odnbench.datasets.pictures import damage_of, write_picture
from odnbench.engine.file_predictor import FilePredictor
from odnbench.engine.film import Film
from odnbench.engine.predict_files import Outcome, predict_pictures, predict_video
from odnbench.engine.predicted_files import (
    ANNOTATED_PIXELS,
    OVERLAYS,
    PIXELS,
    PredictedFiles,
)
from odnbench.engine.predictor import Predictor, TrainedPredictor
from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.paths import path_of
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


def without_overlays(
    sources: Sequence[Source], inputs: Iterable[str], out: Path
) -> tuple[list[Source], int]:
    """`sources`, which `inputs` name, without the overlays that a run before wrote below `out`, and
    how many these are.

    Raises OdnbenchError where an input is itself among the overlays, which new ones may replace,
    and where nothing else is there.
    """

    overlays = os.path.realpath(out / OVERLAYS)

    def is_overlay(path: Path) -> bool:
        # Path.resolve raises where links lead round in a circle.
        return Path(os.path.realpath(path)).is_relative_to(overlays)

    for text in inputs:
        if is_overlay(path_of(text)):
            raise OdnbenchError(
                f"{one_line(text)}: overlays are written there, in the place of what is read; give "
                "another --out"
            )
    kept = [each for each in sources if not is_overlay(each.path)]
    if not kept:
        raise OdnbenchError("there is no picture and no video but overlays of a run before")
    return kept, len(sources) - len(kept)


@dataclass
class Count:
    """How much was predicted."""

    images: int = 0  # pictures and frames that could be read
    faces: int = 0
    failed: int = 0  # files
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts a picture or a frame; not whether its file failed."""
        self.images += outcome.size is not None
        self.faces += len(outcome.faces)


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
    pictures = [source for source in sources if source.kind == "picture"]
    complete = False
    try:
        predicted_pictures = predict_pictures(
            predictor, pictures, boxes, batch_size=batch_size, overlays=overlays
        )
        with bar("predicting", len(pictures)) as advance:
            _predict_pictures(predicted_pictures, files, tell, advance, count)
        predicted = partial(
            predict_video,
            predictor,
            boxes=boxes,
            batch_size=batch_size,
            smoothing=smoothing,
            overlays=overlays,
        )
        films = [source for source in sources if source.kind != "picture"]
        for source in sorted(films, key=lambda source: source.is_live):  # Ctrl-C ends a live one
            count.failed += not _predict_video(source, predicted, boxes, files, tell, bar, count)
        complete = True
    finally:
        count.seconds = time.perf_counter() - began
        files.write(complete)
    return count


def _predict_pictures(
    outcomes: Iterable[Outcome],
    files: PredictedFiles,
    tell: Callable[[str, str], None],
    advance: Callable[[], None],
    count: Count,
) -> None:
    """Predicts the pictures. Those that turn out to be damaged are told, also where the user has
    interrupted it.
    """
    done: dict[Path, Source] = {}
    try:
        with listening() as suspects:
            for outcome in outcomes:
                _finish_picture(outcome, files, tell)
                done[outcome.source.path] = outcome.source
                count.add(outcome)
                count.failed += bool(outcome.error)
                advance()
    finally:
        for source in filter(None, map(done.get, suspects)):
            if not damage_of(source.path)[1] and files.add_error(source, _DAMAGED):
                tell(source.name, _DAMAGED)
                count.failed += 1


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
    source: Source,
    predicted: Callable[[Video], Iterable[Outcome]],
    boxes: Boxes,
    files: PredictedFiles,
    tell: Callable[[str, str], None],
    bar: Bar,
    count: Count,
) -> bool:
    """Predicts a video, or the webcam until the command is interrupted, and writes its overlay.
    Returns whether all went well.
    """
    film, before, faults = None, count.faces, list[str]()
    try:
        video = open_video(source)
        film = Film(files.overlay(source, ".mp4"), video.frames_per_second, is_live=source.is_live)
        until = suppress(KeyboardInterrupt) if source.is_live else nullcontext()
        with until, bar(one_line(source.name), video.frames) as advance:
            for outcome in predicted(video):
                film.add(outcome.overlay)
                files.add_frame(outcome)
                count.add(outcome)
                if outcome.error:
                    faults.append(f"frame {outcome.frame}: {outcome.error}")
                advance()
        if not (frames := files.frames_of(source)):
            raise OdnbenchError(
                "it showed no frame" if source.is_live else "no frame of the video can be read"
            )
        if frames < video.frames:
            note = f"{frames} of its {video.frames} frames can be read"
            files.add_note(source, note)
            tell(source.name, note)
        if faults:
            others = f" (and {len(faults) - 1} frames more)" if faults[1:] else ""
            raise OdnbenchError(faults[0] + others)
        if count.faces == before:
            raise OdnbenchError(f"no face in its frames ({boxes.describe()})")
    except OdnbenchError as error:
        fault = str(error).removeprefix(f"{source.path}: ")
        tell(source.name, fault)
        if files.frames_of(source):
            files.add_error(source, fault)
        else:
            files.add_picture(Outcome(source, error=fault), None)
        return False
    finally:
        if film is not None:
            shown = film.close()
            if files.frames_of(source):
                files.end_video(source, shown, film.rate)
    return True


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
