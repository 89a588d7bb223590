"""The marker of a finished trial, which says what the files of the trial's folder must be.

For each file, the marker holds the size and a checksum. It is written last, once all of them are on
disk. A file that a power cut has emptied or filled with zeros, or that was copied by half, then
does not agree with the marker.
"""

import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from odnbench.files.whole import flush, write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.results.reading import read_json

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class FileMark:
    """What a file was when its trial had finished."""

    size: int  # in bytes
    crc32: str  # eight hexadecimal digits; against accidents, and five times as fast as a SHA-256


@dataclass(frozen=True)
class Marker:
    """The files of a finished trial, by name.

    There are none in the empty marker that earlier versions wrote, which vouches for nothing.
    """

    files: Mapping[str, FileMark]

    @classmethod
    def of(cls, files: Collection[Path]) -> "Marker":
        """The marker for `files`, which lie in one folder; returns once they are on disk."""
        marks = {}
        for path in sorted(files):
            flush(path)
            marks[path.name] = FileMark(path.stat().st_size, _checksum(path))
        return cls(marks)

    @classmethod
    def read(cls, path: Path) -> "Marker":
        """Reads a marker; OdnbenchError where it is not one."""
        if not path.stat().st_size:
            return cls({})
        return from_mapping(cls, read_json(path, "a marker"), str(path))

    def write(self, path: Path) -> None:
        """Writes the file that `read` reads."""
        write_whole(path, (json.dumps(to_mapping(self), indent=1) + "\n").encode())

    def fault(self, folder: Path, read: Collection[str], spare: Collection[str]) -> str:
        """The first file in `folder` that does not agree with this marker, and how; "" if all do.

        read: names of the files whose content is compared as well, not their size alone.
        spare: names of the files that may have been removed.
        """
        for name, mark in self.files.items():
            path = folder / name
            if not path.is_file():
                if name in spare:
                    continue
                return f"{name} is missing"
            if (size := path.stat().st_size) != mark.size:
                return f"{name} has {size} bytes, where the trial wrote {mark.size}"
            if name in read and _checksum(path) != mark.crc32:
                return f"{name} holds other bytes than the trial wrote"
        return ""


def _checksum(path: Path) -> str:
    """The CRC-32 of a file, as eight hexadecimal digits."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return f"{crc:08x}"
