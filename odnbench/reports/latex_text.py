"""Text from outside in LaTeX: titles, reasons, names of files and of entries.

What is written is ASCII as far as LaTeX has a command for a character, so that a table can be put
into any paper in T1 encoding. Characters of other scripts stand there as they are for LuaLaTeX,
which has their fonts and turns right-to-left text; pdfLaTeX, which has none of these fonts, shows
their code points (U+05D0) instead.
"""

import re
import unicodedata

from odnbench.errors import one_line

# Characters after which a word may be broken: at a sign if there is one, else anywhere.
_LONGEST_UNBROKEN = 12


class Latex(str):
    """Text that is LaTeX already."""

    __slots__ = ()


_GREEK = {
    "Α": "A", "Β": "B", "Γ": r"\Gamma", "Δ": r"\Delta", "Ε": "E", "Ζ": "Z", "Η": "H",
    "Θ": r"\Theta", "Ι": "I", "Κ": "K", "Λ": r"\Lambda", "Μ": "M", "Ν": "N", "Ξ": r"\Xi",
    "Ο": "O", "Π": r"\Pi", "Ρ": "P", "Σ": r"\Sigma", "Τ": "T", "Υ": r"\Upsilon", "Φ": r"\Phi",
    "Χ": "X", "Ψ": r"\Psi", "Ω": r"\Omega", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma",
    "δ": r"\delta", "ε": r"\varepsilon", "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta",
    "ι": r"\iota", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi",
    "ο": "o", "π": r"\pi", "ρ": r"\rho", "ς": r"\varsigma", "σ": r"\sigma", "τ": r"\tau",
    "υ": r"\upsilon", "φ": r"\varphi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega",
}  # fmt: skip
_MATHS = _GREEK | {
    "×": r"\times", "±": r"\pm", "−": "-", "·": r"\cdot", "⊙": r"\odot", "‖": r"\Vert",
    "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "→": r"\rightarrow",
    "←": r"\leftarrow", "↑": r"\uparrow", "↓": r"\downarrow", "∞": r"\infty", "√": r"\surd",
    "∈": r"\in", "∑": r"\sum", "ᵀ": r"^{\mathsf{T}}", "⁻": "^{-}", "′": r"^{\prime}",
    **{sign: f"^{{{digit}}}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{sign: f"_{{{digit}}}" for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}  # fmt: skip
_COMMANDS = {
    "\\": "textbackslash", "^": "textasciicircum", "~": "textasciitilde", "<": "textless",
    ">": "textgreater", "|": "textbar", "'": "textquotesingle", "`": "textasciigrave",
    '"': "textquotedbl", "–": "textendash", "—": "textemdash", "…": "textellipsis",
    "‘": "textquoteleft", "’": "textquoteright", "“": "textquotedblleft",
    "”": "textquotedblright", "„": "quotedblbase", "‚": "quotesinglbase", "«": "guillemotleft",
    "»": "guillemotright", "†": "textdagger", "‡": "textdaggerdbl", "§": "textsection",
    "¶": "textparagraph", "•": "textbullet", "°": "textdegree", "€": "texteuro",
    "£": "textsterling", "©": "textcopyright", "®": "textregistered", "™": "texttrademark",
    "µ": "textmu", "½": "textonehalf", "¼": "textonequarter", "¾": "textthreequarters",
    "¡": "textexclamdown", "¿": "textquestiondown", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe",
    "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "dj", "Đ": "DJ", "ð": "dh", "Ð": "DH",
    "þ": "th", "Þ": "TH", "ı": "i", "ŋ": "ng", "Ŋ": "NG",
}  # fmt: skip
# Combining character → the accent's command.
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d",
    "\u0327": "c", "\u0328": "k", "\u0331": "b",
}  # fmt: skip
_KNOWN = {
    **{sign: f"\\ensuremath{{{command}}}" for sign, command in _MATHS.items()},
    **{sign: f"\\{command}{{}}" for sign, command in _COMMANDS.items()},
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
    # Behind the end of a row, LaTeX takes these for what belongs to that.
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    "\xa0": "~",
}


def latex(value: object) -> Latex:
    """`value` as LaTeX that shows its characters, in one line; long words can be broken."""
    if isinstance(value, Latex):
        return value
    text = one_line(value)
    return Latex("".join(map(_shown, re.split(r"( +)", text))))


def typed(value: object) -> Latex:
    """`value` in the font of a typewriter."""
    return Latex(f"\\texttt{{{latex(value)}}}")


def _shown(word: str) -> str:
    """A word, or the blanks between two."""
    pieces = [""]
    for part in re.split(r"(?<=[/_.,:;=+-])", word):
        for start in range(0, len(part), _LONGEST_UNBROKEN):
            piece = part[start : start + _LONGEST_UNBROKEN]
            if len(pieces[-1]) + len(piece) > _LONGEST_UNBROKEN:
                pieces.append("")
            pieces[-1] += piece
    return "\\allowbreak{}".join(map(_escaped, filter(None, pieces)))


def _escaped(text: str) -> str:
    found: list[str] = []
    other = ""  # characters in a row that have no command
    for character in text:
        command = _command(character)
        if command is None:
            other += character
            continue
        found += [_of_other_script(other)] if other else []
        other = ""
        # Two hyphens would become a dash, two commas a quotation mark.
        is_ligature = character in "-," and bool(found) and found[-1].endswith(character)
        found.append(f"\\kern0pt{{}}{command}" if is_ligature else command)
    return "".join(found) + (_of_other_script(other) if other else "")


def _command(character: str) -> str | None:
    """What shows a character in any LaTeX; None where only its own script's fonts do."""
    if character in _KNOWN:
        return _KNOWN[character]
    if character.isascii():
        return character
    decomposed = unicodedata.normalize("NFD", character)
    letter, mark = decomposed[0], decomposed[1:]
    return f"\\{_ACCENTS[mark]}{{{letter}}}" if letter.isascii() and mark in _ACCENTS else None


def _of_other_script(text: str) -> str:
    points = " ".join(f"U+{ord(character):04X}" for character in text)
    return f"\\ifdefined\\directlua {text}\\else\\texttt{{{points}}}\\fi{{}}"
