"""What must not be missed about the numbers: what is rendered, partial, unlike or missing."""

from collections.abc import Iterator

from odnbench.plan.protocols import FLIP_TEST
from odnbench.reports import texts
from odnbench.reports.document import Code, Phrase, Strong
from odnbench.reports.report import Report


def warnings(report: Report) -> tuple[Phrase, ...]:
    """A phrase for each, the weightiest first."""
    return (
        *_rendered(report), *_unlike(report), *_flip_tests(report), *_partial(report),
        *_published(report), *_missing(report), *_foreign(report),
    )  # fmt: skip


def _rendered(report: Report) -> Iterator[Phrase]:
    splits = ", ".join(report.stand_ins)
    if report.rendered:
        yield (
            Strong("Rendered faces"),
            f" stand in for {splits}, which were not on the machine: numbers that come from drawn "
            "faces show that the pipeline works, say nothing about real faces, and cannot be "
            "compared with published figures.",
        )
    if report.is_mixed:
        titles = "; ".join(row.title for row in report.rows if row.trials[0].trial.rendered)
        yield (
            Strong("Rendered and real faces are mixed"),
            f": rendered ones are in {titles}. Numbers of rendered faces are marked beside those "
            "of real ones, and the two are not tested against each other.",
        )


def _unlike(report: Report) -> Iterator[Phrase]:
    own = report.protocol
    others = {
        row.title: differs
        for row in report.rows
        if (differs := row.trials[0].trial.protocol.differs_from(own))
    }
    if others:
        told = "; ".join(f"{title}: {differs}" for title, differs in others.items())
        yield (
            Strong("Unlike protocols"), f": {told}. The other rows follow protocol ",
            Code(own.name), ". Numbers of unlike protocols are marked and not tested against each "
            "other.",
        )  # fmt: skip


def _flip_tests(report: Report) -> Iterator[Phrase]:
    if report.flip_tested and report.flip_tested != report.table:
        titles = "; ".join(row.title for row in report.flip_tested)
        yield (
            Strong("Flip tests"),
            f": {FLIP_TEST.partition(': ')[2]}, in {titles}. Of the other rows this is not so or, "
            "for other tools, not known: a difference between rows with and without it is that of "
            "the test as well.",
        )


def _partial(report: Report) -> Iterator[Phrase]:
    parts = [report.training, *report.columns.values()]
    lacking = dict.fromkeys(
        f"{one.faces} of {one.official} faces of {one.split}"
        for one in parts
        if not one.rendered and one.official not in (0, one.faces)
    )
    if lacking:
        told = texts.listed(list(lacking))
        yield (
            Strong("Partial sets"),
            f": {told}. Numbers on a part of a set cannot be compared with published figures.",
        )


def _published(report: Report) -> Iterator[Phrase]:
    unlike = {column: found.unlike for column, found in report.paper.items() if found.unlike}
    for reason in dict.fromkeys(unlike.values()):
        columns = ", ".join(column for column, why in unlike.items() if why == reason)
        yield (
            Strong("Published figures"),
            f" of {columns} follow another protocol: {reason}. They are not comparable.",
        )


def _missing(report: Report) -> Iterator[Phrase]:
    if report.missing:
        yield (
            Strong(f"{texts.count_of(len(report.missing), 'trial')} without numbers"),
            ", listed below with the reason.",
        )


def _foreign(report: Report) -> Iterator[Phrase]:
    if report.foreign:
        titles = ", ".join(row.title for row in report.foreign)
        yield (
            Strong("Other tools"),
            f": {titles}: predictions of other tools, on pictures that they cropped by rules of "
            "their own.",
        )
    for row in report.foreign:
        if row.notes:
            yield (f"{row.title}: {'; '.join(row.notes)}.",)
        for column, why in row.lacks.items():
            yield (Strong("Faces are lacking"), f" in {row.title}, ", Code(column), f": {why}.")
