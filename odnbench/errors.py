"""Mistakes of a user, told as rule, value and cure; the command line shows them without
traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class OdnbenchError(Exception):
    """A mistake that the user can mend: the message names the file or key, the rule and the
    cure.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> OdnbenchError:
    """The error for a name that is not among `known`, with the nearest one suggested."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return OdnbenchError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names)}")
