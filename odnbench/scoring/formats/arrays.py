"""Landmarks as files hold them become arrays; faces of which they cannot be used are named."""

# N faces, L landmarks

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.datasets.faces import LARGEST_PX
from odnbench.errors import OdnbenchError, one_line
from odnbench.scoring.formats.content import Rows


@dataclass
class Landmarks:
    """The landmarks of all faces of a file."""

    points: Floats  # (N, L, 2), NaN for a face that cannot be used
    thirds: Floats | None  # (N, L) the third number of each landmark, where there is one
    faults: dict[int, str] = field(default_factory=dict)  # row → what is wrong, as ": has no …"


def landmarks_of(faces: Sequence[str], rows: Rows, *, triples: bool) -> Landmarks:
    """Rows of numbers, nested ([[x, y], …]) or flat (x0, y0, x1, …), in pairs or triples.

    A flat row whose length fits both is of triples where `triples` is set, or where every third
    number is 0, 1 or 2. Raises OdnbenchError for rows that are neither, and names their face.
    """
    faults: dict[int, str] = {}
    flat: list[Floats | None] = []
    widths: list[int] = []  # numbers of a landmark; 0 where the row is flat
    for index, (face, row) in enumerate(zip(faces, rows, strict=True)):
        numbers = _numbers(face, row)
        if numbers is None or not numbers.size:
            faults[index] = f": its landmarks are {'null' if numbers is None else 'empty'}"
        flat.append(numbers if numbers is None else numbers.ravel())
        widths.append(0 if numbers is None or numbers.ndim == 1 else numbers.shape[1])
    usual = Counter(
        (len(row), width)
        for index, (row, width) in enumerate(zip(flat, widths, strict=True))
        if index not in faults and row is not None
    )
    if not usual:
        return Landmarks(np.full((len(rows), 0, 2), np.nan), None, faults)
    length, width = max(usual, key=lambda kind: (usual[kind], kind))
    block = np.full((len(rows), length), np.nan)
    for index, row in enumerate(flat):
        if index in faults or row is None:
            continue
        if (len(row), widths[index]) == (length, width):
            block[index] = row
        else:
            faults[index] = f": it has {len(row)} coordinates, most faces have {length}"
    width = width or _width(block, triples)
    numbers = block.reshape(len(rows), -1, width)
    return Landmarks(
        np.ascontiguousarray(numbers[..., :2]), numbers[..., 2] if width == 3 else None, faults
    )


def _numbers(face: str, row: Any) -> Floats | None:
    """The numbers of one row, (2L,) or (L, 2 or 3); None for a row of nothing."""
    if row is None:
        return None
    try:
        numbers = np.asarray(row, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = None
    is_flat = numbers is not None and numbers.ndim == 1
    if numbers is None or not (is_flat or (numbers.ndim == 2 and numbers.shape[1] in (2, 3))):
        raise OdnbenchError(
            f"face {one_line(face)}: expected x and y of each landmark, [[x, y], …] or "
            f"[x, y, x, y, …], got {one_line(row)[:60]}"
        )
    return numbers


def _width(block: Floats, triples: bool) -> int:
    """2 or 3, the numbers of each landmark in flat rows (N, numbers)."""
    length = block.shape[1]
    if length % 3 == 0:
        thirds = block[:, 2::3]
        if triples or length % 2 or np.isin(thirds[~np.isnan(thirds)], (0, 1, 2)).all():
            return 3
    if length % 2:
        raise OdnbenchError(
            f"faces have {length} coordinates; expected x and y of the same landmarks for each"
        )
    return 2


def unusable(points: Floats) -> dict[int, str]:
    """(N, L, 2) → row → what is wrong, for each face with a landmark that is in no picture."""
    with np.errstate(invalid="ignore"):
        good = np.abs(points) <= LARGEST_PX  # (N, L, 2), False for NaN
    found = {}
    for row in np.flatnonzero(~good.all(axis=(1, 2))).tolist():
        landmark = int(np.flatnonzero(~good[row].all(axis=1))[0])
        x, y = points[row, landmark]
        what = (
            f"at {x:g} {y:g}, which is in no picture"
            if np.isfinite(points[row, landmark]).all()
            else "not a finite number"
        )
        found[row] = f": landmark {landmark} is {what}"
    return found


def flags_in_thirds(thirds: Floats, *, is_coco: bool) -> tuple[Flags | None, str]:
    """(N, L) whether landmarks are occluded, by their third numbers, and how these were read.

    None where the numbers tell nothing of occlusion. Raises OdnbenchError for numbers that are
    neither a visibility nor a confidence.
    """
    known = thirds[~np.isnan(thirds)]
    values = set(np.unique(known).tolist())
    if len(values) < 2 and values <= {0.0, 1.0, 2.0}:
        return None, "the third number of each landmark is always the same, and is not used"
    if values <= {0.0, 1.0, 2.0}:
        if 2.0 in values:
            return thirds < 2, "the third number of a landmark: 2 is visible, 1 and 0 are occluded"
        if is_coco:
            return None, (
                "the third numbers of landmarks are 0 and 1, never 2 as COCO has it for a visible "
                "point, and are not used"
            )
        return thirds < 1, "the third number of a landmark: 1 is visible, 0 is occluded"
    if is_coco or (known.min() >= 0 and known.max() <= 1):
        return None, "the third number of each landmark, a confidence, is not used"
    odd = known[(known < 0) | (known > 1)][0]
    raise OdnbenchError(
        f"faces have 3 coordinates for each landmark, of which the third ({odd:g}) is neither a "
        "visibility (0, 1, 2) nor a confidence (0 to 1); give x and y"
    )
