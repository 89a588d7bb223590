"""Test faces with predictions and the occlusion map, as in Fig. 6 of the paper."""

from odnbench.reports.document import Phrase, Picture, Section
from odnbench.reports.report import Report


def faces(report: Report) -> Section | None:
    """The examples that a trial has kept; None where none are left."""
    shown = report.exemplar
    if shown is None:
        return None
    below = (
        "; below, the map P, bright where it lets features pass, and, of newer results, the "
        "picture times P over its largest value"
        if shown.map_cells
        else ""
    )
    told = (
        f"Test faces of {shown.trial.title}: truth as rings, prediction as dots (red where the "
        f"truth is occluded){below}."
    )
    caption: Phrase = (told,)
    return Section("Faces", (Picture("examples", caption, told, shown.folder.examples),))
