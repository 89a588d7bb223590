"""The header of a table of predictions: which column holds what."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from odnbench.errors import OdnbenchError, one_line, some

EXPECTED = "columns face, x0, y0, x1, y1, …"
# The first of these that a table has names its faces.
_FACE = (
    "face", "imgpath", "imagepath", "filepath", "path", "imagename", "imgname", "filename", "image",
    "img", "file", "name", "picture", "imageid", "id",
)  # fmt: skip
_AXES = {
    "x": "x", "y": "y",
    "o": "o", "occ": "o", "occluded": "o", "occlusion": "o",
    "v": "v", "vis": "v", "visible": "v", "visibility": "v",
}  # fmt: skip
_AXIS = "|".join(_AXES)
_AXIS_FIRST = re.compile(rf"(?P<words>(?:.*[\W_])?)(?P<axis>{_AXIS})[\W_]*(?P<number>\d+)")
_NUMBER_FIRST = re.compile(rf"(?P<words>.*?)[\W_]*(?P<number>\d+)[\W_]*(?P<axis>{_AXIS})")
_CORNERS = (("left", "top", "right", "bottom"), ("xmin", "ymin", "xmax", "ymax"))
_SIDES = ("left", "top", "width", "height")


@dataclass(frozen=True)
class Columns:
    """Indices of the columns of a table."""

    face: int
    # "x", "y", and "o" or "v" where the table has them → columns, in the order of the landmarks.
    axes: dict[str, list[int]]
    box: tuple[int, ...] = ()  # of the four numbers of the box; empty where there is none
    box_has_sides: bool = False  # whether the last two are width and height

    @property
    def used(self) -> set[int]:
        """All of them."""
        return {self.face, *self.box, *(c for columns in self.axes.values() for c in columns)}


def columns_of(header: Sequence[str]) -> Columns:
    """Which column of `header` holds what.

    Raises OdnbenchError where no column names faces, and unless there is one set of coordinates,
    in which no landmark is missing.
    """
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise OdnbenchError(f"column '{one_line(twice[0])}' is there twice; expected {EXPECTED}")
    sets: dict[str, dict[str, dict[int, int]]] = {}  # words → axis → landmark → column
    others: dict[str, int] = {}
    for index, name in enumerate(header):
        lower = name.casefold()
        found = _AXIS_FIRST.fullmatch(lower) or _NUMBER_FIRST.fullmatch(lower)
        if found is None:
            others[_bare(lower)] = index
            continue
        held = sets.setdefault(_bare(found["words"]), {}).setdefault(_AXES[found["axis"]], {})
        if (before := held.setdefault(int(found["number"]), index)) != index:
            raise OdnbenchError(
                f"columns '{one_line(header[before])}' and '{one_line(name)}' are one coordinate; "
                f"expected {EXPECTED}"
            )
    face = next((others[name] for name in _FACE if name in others), None)
    whole = {words: axes for words, axes in sets.items() if {"x", "y"} <= axes.keys()}
    if face is None or len(whole) != 1:
        missing = "column that names faces" if face is None else "coordinates"
        found_in = f"{len(whole)} sets of coordinates" if len(whole) > 1 else f"no {missing}"
        raise OdnbenchError(f"expected {EXPECTED}; found {found_in} in the columns {some(header)}")
    (axes,) = whole.values()
    return Columns(face, _in_order({**sets.get("", {}), **axes}), *_box(others))


def _in_order(axes: dict[str, dict[int, int]]) -> dict[str, list[int]]:
    """Axis → columns in the order of the landmarks. Raises OdnbenchError for a missing one."""
    numbers = sorted(axes["x"])
    first, last = numbers[0], numbers[-1]
    if first > 1 or numbers != list(range(first, last + 1)):
        absent = next(n for n in range(first > 1, last) if n not in numbers)
        raise OdnbenchError(f"no column of x has the number {absent}; expected {EXPECTED}")
    for axis, what in (("y", "y"), ("o", "occlusion"), ("v", "visibility")):
        if axis in axes and sorted(axes[axis]) != numbers:
            raise OdnbenchError(
                f"{what} must be given for every landmark, {axis}{first} to {axis}{last}"
            )
    return {axis: [held[number] for number in numbers] for axis, held in axes.items()}


def _box(others: dict[str, int]) -> tuple[tuple[int, ...], bool]:
    """The columns of the box, and whether it is given by its sides."""
    for names in (*_CORNERS, _SIDES):
        for prefix in ("", "box", "bbox", "face"):
            if all(prefix + name in others for name in names):
                return tuple(others[prefix + name] for name in names), names is _SIDES
    return (), False


def _bare(name: str) -> str:
    """`name` without blanks and signs: "image_name" → "imagename"."""
    return re.sub(r"[\W_]", "", name)
