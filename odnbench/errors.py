"""Mistakes of a user, told as rule, value and cure; the command line shows them without
traceback.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# Up to the last @, since what is secret may hold a slash or an @ itself.
_USER = re.compile(r"//\S*@")
_SECRET = re.compile(
    r"([?&](?:[\w-]*[_-])?(?:sig|signature|key|secret|token|password|passwd|pwd|user|credential)=)"
    r"[^&\s]*",
    re.IGNORECASE,
)
_MOST_NAMED = 5  # names in one message


class OdnbenchError(Exception):
    """A mistake that the user can mend: the message names the file or key, the rule and the
    cure.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> OdnbenchError:
    """The error for a name that is not among `known`, with the nearest one suggested."""
    name, names = one_line(name), sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return OdnbenchError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names)}")


def one_line(text: object) -> str:
    r"""`text` with an escape such as "\n" or "\x1b" for each character that is not printed.

    A name of a file may hold line breaks, commands to a terminal, marks that turn the direction of
    writing, and bytes that are no text.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown
    )


def without_secrets(text: str) -> str:
    """`text` without the user names, passwords, keys and signatures of the addresses in it."""
    return _SECRET.sub(r"\1…", _USER.sub("//", text))


def some(names: Sequence[str]) -> str:
    """The first few of `names` in one line, and how many more there are."""
    told = ", ".join(map(one_line, names[:_MOST_NAMED]))
    return f"{told} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else told
