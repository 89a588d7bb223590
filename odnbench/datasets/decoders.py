"""What the decoders say of a damaged picture, and of which picture they say it.

libjpeg fills the part of a picture that it cannot decode with grey. It says so on the standard
error of the process, in a line without a name, and the picture passes for a whole one. `listening`
catches these lines while many threads decode, and gives the files that were being decoded; `damage`
decodes one of them alone, so that the line is known to be its own.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from odnbench.files.regular import read_file

_SAID_BY_DECODERS = re.compile(
    rb"^(Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS param"
    rb"|Unknown Adobe color|libpng |\[ ?(WARN|ERROR)[:@]).*$\n?\n?",
    re.MULTILINE,
)
_DAMAGE = re.compile(rb"^(Corrupt JPEG data|Premature end of JPEG|Inconsistent progress).*", re.M)
# A few bytes, or any number of equal ones, before the end of the image: every pixel is there.
_TOO_MANY = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_FEW_BYTES = 8

# The file that catches the standard error, while somebody listens.
_caught: list[BinaryIO] = []
_suspects: list[Path] = []


@contextmanager
def listening() -> Iterator[list[Path]]:
    """Catches what decoders write to the standard error, and drops it.

    Yields a list that has, when the context ends, each file of which a decoder may have said
    something. What Python writes goes where it went before; what others write comes at the end.
    """
    _suspects.clear()
    with _standard_error_caught():
        suspects: list[Path] = []
        try:
            yield suspects
        finally:
            suspects += dict.fromkeys(_suspects)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Notes `path` if something is written to the standard error in the context."""
    before = _heard()
    yield
    if _heard() != before:
        _suspects.append(path)


def damage(path: Path, decode: Callable[[bytes], object]) -> tuple[str, bool]:
    """What libjpeg says of the file when it is decoded alone, empty where nothing, and whether all
    pixels are there all the same.
    """
    data = read_file(path)
    with _standard_error_caught():
        decode(data)
        text = _text()
    said = _DAMAGE.search(text)
    if said is None:
        return "", True
    few = _TOO_MANY.match(said[0])
    end = data[: data.rfind(b"\xff\xd9")]
    whole = few is not None and (
        int(few[1]) <= _FEW_BYTES or len(set(end[-int(few[1]) :])) == 1  # padding
    )
    return said[0].decode(errors="replace").strip(), whole


def _heard() -> int:
    """The number of bytes that were caught."""
    return os.fstat(_caught[-1].fileno()).st_size if _caught else 0


def _text() -> bytes:
    """What was caught."""
    if not _caught:
        return b""
    return os.pread(_caught[-1].fileno(), _heard(), 0)


@contextmanager
def _standard_error_caught() -> Iterator[None]:
    """C libraries write to file descriptor 2, which is another file meanwhile."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no standard error, so nothing is written to it
        yield
        return
    usual = sys.stderr
    with tempfile.TemporaryFile() as file, os.fdopen(kept, "w", errors="replace") as terminal:
        if _is_standard_error(usual):
            usual.flush()
            sys.stderr = terminal
        os.dup2(file.fileno(), 2)
        _caught.append(file)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            rest = _SAID_BY_DECODERS.sub(b"", _text())
            _caught.pop()
            terminal.flush()
            sys.stderr = usual
            if rest:
                os.write(2, rest)


def _is_standard_error(stream: object) -> bool:
    """Whether what Python writes to `stream` goes to file descriptor 2."""
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError, ValueError):  # a text in memory, or a closed file
        return False
