"""The names of faces: which picture a name means, and whether its folders contradict that.

Names are compared without regard to upper and lower case, to how letters with marks are encoded
(Unicode NFC and NFD), to blanks, to the kind of the slashes, to leading zeros of a number, and to
the suffix of the picture.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from odnbench.plan.entries import Dataset

_PICTURE = re.compile(
    r"(.*?)\.(?:jpe?g|png|bmp|webp|gif|jfif|tiff?|pts|mat|npy|txt|json)(?:/(.*))?", re.DOTALL
)
_TRAINING, _TEST = "train", "test"


@dataclass(frozen=True)
class Name:
    """An id or a file name, normalised.

    "WFLW_images\\0--Parade\\A.jpg" has the parts "wflw_images", "0--parade", "a"; the id
    "0--Parade/a.jpg/12,30,118,160" of WFLW has the tail "12,30,118,160".
    """

    parts: tuple[str, ...]  # folders of the picture, and its stem, a number without leading zeros
    stem: str  # with them
    tail: str  # which face of the picture it is

    @classmethod
    def of(cls, text: str) -> "Name":
        """The name that `text` is."""
        normal = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
        path = re.sub(r"\s", "", normal).replace("\\", "/")
        picture, tail = path, ""
        if found := _PICTURE.fullmatch(path):
            picture, tail = found[1], found[2] or ""
        parts = [part for part in picture.split("/") if part not in ("", ".")] or [""]
        stem = parts[-1]
        if stem.isdecimal():
            parts[-1] = stem.lstrip("0") or "0"
        return cls(tuple(parts), stem, tail)

    def agreement(self, other: "Name") -> int:
        """The number of parts, from the last on, in which both names agree."""
        count = 0
        for mine, others in zip(reversed(self.parts), reversed(other.parts), strict=False):
            if mine != others:
                break
            count += 1
        return count


@dataclass(frozen=True)
class Folders:
    """What the names of folders say about the part of a data set that a face belongs to."""

    dataset: Dataset
    parts: tuple[str, ...]  # of the data set, of which faces are scored

    @cached_property
    def _every(self) -> frozenset[str]:
        """Words that some part of the data set is called by."""
        return frozenset({_TRAINING, _TEST}.union(*map(self._words, self.dataset.parts)))

    def _others(self, true: Name) -> frozenset[str]:
        """Those words that the part of a face is not called by."""
        folders = frozenset(map(_word, true.parts[:-1]))
        if folders not in self._known:
            held = [p for p in self.parts if set(self._source(p)) <= folders] or self.parts
            self._known[folders] = self._every.difference(*map(self._words, held))
        return self._known[folders]

    @cached_property
    def _known(self) -> dict[frozenset[str], frozenset[str]]:
        return {}  # folders → `_others`, for a name each of tens of thousands

    def contradict(self, name: Name, true: Name) -> bool:
        """Whether a folder in `name` is that of another part than the face `true` belongs to.

        The folders above that of the data set are the user's own, and tell nothing. Nor do those
        above folders in which both names agree to the first.
        """
        agreeing = name.agreement(true)
        if agreeing == len(true.parts) > 1:
            return False
        folders = name.parts[:-agreeing]
        roots = [i for i, folder in enumerate(folders) if folder in self.dataset.names]
        inner = folders[roots[-1] + 1 if roots else 0 :]
        return any(_word(folder) in self._others(true) for folder in inner)

    def _words(self, part: str) -> set[str]:
        training = self.dataset.splits.get("train")
        is_training = part == "train" or (training is not None and part in training.parts)
        told = (*part.split("-"), _TRAINING if is_training else _TEST)
        return {*map(_word, told), *self._source(part)}

    def _source(self, part: str) -> list[str]:
        return list(map(_word, self.dataset.parts[part].source.split("/")))


def _word(folder: str) -> str:
    """A folder's name without signs: "train_set", "trainset" and "training" are "train"."""
    bare = re.sub(r"[\W_]", "", folder.casefold())
    return re.sub(rf"^({_TRAINING}|{_TEST})(?:set|ing|images|imgs)?$", r"\1", bare)
