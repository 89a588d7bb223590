"""A document with one of everything, and with names that formats trip over."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from odnbench.datasets.pictures import write_picture
from odnbench.reports.document import (
    Cell,
    Chart,
    Code,
    Column,
    Curve,
    Document,
    Gallery,
    Items,
    Line,
    Panel,
    Paragraph,
    Picture,
    Plot,
    Section,
    Strong,
    Style,
    Table,
    Tile,
)

NASTY = (
    "<script>alert('x')</script>",
    "</script></style><img src=http://example.org/x onerror=alert(1)>",
    "a|b_c_d%e&amp;f [b]bold[/b] \"quoted\" 'too' `code` $x$ {{ 7 * 7 }} \\n",
    "Größe Übergrößenträger Łódź 顔",
    "זיהוי נקודות ציון בפנים",
    "long " + "x" * 195,
)
MODELS = ("ODN", "BRNet", "cut backbone, no module", "mean shape", *NASTY)
STYLES = {
    title: Style(colour, dash)
    for title, colour, dash in zip(
        MODELS,
        ("text", "#0072B2", "#E69F00", "#7F7F7F", "#009E73", "#CC79A7", "#56B4E9", "#D55E00",
         "#8C6D31", "#0072B2"),
        ("solid",) * 3 + ("dotted",) + ("solid",) * 5 + ("dashed",),
        strict=True,
    )
}  # fmt: skip


def made_document(folder: Path) -> Document:
    """The document; its picture is written into `folder`."""
    picture = folder / "examples.jpg"
    shades = np.random.default_rng(0).integers(0, 256, (60, 480, 3), np.uint8)
    write_picture(np.kron(shades, np.ones((4, 4, 1), np.uint8)), picture)
    faces = "All faces are ", Strong("rendered"), ": stand-ins for ", Code("300w"), "."
    return Document(
        name="ablation",
        title="Ablation of the modules on 300W <b>&",
        warnings=(faces, ("One seed: what follows holds for these runs, not for the variants.",)),
        found=(
            ("LM lowers the error by ", Strong("0.30 points"), " (0.15 to 0.49; 5 seeds)."),
            ("DM and GM: no detectable effect. The weight ", Code("loss.beta"), " is inert."),
            (NASTY[0], " is worse than ODN."),
        ),
        not_shown=(("Whether P tells what is occluded: its map has 3 × 3 cells.",),),
        summary=results("summary"),
        sections=(
            Section("Errors", (ced(), results("results-300w-full", 4), training())),
            Section("Error against cost", (cost(), plot(), occlusion())),
            Section("Hard cases", (gallery(), gallery("disagree", 2))),
            Section(
                f"What P tells {NASTY[2]}",
                (
                    Paragraph(("P is smaller where ", Code("covered"), ".")),
                    Items((("one",), ("two ", Strong("strong")))),
                    Picture("examples", ("Test faces: truth as rings.",), "Eight faces.", picture),
                ),
            ),
            Section(
                "Spectra",
                (Section("Of M", (spectrum(),)), Section("Nothing", (), folded=True)),
                folded=True,
            ),
            Section("How these numbers were made", (settings(),), folded=True),
        ),
        styles=STYLES,
    )


def results(name: str, metrics: int = 1) -> Table:
    """A row for each model: cost, numbers with marks, a verdict."""
    numbers = np.random.default_rng(metrics).normal(6, 1, (len(MODELS), metrics)).clip(3)
    return Table(
        name,
        ("NME in percent of the inter-ocular distance with its 95 % interval over faces.",),
        (
            Column("model", "text"),
            Column("parameters"),
            *(
                Column(
                    ("NME", "AUC₈", "FR₈", "NME of occluded points")[i],
                    better=("lower", "higher", "lower", "lower")[i],
                )
                for i in range(metrics)
            ),
            Column("verdict", "text"),
            Column("trial", "code"),
        ),
        tuple(
            Line(
                (
                    Cell(title),
                    Cell(f"{1000 - index:,}", 1000 - index) if index != 3 else Cell("–"),
                    *(
                        Cell(
                            f"{value:.2f} ({value - 0.4:.2f}–{value + 0.4:.2f})",
                            value,
                            {2: "another box rule", 5: "of a flip test"}.get(index, ""),
                        )
                        for value in row
                    ),
                    Cell("no detectable difference" if index else "reference"),
                    Cell(f"{index:016x}"),
                ),
                title,
                is_reference=index == 0,
            )
            for index, (title, row) in enumerate(zip(MODELS, numbers, strict=True))
        ),
        (("Intervals: bootstrap over faces, ", Code("n = 689"), "."),),
    )


def ced() -> Chart:
    """Two panels of curves, each with a band."""
    x = np.linspace(0, 20, 300)

    def share(index: int, hardness: float) -> Curve:
        y = 100 * (1 - np.exp(-((x / (hardness + 0.5 * index)) ** 3)))
        title = MODELS[index]
        return Curve(title, STYLES[title], x, y, (y - 3).clip(0), (y + 3).clip(0, 100))

    panels = tuple(
        Panel(
            f"300w/{split} (rendered, 200 faces)", "NME, %", "share of faces, %",
            tuple(share(index, hardness) for index in range(len(MODELS))),
            x_range=(0, 20), y_range=(0, 100), marks=(8.0,),
        )
        for split, hardness in (("common", 4.0), ("challenging", 7.0))
    )  # fmt: skip
    text = "The share of faces with an error of at most x; ODN is highest."
    return Chart("ced", ("Cumulative error distribution.",), text, panels)


def training() -> Chart:
    """A curve with dots and a gap, on a logarithmic axis."""
    y = [40.0, 20, float("nan"), 11, 9.5, 9, 8.7]
    curve = Curve("ODN", STYLES["ODN"], range(1, 8), y)
    panel = Panel("", "epoch", "validation NME, %", (curve,), log_y=True)
    return Chart("training", ("Error while training.",), "It falls from 40 to 9 %.", (panel,))


def cost() -> Chart:
    """Points with intervals, each with an x of its own, on a logarithmic axis."""
    curves = tuple(
        Curve(title, STYLES[title], (20.0 * 1.9**i,), (9.0 - i,), (8.6 - i,), (9.5 - i,), True)
        for i, title in enumerate(MODELS[:6])
    )
    front = Curve("Pareto front", Style("#7F7F7F", "dotted"), (20, 38, 72), (9, 8, 7))
    panel = Panel("", "multiply-adds per face, millions", "NME, %", (front, *curves), log_x=True)
    return Chart("cost", ("Error against cost.",), "More costs buy less error.", (panel,))


def occlusion() -> Chart:
    """Few points, dashed, with bands."""
    x = np.array([0, 10, 20, 30, 40, 50, 60.0])
    curves = tuple(
        Curve(title, STYLES[title], x, 5 + i + x**1.5 / 60, 4.5 + i + x**1.5 / 60, 5.6 + i + x / 6)
        for i, title in enumerate((MODELS[0], MODELS[9]))
    )
    panel = Panel("300w/full", "pasted occluders cover, % of the face", "NME, %", curves)
    return Chart("occlusion", ("Error under occluders.",), "It rises with coverage.", (panel,))


def spectrum() -> Chart:
    """Seven decades."""
    x = np.arange(1, 129)
    curves = (Curve("M W_fcᵀ", Style("#0072B2"), x, 10 ** (-x / 20)),)
    panel = Panel("", "singular value", "size over the largest", curves, log_y=True)
    return Chart("spectrum", ("Singular values.",), "They fall by seven decades.", (panel,))


def plot() -> Plot:
    """A drawing of matplotlib's with a nasty text."""

    def draw() -> Figure:
        figure = Figure(figsize=(7, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.bar(range(3), [3, -1, 2])
        axes.set_title("Effects of the modules <script>")
        return figure

    return Plot("effects", ("Factorial effects.",), "GM 3, DM −1, LM 2.", draw)


def gallery(name: str = "largest-error", rows: int = 1) -> Gallery:
    """Faces of which one has a picture."""
    rng = np.random.default_rng(3)
    angles = np.linspace(0, np.pi, 34)
    rim = np.stack([0.5 - 0.35 * np.cos(angles), 0.4 + 0.5 * np.sin(angles)], axis=1)
    within = rng.uniform(0.3, 0.7, (34, 2))
    true = np.concatenate([rim, within])

    def tile(index: int) -> Tile:
        points = {
            MODELS[row]: _pairs(true + rng.normal(0, 0.03, true.shape)) for row in range(rows)
        }
        title = f"ibug/image_{index:03}_1" if index else NASTY[1]
        facts = "NME ", Strong(f"{30 - index}.2 %"), "; 12 of 68 points occluded"
        return Tile(title, facts, _pairs(true), points, _jpeg() if index == 1 else None)

    caption = ("The faces with the largest error of ", Strong("ODN"), " on ", Code("300w/full"))
    return Gallery(name, caption, tuple(tile(index) for index in range(8)))


def settings() -> Table:
    """Many rows, short and long."""
    values = {f"train.key_{i}": str(i * 0.1) for i in range(25)} | {
        "data.test": "300w/common, " * 9
    }
    lines = tuple(Line((Cell(key), Cell(value))) for key, value in values.items())
    return Table("settings", ("What all trials share.",),
                 (Column("key", "code"), Column("value", "text")), lines)  # fmt: skip


def _pairs(
    points: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def _jpeg() -> bytes:
    import cv2

    shades = np.tile(np.linspace(40, 220, 96).astype(np.uint8), (96, 1))
    return bytes(cv2.imencode(".jpg", shades)[1])
