"""The pages that people read, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
PAGES = (*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.rglob("*.md")))


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language in the text of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def console_commands(page: str) -> Iterator[str]:
    """What stands behind a prompt in the text of a page, one command of a chain at a time; lines
    without a prompt are what commands print.
    """
    for block in blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if prompted := re.match(r"(?:head|worker1)?\$ ", line):
                yield from re.split(r" && | > ", line[prompted.end() :])


def parse(program: Any, command: str) -> dict[str, Any]:
    """The values that `program`, a click or Typer group, reads from `command`; it is not run."""
    _, *arguments = shlex.split(command, comments=True)
    context = type(program).context_class(program)
    name, found, rest = program.resolve_command(context, arguments)
    values: dict[str, Any] = found.make_context(name, rest, parent=context).params
    return values
