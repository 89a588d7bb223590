"""Text from outside in Markdown: titles, reasons, names of files and of entries.

In a template, and in sentences.py, whatever is no `Markdown` is escaped, so that a new line of a
table cannot forget it.
"""

import re
from urllib.parse import quote

from odnbench.errors import one_line

# A line that begins with one of these is a heading, an item or a quotation.
_AT_START = re.compile(r"^(\s*)([#>+-]|\d+[.)])(?=\s|$)")
# An underscore between letters is no emphasis in GitHub's Markdown, nor in CommonMark.
_INSIDE = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escaped(value: object) -> Markdown:
    """`value` as Markdown that shows its characters, in one line."""
    if isinstance(value, Markdown):
        return value
    text = _INSIDE.sub(r"\\\g<0>", one_line(value))
    return Markdown(_AT_START.sub(lambda found: f"{found[1]}{_stopped(found[2])}", text))


def _stopped(mark: str) -> str:
    """`mark` with a backslash before the sign that makes it one."""
    return f"{mark[:-1]}\\{mark[-1]}"


def code(value: object) -> Markdown:
    """`value` between backticks, more of them than it has itself in a row."""
    text = one_line(value).replace("|", "\\|")  # also between backticks, a bar ends a table's cell
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def picture(file_name: str) -> Markdown:
    """The picture of that name beside the report."""
    return Markdown(f"![{escaped(file_name)}]({quote(file_name)})")
