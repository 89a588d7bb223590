"""How figures look: one style for each row of a report, and texts in the font of figures."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from matplotlib.font_manager import FontProperties, findfont, get_font

from odnbench.errors import one_line
from odnbench.reports.document import Style
from odnbench.reports.rows import Row

# Okabe and Ito's palette without black and yellow, distinguishable with colour-vision deficiency.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31")
UNTRAINED = Style("#7F7F7F", "dotted")
REFERENCE = Style("text")
_LEGEND_CHARACTERS = 40


def styles_of(rows: Sequence[Row]) -> dict[str, Style]:
    """Title of a row → its look: the reference's is that of text, those without training are dotted
    grey, and the others have a colour each, dashed once the colours are used up. Of a row that is
    given twice, the first place counts.
    """
    styles: dict[str, Style] = {}
    coloured = 0
    for row in rows:
        if row.title in styles:
            continue
        if row.trials and not row.is_trained:
            styles[row.title] = UNTRAINED
        elif row.is_reference:
            styles[row.title] = REFERENCE
        else:
            again, index = divmod(coloured, len(PALETTE))
            styles[row.title] = Style(PALETTE[index], "dashed" if again % 2 else "solid")
            coloured += 1
    return styles


def line_of(style: Style) -> dict[str, Any]:
    """Colour and dash of a style, as arguments of matplotlib."""
    dashes = {"solid": "-", "dashed": (0, (5, 2)), "dotted": ":"}
    colour = "black" if style.colour == "text" else style.colour
    return {"color": colour, "linestyle": dashes[style.dash]}


def in_figure(title: str) -> str:
    """`title` in the font of figures, with an escape for each character that the font lacks.

    matplotlib reads formulas between dollars, and keeps what begins with an underscore out of
    legends.
    """
    font = get_font(findfont(FontProperties()))
    text = "".join(
        c if font.get_char_index(ord(c)) else c.encode("unicode_escape").decode("ascii")
        for c in one_line(title)
    ).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def in_legend(title: str) -> str:
    """`title` as `in_figure`, broken into lines: a long one would leave no room for the panels."""
    return fill(in_figure(title), _LEGEND_CHARACTERS, break_on_hyphens=False)
