"""The parts that JPEG, PNG and WebP files are made of, found without decoding them.

A part is named as in its file: by the second byte of its marker in JPEG, by four letters in PNG
and WebP.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Neither a filling 0 and FF nor a restart is a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
END_OF_JPEG, PIXELS_OF_JPEG, END_OF_PNG = b"\xd9", b"\xda", b"IEND"


class Part(NamedTuple):
    """A part of a picture file; its content is `data[start:end]`."""

    name: bytes
    start: int
    end: int


def parts_of(data: bytes) -> Iterator[Part]:
    """The parts of a JPEG, PNG or WebP file in their order, as far as they are there; none of
    another file.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG"):
        return _png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    return iter(())


def is_whole(data: bytes) -> bool:
    """Whether the picture in a JPEG or PNG file has an end; cameras write other data behind it.
    Files of other formats pass.
    """
    ends = {b"\xff\xd8": END_OF_JPEG, b"\x89PNG": END_OF_PNG}
    end = next((end for start, end in ends.items() if data.startswith(start)), None)
    return end is None or any(part.name == end for part in parts_of(data))


def _jpeg(data: bytes) -> Iterator[Part]:
    place = 2
    while marker := _JPEG_MARKER.search(data, place):
        start = marker.end()
        name = data[start - 1 : start]
        if name == END_OF_JPEG:
            yield Part(name, start, start)
            return
        # Every other marker begins a segment, which may hold a thumbnail with an end of its own.
        place = start + int.from_bytes(data[start : start + 2], "big")
        yield Part(name, start + 2, place)


def _png(data: bytes) -> Iterator[Part]:
    place = 8
    while place + 12 <= len(data):  # length, name and checksum of a chunk
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        yield Part(data[place + 4 : place + 8], place + 8, end)
        place = end + 4


def _webp(data: bytes) -> Iterator[Part]:
    place = 12
    while place + 8 <= len(data):  # name and length of a chunk
        end = place + 8 + int.from_bytes(data[place + 4 : place + 8], "little")
        yield Part(data[place : place + 4], place + 8, end)
        place = end + end % 2
