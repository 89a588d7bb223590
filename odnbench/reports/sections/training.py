"""What training did: curves, the terms of the objective, the ranks of M, limits of the sizes."""

from odnbench.reports import texts
from odnbench.reports.charts import spectrum_chart, training_chart
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Items,
    Phrase,
    Section,
    Style,
    Table,
)
from odnbench.reports.ranks import RankRow
from odnbench.reports.report import Report
from odnbench.reports.sections.cells import MODEL, line, number
from odnbench.reports.terms import Term


def training(report: Report, styles: dict[str, Style]) -> Section | None:
    """The training curves; None where nothing was trained."""
    chart = training_chart(report, styles)
    return None if chart is None else Section("Training", (chart,), folded=True)


def terms(report: Report) -> Section | None:
    """The share of the gradient of each penalty; None where epochs hold none."""
    if not report.terms:
        return None
    caption: Phrase = (
        "The gradient of each penalty over that of the data term, on what the penalty acts on: the "
        f"median over epochs{' and seeds' if report.seeds > 1 else ''} of the ratio of their norms."
        f" A term whose gradient is below {texts.inert_below()} of the data term's is called "
        "inert: what it penalises is trained as if the term were not there. “–”: there is nothing "
        "in the network that it acts on; “off”: its weight is 0.",
    )
    lines = tuple(
        line(report, one.row, [_share(one.term(weight.name)) for weight in report.acting])
        for one in report.terms
    )
    columns = (MODEL, *(Column(weight.title) for weight in report.acting))
    table = Table("terms", caption, columns, lines)
    return Section("What the terms of the objective do", (table,), folded=True)


def _share(term: Term | None) -> Cell:
    return Cell(texts.share(term), None if term is None else term.share)


def ranks(report: Report) -> Section | None:
    """The ranks of M and of M W_fcᵀ, and a chart of their spectra; None without M."""
    if not report.ranks:
        return None
    caption: Phrase = (
        Code("M"), " is d × k: it makes k numbers of the d features, and ", Code("W_fcᵀ"),
        " makes the shape of these; the network knows ", Code("M"), " only through ",
        Code("M W_fcᵀ"), ". First seed; of ", Code("M"), " after the first epoch → of the weights "
        "that were kept, of the product of those weights alone. Effective rank: exp of the entropy "
        "of the singular values; stable rank: the sum of their squares over the largest square.",
    )  # fmt: skip
    columns = (
        MODEL, Column("M", "text"), Column("effective rank of M"), Column("of M W_fcᵀ"),
        Column("stable rank of M"), Column("of M W_fcᵀ"),
    )  # fmt: skip
    lines = tuple(line(report, rank.row, _ranks(rank)) for rank in report.ranks)
    blocks: list[Block] = [Table("ranks", caption, columns, lines)]
    ranked = [rank for rank in report.ranks if rank.product_spectrum]
    if ranked:
        shown = next((rank for rank in ranked if rank.row is report.exemplar_row), ranked[0])
        label = "rendered faces" if report.rendered else "real faces"
        blocks.append(spectrum_chart(shown, label))
    return Section("Rank of the structural matrix M", tuple(blocks), folded=True)


def _ranks(rank: RankRow) -> list[Cell]:
    return [
        Cell(texts.matrix_size(rank)),
        Cell("{:.1f} → {:.1f}".format(*rank.effective), rank.effective[1]),
        number(rank.product_effective, "{:.1f}"),
        Cell("{:.1f} → {:.1f}".format(*rank.stable), rank.stable[1]),
        number(rank.product_stable, "{:.1f}"),
    ]


def limits(report: Report) -> Section | None:
    """What sizes keep modules from; None where they do not."""
    told: list[Phrase] = [
        (f"{limit[0].upper()}{limit[1:]}. Concerns {', '.join(row.title for row in rows)}.",)
        for limit, rows in report.limits.items()
    ]
    return Section("Limits of these settings", (Items(tuple(told)),)) if told else None
