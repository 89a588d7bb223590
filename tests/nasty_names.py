"""Names as people and other tools give them, which no format may read as its own signs."""

NAMES = (
    "a_b",
    "100 % & #1",
    "<script>alert(1)</script>",
    "a|b",
    "[b] {c}",
    "\"quoted\" 'single' `back`",
    "Ümläut ß é Łódź",
    "שלום עולם",
    "عربي",
    "日本語",
    "Ελληνικά",
    "long" * 50,
    "two\nlines",
    "$x^2$ ~ \\input{/etc/passwd}",
    "=1+1",
    "+a",
    "-a -- b",
    "@a",
    "'a",
    "*star",
    "W_fcᵀ ‖M‖₂ ≤ 10⁻²",
)
# Names of pipelines, which name files as well: what leads out of a folder, or what a system refuses
# in the name of a file, is no name of one.
PIPELINES = ("a_b", "Ümläut ß", "שלום עולם", "a, b (c) @ 1+1=2 - d.e")
REFUSED = ("100 %", "<script>", "a|b", "[b]", '"a"', "'a'", "two\nlines", "../a", "a/b", "x" * 200)
