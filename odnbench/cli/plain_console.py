"""The console of all commands: no text that it is given is read as markup.

File names, titles, reasons and names of the registry come from outside. Here `[b]` is three
characters, `:smile:` is seven, and a command to the terminal in a file name is shown and not
obeyed. What is styled is a rich Text.
"""

from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from odnbench.errors import one_line


class PlainConsole(Console):
    """A console that shows strings as they are, in tables, titles and messages as well.

    Nothing moves where the output is no terminal, also where FORCE_COLOR asks for colours, as
    notebooks set it for the commands that they start.
    """

    _moves = True

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        self._moves = self.file.isatty() or not self.is_terminal  # after colours were chosen

    @property
    def is_dumb_terminal(self) -> bool:
        """See Console; spinners and progress bars are for others."""
        return super().is_dumb_terminal or not self._moves

    def render_str(self, text: str, **options: Any) -> Text:
        """See Console. Line breaks are kept; other characters that are not printed are escaped."""
        return super().render_str(lines(text), **{**options, "markup": False, "emoji": False})

    def status(self, status: Any, **options: Any) -> Status:
        """See Console, which would read a string as markup."""
        shown = Text(lines(status)) if isinstance(status, str) else status
        return super().status(shown, **options)


def lines(text: str) -> str:
    """`text` with its line breaks, and escapes for other characters that are not printed."""
    return "\n".join(map(one_line, text.split("\n")))
