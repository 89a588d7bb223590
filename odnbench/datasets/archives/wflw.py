"""WFLW, Wu et al., CVPR 2018: WFLW_images/ and the lists of WFLW_annotations/.

A line of `list_98pt_rect_attr_{train,test}.txt` holds 98 x y pairs, the box (left, top, right,
bottom), six attributes (0 or 1) and the picture's name. Coordinates are taken as 0-based, without a
change. A picture can show several faces, so picture and box together identify a face.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from unicodedata import normalize

import numpy as np

from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.archives.tree import LEVELS
from odnbench.datasets.faces import LARGEST_PX, Face
from odnbench.datasets.pictures import write_picture
from odnbench.errors import OdnbenchError
from odnbench.files.regular import read_file
from odnbench.files.text import decoded

_POINTS = 98
_ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
_NUMBERS = 2 * _POINTS + 4 + len(_ATTRIBUTES)
_PICTURES = "WFLW_images"
_LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"


class Wflw(Archive):
    """Each part is a list file. Ids are "0--Parade/a.jpg/12,30,118,160": picture and box."""

    def files(self, part: str) -> list[Path]:
        """See Archive."""
        path = self._list(part)
        if path is None:
            return []
        names = {name for line in _lines(path) for name in line.split(maxsplit=_NUMBERS)[_NUMBERS:]}
        return [path, *filter(None, (self._picture(name) for name in names))]

    def read(self, part: str, faults: list[str]) -> Iterator[Face]:
        """See Archive."""
        path = self._list(part)
        faults += self.tree.faults(_LISTS) + self.tree.faults(_PICTURES)
        seen: set[str] = set()
        for number, line in enumerate(_lines(path) if path else (), start=1):
            if not line:
                continue
            try:
                face = self._face(part, line)
                if face.id in seen:
                    raise ValueError(f"the face {face.id} is there twice")
            except ValueError as error:
                faults.append(f"{path}, line {number}: {error}")
                continue
            seen.add(face.id)
            yield face

    def _face(self, part: str, line: str) -> Face:
        """The face of a line of the list. Raises ValueError for a line in another format."""
        words = line.split(maxsplit=_NUMBERS)
        if len(words) != _NUMBERS + 1:
            raise ValueError(f"expected {_NUMBERS} numbers and a name, got {len(words)} words")
        *texts, name = words
        if any("_" in text for text in texts):
            raise ValueError("a number holds '_'")  # Python reads 1_5 as 15
        numbers = np.array(texts, np.float64)
        if not (np.abs(numbers) <= LARGEST_PX).all():
            raise ValueError("a number is not a finite number of pixels")
        points = numbers[: 2 * _POINTS].reshape(_POINTS, 2)
        box, attributes = numbers[2 * _POINTS : -len(_ATTRIBUTES)], numbers[-len(_ATTRIBUTES) :]
        if not set(attributes.tolist()) <= {0.0, 1.0}:
            raise ValueError(f"attributes must be 0 or 1, got {' '.join(texts[-6:])}")
        if _leads_out(name):
            raise ValueError(f"the name '{name}' leads out of {_PICTURES}")
        return Face(
            id=f"{normalize('NFC', name)}/{','.join(f'{n:g}' for n in box)}",
            part=f"{self.dataset.name}/{part}",
            image=self._picture(name),
            points=points,
            box=box,
            group=name,
            labels=frozenset(
                name for name, held in zip(_ATTRIBUTES, attributes, strict=True) if held
            ),
        )

    def write(self, faces: Mapping[str, Iterable[Face]]) -> None:
        """See Archive."""
        for part, drawn in faces.items():
            lines = []
            for index, face in enumerate(drawn):
                assert face.image is not None and not isinstance(face.image, Path)
                assert face.box is not None
                name = f"{index % 3}--Rendered/{part}_{index:05d}.png"
                write_picture(face.image, self.root / _PICTURES / name)
                numbers = [f"{n:.6f}" for n in face.points.ravel()]
                numbers += [f"{n:g}" for n in face.box]
                numbers += [str(int(name in face.labels)) for name in _ATTRIBUTES]
                lines.append(" ".join([*numbers, name]))
            path = self.root / _LISTS / self.dataset.parts[part].source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _list(self, part: str) -> Path | None:
        return self.tree.find(self.dataset.parts[part].source, depth=LEVELS)

    def _picture(self, name: str) -> Path | None:
        """The picture `name` ("0--Parade/a.jpg"), or None where it is missing."""
        if _leads_out(name):
            return None
        found = [self.tree.find(name, within=folder) for folder in self._picture_folders]
        return next(filter(None, found), None)

    @cached_property
    def _picture_folders(self) -> list[Path]:
        return self.tree.find_all(_PICTURES)


def _leads_out(name: str) -> bool:
    """Whether the path `name` may lead out of the folder of pictures."""
    return Path(name).is_absolute() or ".." in Path(name).parts


def _lines(path: Path) -> list[str]:
    """The lines of the file, stripped. Raises OdnbenchError for a file that cannot be read."""
    try:
        return [line.strip() for line in decoded(read_file(path)).split("\n")]
    except ValueError as error:
        raise OdnbenchError(f"{path}: cannot be read as a list of faces: {error}") from error
