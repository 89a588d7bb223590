"""What the occlusion map P tells, and what pasted occluders do to the errors."""

from odnbench.reports import texts
from odnbench.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Paragraph,
    Phrase,
    Section,
    Table,
)
from odnbench.reports.occlusion import Told
from odnbench.reports.pasted import PastedLine
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.reports.sections.cells import (
    MODEL,
    VERDICT,
    against,
    caveat,
    line,
    measured,
    number,
    slug,
)

_INTENDED = (
    "The paper intends 1 − P as the probability of occlusion. Eq. (3) alone does not make it one: "
    "the data term sees only the product P ⊙ C of the map and the features C, so that a small P "
    "and large features cost nothing. What 1 − P tells is therefore measured."
)


def maps(report: Report) -> Section | None:
    """How well 1 − P tells what is occluded; None where no network has a map."""
    if not (report.maps or report.small_maps or report.pasted):
        return None
    blocks: list[Block] = [Paragraph((_INTENDED,))]
    if report.small_maps:
        told = ", ".join(f"{small.row.title} (cells: {small.cells})" for small in report.small_maps)
        blocks.append(Paragraph((
            "No AUROC is computed for a map smaller than 4×4, whose cells hold occluded and "
            f"visible places together: {told}.",
        )))  # fmt: skip
    if report.maps:
        seeds = " and seeds" if report.seeds > 1 else ""
        blocks.append(Paragraph((
            "AUROC of 1 − P (0.5 tells nothing) within a face: the mean over the faces that have "
            f"occluded and visible places, with its 95 % interval over faces{seeds} and their "
            "number. AUROC over all faces together, where faces differ in the mean of P as well; "
            "average precision (by chance: the share of occluded places, in brackets) and expected "
            "calibration error, over all faces together too. “Covered” landmarks lie under an "
            "occluder, “self-occluded” ones are hidden by the head itself; each is set against "
            "landmarks that are not occluded. Without masks of occluders, “landmarks” are those "
            "flagged as occluded. “Cells” of the map count as occluded where occluders cover more "
            "than half.",
        )))  # fmt: skip
    blocks += [_maps_table(report, column, told) for column, told in report.maps.items()]
    return Section("What the occlusion map P tells", tuple(blocks), folded=True)


def _maps_table(report: Report, column: str, told: tuple[tuple[Row, Told], ...]) -> Table:
    columns = (
        MODEL, Column("against", "text"), Column("AUROC within a face", better="higher"),
        Column("faces"), VERDICT, Column("AUROC over all"), Column("average precision"),
        Column("calibration error"),
    )  # fmt: skip
    lines = tuple(
        line(report, row, [
            Cell(one.truth), _within(one), number(one.faces, "{}"),
            Cell(texts.verdict_on_map(one)), number(one.auroc, "{:.3f}"),
            Cell(f"{one.average_precision:.3f} ({one.occluded_share:.3f})", one.average_precision),
            number(one.calibration_error, "{:.3f}"),
        ])
        for row, one in told
    )  # fmt: skip
    caption: Phrase = (Code(column), f" ({report.columns[column]}).")
    return Table(f"maps-{slug(column)}", caption, columns, lines)


def _within(told: Told) -> Cell:
    return Cell(texts.within_faces(told), None if told.within is None else told.within.estimate)


def pasted(report: Report) -> Section | None:
    """Errors with occluders pasted on the test faces; None where trials have no such faces."""
    if not report.pasted:
        return None
    reference = "the reference" if report.reference is None else report.reference.title
    told: Phrase = (
        "The same faces, the same networks, with occluders pasted on the pictures. NME in percent "
        "with its 95 % interval; how much higher the error of the row is than on the faces as they "
        f"are, in percentage points; the difference from {reference} on the pasted faces, with its "
        "interval and Holm's p over the lines of a column; AUROC of 1 − P within a face for "
        "landmarks and cells under the occluders (number of faces in brackets).",
        *caveat(one.comparison for found in report.pasted.values() for one in found),
    )
    columns = (
        MODEL, Column("NME, %", better="lower"), Column("higher by"), Column("difference"),
        Column("p"), VERDICT, Column("AUROC, landmarks"), Column("AUROC, cells"),
    )  # fmt: skip
    tables = [
        Table(
            f"pasted-{slug(column)}",
            (Code(column), "."),
            columns,
            tuple(
                line(report, one.row, _pasted(report, one, column), is_compared=True)
                for one in found
            ),
        )
        for column, found in report.pasted.items()
    ]
    title = "With occluders pasted on the test faces"
    return Section(title, (Paragraph(told), *tables), folded=True)


def _pasted(report: Report, one: PastedLine, column: str) -> list[Cell]:
    rise = None if one.rise is None else one.rise.estimate
    return [
        measured(one.nme, report.unlike_of(one.row, column)),
        Cell(texts.points(one.rise), rise),
        *against(one.comparison),
        *(_counted(told) for told in (one.landmarks, one.cells)),
    ]


def _counted(told: Told | None) -> Cell:
    if told is None:
        return Cell(texts.NOTHING)
    value = None if told.within is None else told.within.estimate
    return Cell(f"{texts.within_faces(told)} ({told.faces})", value)
