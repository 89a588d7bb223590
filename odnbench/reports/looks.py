"""How figures look: colours, and texts in the font of figures."""

from matplotlib.font_manager import FontProperties, findfont, get_font

from odnbench.errors import one_line

# Okabe and Ito's palette, distinguishable with colour-vision deficiency.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31", "#7F7F7F")


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
