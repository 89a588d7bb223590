"""From the values of a report to its document: what is said first, and the sections in order."""

from odnbench.reports.charts import plotted
from odnbench.reports.document import Document
from odnbench.reports.looks import styles_of
from odnbench.reports.report import Report
from odnbench.reports.sections.costs import costs
from odnbench.reports.sections.disturbances import disturbances
from odnbench.reports.sections.effects import ablation, effects
from odnbench.reports.sections.faces import faces
from odnbench.reports.sections.leaderboard import leaderboard
from odnbench.reports.sections.making import environment, missing, protocols
from odnbench.reports.sections.occlusion import maps, pasted
from odnbench.reports.sections.parts import parts
from odnbench.reports.sections.published import published
from odnbench.reports.sections.results import results, summary
from odnbench.reports.sections.search import search
from odnbench.reports.sections.training import limits, ranks, terms, training
from odnbench.reports.sections.warnings import warnings
from odnbench.reports.sentences import found, not_shown


def document_of(report: Report) -> Document:
    """The document of `report`, which must have rows."""
    # Of more rows than looks, those that have curves must not share one.
    styles = styles_of((*plotted(report), *report.table))
    sections = (
        results(report, styles),
        disturbances(report, styles),
        effects(report),
        search(report),
        limits(report),
        missing(report),
        ablation(report, styles),
        parts(report),
        maps(report),
        pasted(report),
        terms(report),
        ranks(report),
        training(report, styles),
        costs(report, styles),
        faces(report),
        leaderboard(report),
        published(report),
        protocols(report),
        environment(report),
    )
    return Document(
        name=report.pipeline.name,
        title=report.pipeline.title,
        warnings=warnings(report),
        found=found(report),
        not_shown=not_shown(report),
        summary=summary(report),
        sections=tuple(section for section in sections if section is not None),
        styles=styles,
    )
