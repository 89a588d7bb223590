"""The section that sets a report's rows beside published figures of its data sets."""

from odnbench.reports.document import Section
from odnbench.reports.leaderboard import boards_of
from odnbench.reports.leaderboard_document import section_of_boards
from odnbench.reports.report import Report


def leaderboard(report: Report) -> Section | None:
    """The report's own rows and columns among the figures that its pipeline names; None where it
    names none with an NME on one of the columns.
    """
    columns = list(report.columns)
    boards = boards_of([report], report.published, report.protocols, columns) if columns else ()
    published = any(entry.year is not None for board in boards for entry in board.entries)
    return section_of_boards(boards) if published else None
