"""What a user points at: pictures, folders of them, videos, a webcam. They are read as shown.

A file is what its suffix says. A folder gives the pictures and videos in it and below it, in the
order of their names.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2

from odnbench.arrays import Bytes
from odnbench.datasets.boxes import Boxes, Located
from odnbench.datasets.pictures import SUFFIXES, UNREADABLE_SUFFIXES, read_as_shown
from odnbench.errors import OdnbenchError, one_line
from odnbench.files.regular import check_file, reason
from odnbench.plan.paths import is_utf8, path_of

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
WEBCAM = "webcam"
# Of these formats a file may hold several pictures.
_ANIMATED = (".gif", ".webp", ".tif", ".tiff", ".png")
_FRAMES_PER_SECOND = 25.0  # of a video that does not tell


@dataclass(frozen=True)
class Source:
    """A file of a user, or the webcam."""

    name: str  # in results: the path below the folder that was given, or the file's name
    path: Path
    kind: Literal["picture", "video", "webcam"]
    error: str = ""  # why it cannot be looked into, as a folder of somebody else

    @property
    def is_live(self) -> bool:
        """Whether its frames come as they are seen, until the user has seen enough."""
        return self.kind == "webcam"


@dataclass(frozen=True)
class Look:
    """A picture, or a frame of a video, and where its faces are."""

    source: Source
    frame: int | None  # of a video, from 0
    picture: Bytes | None  # (H, W, 3) RGB; None where it cannot be read
    faces: Sequence[Located] = ()
    orientation: int = 1  # the turn that the file notes (EXIF), which `picture` has got
    notes: tuple[str, ...] = ()
    error: str = ""


def sources_of(inputs: Sequence[str]) -> list[Source]:
    """The pictures and videos that `inputs` name, each with a name of its own.

    Raises OdnbenchError for an input that is empty or not there, and for a folder without pictures.
    """
    found: list[Source] = []
    for text in inputs:
        if not text:
            raise OdnbenchError("an input is empty; name a picture, a video, a folder, or webcam")
        path = path_of(text)
        if text == WEBCAM and not path.exists():
            found.append(Source(WEBCAM, path, "webcam"))
        elif path.is_dir():
            below = _sources_below(path)
            if not below:
                raise OdnbenchError(
                    f"{one_line(path)}: there is no picture and no video in the folder"
                )
            found += below
        else:
            check_file(path)
            found.append(_source(path, path.parent))
    each = list({source.path.absolute(): source for source in found}.values())
    if len({source.name for source in each}) < len(each):
        each = [replace(source, name=str(source.path)) for source in each]
    return each


def look_at(source: Source, boxes: Boxes) -> Look:
    """The picture of a file with its faces, or what is wrong with it."""
    if source.error:
        return Look(source, None, None, error=source.error)
    notes: list[str] = []
    try:
        annotated = boxes.annotated(source.path)
        points = annotated[0].face.points if annotated else None
        picture, orientation = read_as_shown(source.path, points)
        if source.path.suffix.lower() in _ANIMATED and (count := _pictures_in(source.path)) > 1:
            notes.append(f"the first of {count} pictures in the file")
        faces = boxes.of(source.path, None, picture) if annotated is None else annotated
    except OdnbenchError as error:
        return Look(source, None, None, error=str(error).removeprefix(f"{source.path}: "))
    except cv2.error as error:
        return Look(source, None, None, error=f"OpenCV cannot work on it: {error.err}")
    return Look(
        source,
        None,
        picture,
        faces,
        orientation,
        tuple(notes),
        "" if faces else f"no face in it ({boxes.describe()})",
    )


@dataclass(frozen=True)
class Video:
    """An open video or webcam."""

    source: Source
    capture: cv2.VideoCapture
    frames_per_second: float
    frames: int  # 0 where it is not known

    def __iter__(self) -> Iterator[tuple[int, Bytes]]:
        """The frames, (H, W, 3) RGB, each with its number from 0."""
        number = 0
        while True:
            there, frame = self.capture.read()
            if not there:
                return
            yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
            number += 1


def open_video(source: Source) -> Video:
    """The video of a file, or the first webcam; OdnbenchError where it cannot be opened."""
    if not source.is_live:
        check_file(source.path)
        if not is_utf8(source.path):
            raise OdnbenchError("its name is not UTF-8, which OpenCV cannot open; rename it")
    capture = cv2.VideoCapture(0 if source.is_live else str(source.path))
    if not capture.isOpened():
        raise OdnbenchError(
            "no webcam answers" if source.is_live else "not a video that OpenCV can read"
        )
    speed = capture.get(cv2.CAP_PROP_FPS)
    speed = speed if 1 <= speed <= 1000 else _FRAMES_PER_SECOND
    return Video(source, capture, speed, max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))


def look_at_frame(source: Source, number: int, picture: Bytes, boxes: Boxes) -> Look:
    """A frame of a video with its faces; one without faces is no error."""
    return Look(source, number, picture, boxes.of(source.path, number, picture))


def _source(path: Path, folder: Path) -> Source:
    is_video = path.suffix.lower() in VIDEOS
    return Source(str(path.relative_to(folder)), path, "video" if is_video else "picture")


def _sources_below(top: Path) -> list[Source]:
    """The pictures and videos below `top`; also those in formats that cannot be read, and folders
    that cannot be listed, which get a message of their own. Links to folders are followed, each
    folder once. Raises OdnbenchError where `top` itself cannot be listed.
    """
    known = (*SUFFIXES, *UNREADABLE_SUFFIXES, *VIDEOS)
    found, seen = list[Source](), set[str]()

    def add_unlisted(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == top:
            raise OdnbenchError(f"{one_line(top)}: {reason(error)}")
        found.append(replace(_source(folder, top), kind="picture", error=reason(error)))

    for root, folders, names in os.walk(top, onerror=add_unlisted, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort(key=lambda name: ((Path(root) / name).is_symlink(), name))
        found += [
            _source(Path(root) / name, top)
            for name in names
            if name.lower().endswith(known) and not name.startswith(".")
        ]
    return sorted(found, key=lambda source: source.path)


def _pictures_in(path: Path) -> int:
    """The number of pictures in a file that can be read; 1 where OpenCV cannot count them."""
    with suppress(cv2.error):
        return cv2.imcount(str(path)) if is_utf8(path) else 1
    return 1
