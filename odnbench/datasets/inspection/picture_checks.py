"""The doctor's checks of picture files: missing, unreadable, damaged, turned, grey, rescaled."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from odnbench.datasets.inspection.diagnosis import Finding, counted, examples
from odnbench.datasets.inspection.survey import Look, Survey

# Of the faces from which the frame of points is told where single faces do not tell it: their
# least number, and the least mean of `Look.oddness_as_stored`. On 500 faces of 300W its median is
# 0.2 in the wrong frame, with a deviation of 0.25; on rendered faces with occluders, −0.1 at worst.
_LEAST_TURNED, _LEAST_ODDNESS = 5, 0.15


def missing_pictures(seen: Survey) -> Iterator[Finding]:
    """Annotated faces without a picture."""
    missing = [look.face.id for look in seen.looks if look.size is None and not look.unreadable]
    if missing:
        yield Finding(
            "missing pictures", True, seen.part, f"{counted(missing)} without a picture",
            "get the pictures of the official archive; annotations alone serve `odnbench score`",
            examples(missing),
        )  # fmt: skip


def unreadable_pictures(seen: Survey) -> Iterator[Finding]:
    """Files that are truncated or no pictures."""
    if unreadable := [look.unreadable for look in seen.looks if look.unreadable]:
        yield Finding(
            "unreadable pictures", True, seen.part, f"{counted(unreadable)} cannot be read",
            "get these files again", examples(unreadable),
        )  # fmt: skip


def grey_pictures(seen: Survey) -> Iterator[Finding]:
    """Pictures stored with one channel."""
    if grey := [look.face.id for look in seen.looks if look.grey]:
        yield Finding(
            "grey pictures", False, seen.part,
            f"{counted(grey)} stored with one channel; read as three equal ones",
            "", examples(grey),
        )  # fmt: skip


def names_with_blanks(seen: Survey) -> Iterator[Finding]:
    """File names with a blank, which many scripts cannot handle."""
    names = [
        look.face.id
        for look in seen.looks
        if isinstance(look.face.image, Path) and " " in look.face.image.name
    ]
    if names:
        yield Finding(
            "names with blanks", False, seen.part, f"{counted(names)} with a blank in the name",
            "", examples(names),
        )  # fmt: skip


def rescaled_pictures(seen: Survey) -> Iterator[Finding]:
    """Pictures that are smaller or larger than the official ones, as far as the loader can tell."""
    scales = [look.face.scale for look in seen.looks if look.face.scale != 1]
    if scales:
        yield Finding(
            "rescaled pictures", False, seen.part,
            f"{len(scales)} of {len(seen.looks)} faces on rescaled pictures, of "
            f"{np.median(scales):.2f} times the original size in the median", "",
        )  # fmt: skip


def odd_pictures(seen: Survey) -> Iterator[Finding]:
    """JPEG files with bytes too many in front of their end, of which all pixels can be read."""
    if odd := [look.odd for look in seen.looks if look.odd]:
        yield Finding(
            "odd pictures", False, seen.part,
            f"{counted(odd)} with bytes that belong to no pixel; read all the same",
            "", examples(odd),
        )  # fmt: skip


def turned_pictures(seen: Survey) -> Iterator[Finding]:
    """Pictures that a viewer turns or mirrors, by what their camera noted (orientation.py).

    Where the points of single faces do not tell the frame, all faces together may: a face is more
    like its mirror image in the frame that its points were made in.
    """
    turned = [look for look in seen.looks if look.orientation != 1]
    told = [look for look in turned if look.oddness_as_stored is None]
    for frame in ("shown", "stored"):
        if found := [_turned(look) for look in told if look.frame == frame]:
            yield Finding(
                "turned pictures", False, seen.part,
                f"{counted(found)} on pictures that are stored turned (EXIF); read as {frame}, "
                "where alone the points fit", "", examples(found),
            )  # fmt: skip
    if not (open_ones := [look for look in turned if look.oddness_as_stored is not None]):
        return
    oddness = np.array([look.oddness_as_stored for look in open_ones], np.float64)
    least = max(_LEAST_ODDNESS, 3 * oddness.std() / np.sqrt(len(oddness)))
    is_wrong = len(oddness) >= _LEAST_TURNED and oddness.mean() > least
    found = [_turned(look) for look in open_ones]
    what = "the points were made on the shown ones" if is_wrong else "the points fit both ways"
    yield Finding(
        "turned pictures", bool(is_wrong), seen.part,
        f"{counted(found)} on pictures that are stored turned (EXIF); read as stored, and {what}",
        ("" if is_wrong else "if the points were made on the shown pictures: ")
        + "save these pictures turned, without the note of the camera; `odnbench data show` tells",
        examples(found),
    )  # fmt: skip


def _turned(look: Look) -> str:
    return f"{look.face.id}: orientation {look.orientation}"
