"""The effects of the modules, and each variant beside its published figure."""

from collections.abc import Sequence

from odnbench.metrics.factorial import Effect
from odnbench.reports import texts
from odnbench.reports.bar_figures import effects_figure, errors_figure
from odnbench.reports.charts import unlike_rows
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Line,
    Paragraph,
    Phrase,
    Plot,
    Section,
    Style,
    Table,
)
from odnbench.reports.report import Report
from odnbench.reports.sections.cells import VERDICT, caveat, slug

_TITLE = "Effects of the modules"


def effects(report: Report) -> Section | None:
    """The effects on each column, and a figure of those on the main one; None without a design of
    nothing but modules.
    """
    design = report.design
    if design is not None and design.differ_in:
        told = (
            "Not computed: the networks of all combinations of modules differ in "
            f"{texts.listed(design.differ_in)} too, whose effect would be counted as that of the "
            "modules."
        )
        return Section(_TITLE, (Paragraph((told,)),))
    if design is None or not report.factorial:
        return None
    blocks: list[Block] = [
        Section(column, (_table(report, column, found),), folded=column != report.main_column)
        for column, found in report.factorial.items()
    ]
    blocks.sort(key=lambda block: isinstance(block, Section) and block.folded)
    main = report.main_column or ""
    if shown := report.factorial.get(main):
        blocks.insert(0, _figure(report, main, shown))
    return Section(_TITLE, tuple(blocks))


def _table(report: Report, column: str, found: Sequence[Effect]) -> Table:
    assert report.design is not None
    caption: Phrase = (
        f"All cells share the backbone {texts.carrier(report.design.base)}. Mean NME on ",
        Code(column),
        " with a module less that without, over all combinations of the others, in percentage "
        "points, with 95 % interval and Holm's p over the effects. An interaction is half the "
        "difference between one module's effect with and without the other. Below 0 the error "
        "falls.",
        *caveat(found),
    )
    lines = tuple(
        Line((
            Cell(" × ".join(one.modules)),
            Cell(texts.points(one.interval, 100), 100 * one.interval.estimate),
            Cell(f"{one.p_holm:.4f}", one.p_holm),
            Cell(one.text),
        ))
        for one in found
    )  # fmt: skip
    columns = (Column("effect", "text"), Column("change of NME, points"), Column("p"), VERDICT)
    return Table(f"effects-{slug(column)}", caption, columns, lines)


def _figure(report: Report, column: str, shown: Sequence[Effect]) -> Plot:
    caption: Phrase = ("Effects on the NME on ", Code(column), " with their 95 % intervals.")
    told = "; ".join(
        f"{' × '.join(one.modules)} {texts.points(one.interval, 100)} points" for one in shown
    )
    label = "rendered faces" if report.columns[column].rendered else "real faces"
    return Plot(
        "effects", caption, f"Effects on {column}: {told}.",
        lambda: effects_figure(shown, f"Effects on {column} ({label})"),
    )  # fmt: skip


def ablation(report: Report, styles: dict[str, Style]) -> Section | None:
    """Bars of the error of each variant beside its published figure; None where fewer than two
    variants that can be compared have one.
    """
    column = max(report.paper, key=lambda name: len(report.paper[name].values), default="")
    figures = report.paper.get(column)
    if figures is None or column not in report.columns:
        return None
    rows = [row for row in report.rows if row.variant in figures.values]
    shown = [
        (row, number, figures.values[row.variant])
        for row in rows
        if report.is_alike(row, column) and (number := row.number("nme", column)) is not None
    ]
    if len(shown) < 2:
        return None
    is_rendered = report.columns[column].rendered
    unlike = "; ".join(
        filter(None, ["ours are of rendered faces, the paper's of real ones" if is_rendered else "",
                      figures.unlike])
    )  # fmt: skip
    caption: Phrase = (
        "NME of the variants on ", Code(column), ", filled, beside the paper's figures, hatched",
        f" (not comparable: {unlike})." if unlike else ".",
        f" Not drawn: {left_out}." if (left_out := unlike_rows(report, rows, [column])) else "",
    )  # fmt: skip
    told = "; ".join(f"{row.title} {ours.mean:.2f}, paper {p:.2f}" for row, ours, p in shown)
    plot = Plot(
        "ablation", caption, f"NME in percent on {column}: {told}.",
        lambda: errors_figure(shown, styles, f"{column} ({report.columns[column]})"),
    )  # fmt: skip
    return Section("Beside the paper's ablation", (plot,), folded=True)
