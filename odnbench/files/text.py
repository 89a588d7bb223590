"""Text as editors and tools write it."""

import codecs

# A file may begin with a mark of its encoding, as Windows writes. The mark of UTF-32 begins as that
# of UTF-16 does, so it stands first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8, or in the encoding that a byte-order mark names; the mark is
    left out.

    Raises ValueError that names the line of what cannot be read, and the cure.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 3 * content.count(0) > len(content):
        raise ValueError(
            "it holds NUL bytes, as a damaged file does and UTF-16 without a byte-order mark; save "
            "the file as UTF-8"
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            line = content.count(b"\n", 0, error.start) + 1
            fault = f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8"
        else:
            fault = f"it begins as {encoding.upper()} does, and cannot be read as that"
        raise ValueError(f"{fault}; save the file as UTF-8") from error
