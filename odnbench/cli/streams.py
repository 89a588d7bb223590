"""Standard output and error, so that no terminal, pipe or encoding ends a command.

- A character that the encoding does not have is written as the nearest one in ASCII, or as its
  escape: an umlaut in a Latin-1 console stays, ≥ becomes >=. Bytes of file names that are not UTF-8
  become escapes as well.
- A width of the terminal that is no number is forgotten; Typer would end with a traceback.
- Where the reader has gone (`| head`, a terminal that was closed) or the stream was closed before
  the start (`>&-`), what is printed is dropped. The command goes on and ends with the status that
  it would have had: a sweep is not lost with the window in which it was started.
"""

import codecs
import errno
import io
import os
import sys
import unicodedata
from typing import Any, TextIO

_ERRORS = "odnbench"
_WIDTHS = ("COLUMNS", "TERMINAL_WIDTH")  # environment variables, of shells and of Typer
_GONE = (errno.EPIPE, errno.EIO)  # a pipe without a reader, a terminal that was closed
# What Unicode itself does not decompose into ASCII.
_NEAREST = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "·": ".", "•": "*", "×": "x", "≥": ">=", "≤": "<=", "≈": "~",
     "±": "+/-", "→": "->", "‖": "||", "‘": "'", "’": "'", "“": '"', "”": '"', "─": "-", "━": "-",
     "│": "|", "α": "alpha", "β": "beta", "γ": "gamma", "ζ": "zeta", "η": "eta", "λ": "lambda"}
)  # fmt: skip


class _UntilGone(io.FileIO):
    """The file of a standard stream, which takes what is written also after its reader has gone."""

    def write(self, content: Any, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return super().write(content)


def prepare_streams() -> None:
    """Replaces sys.stdout and sys.stderr by streams that keep the promises above. A stream that is
    none of the process, as that of a notebook, stays as it is.
    """
    codecs.register_error(_ERRORS, _in_ascii)
    for name in _WIDTHS:
        if not os.environ.get(name, "0").isdecimal():
            del os.environ[name]
    for number in (0, 1, 2):  # else the next file that is opened would become a standard stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _prepared(sys.stdout, 1), _prepared(sys.stderr, 2)


def _prepared(stream: TextIO | None, number: int) -> TextIO:
    """The stream that takes the place of `stream`, which is None where it was closed."""
    if stream is None:
        encoding, by_line = "utf-8", False
    elif isinstance(stream, io.TextIOWrapper) and _descriptor(stream) == number:
        stream.flush()
        encoding, by_line = stream.encoding, stream.line_buffering
    else:
        return stream
    file = io.BufferedWriter(_UntilGone(number, "w", closefd=False))
    return io.TextIOWrapper(file, encoding, _ERRORS, line_buffering=by_line)


def _descriptor(stream: TextIO) -> int:
    """The number of the file that `stream` writes to; -1 where it writes to memory."""
    try:
        return stream.fileno()
    except OSError:
        return -1


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: what is written in place of what cannot be encoded."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_nearest, error.object[error.start : error.end])), error.end


def _nearest(character: str) -> str:
    """ASCII that stands for `character`."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode
        return f"\\x{code - 0xDC00:02x}"
    if 0x2800 <= code <= 0x28FF:  # what turns while one waits
        return "*"
    text = unicodedata.normalize("NFKD", character.translate(_NEAREST))
    plain = "".join(c for c in text if c.isascii())
    return plain or character.encode("ascii", "backslashreplace").decode()
