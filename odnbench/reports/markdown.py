"""A report as Markdown, through reports/templates/report.md.j2, with its figures beside it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import jinja2

from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.plan.protocols import FLIP_TEST
from odnbench.plan.shipped import shipped
from odnbench.reports import sentences, texts
from odnbench.reports.escaping import Markdown, code, escaped, picture
from odnbench.reports.figures import figures_of
from odnbench.reports.report import Report
from odnbench.results.records import COST_BATCH

_FILTERS = (
    texts.with_interval, texts.rounded, texts.counted, texts.relative, texts.points,
    texts.within_faces, texts.verdict_on_map, texts.share, texts.carrier, texts.matrix_size,
    texts.millions, texts.megabytes, texts.milliseconds, texts.machine_name,
    texts.listed, texts.values_of, texts.conditions, texts.sampler, texts.pruner,
    sentences.found, sentences.not_shown, sentences.progress, code, picture,
)  # fmt: skip


def write_markdown(report: Report, folder: Path) -> Path:
    """Writes the report and its figures into `folder`; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = figures_of(report)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=150)
    if report.exemplar is not None:
        shutil.copyfile(report.exemplar.folder.examples, folder / _examples_name(report))
    path = folder / f"{report.pipeline.name}.md"
    path.write_text(as_markdown(report, list(figures)), encoding="utf-8")
    return path


def as_markdown(report: Report, figures: Sequence[str]) -> str:
    """The report as Markdown, with `figures` (file names) beside it; those of a search stand in the
    section of the search.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("reports/templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # that would be HTML's
        finalize=escaped,
    )
    environment.filters["markdown"] = Markdown
    for text in _FILTERS:
        environment.filters[text.__name__] = text
    template = environment.get_template("report.md.j2")
    of_search = f"{report.pipeline.name}-search-"
    return template.render(
        report=report,
        figures=[name for name in figures if not name.startswith(of_search)],
        search_figures=[name for name in figures if name.startswith(of_search)],
        examples=_examples_name(report),
        inert_below=texts.inert_below(),
        fewest_faces=FEWEST_FACES,
        flip_test=FLIP_TEST,
        cost_batch=COST_BATCH,
    )


def _examples_name(report: Report) -> str:
    """File name of the examples beside the report."""
    return f"{report.pipeline.name}-examples.jpg"
