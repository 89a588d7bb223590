"""The faces that are hardest: where a row errs most, where two rows disagree most, and where the
networks agree with each other and not with the annotation.
"""

# R rows, N faces of a column, L landmarks

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from odnbench.arrays import Floats, Rows
from odnbench.metrics.nme import normaliser_px
from odnbench.reports.document import (
    Code,
    Document,
    Gallery,
    Paragraph,
    Phrase,
    Section,
    Strong,
    Tile,
)
from odnbench.reports.report import Report
from odnbench.reports.rows import Row
from odnbench.results.predictions import Predictions
from odnbench.scoring.scores import Score

_SHOWN = 8  # faces of a gallery
_NETWORKS = 8  # at most, of which the mean prediction is taken: those with the lowest errors
_FEWEST_NETWORKS = 3
_SIDE = 1.5  # of a tile without a picture, over the larger side of the box of the landmarks


@dataclass(frozen=True)
class Predicted:
    """What the first trial of a row predicts for the faces of a column."""

    row: Row
    score: Score
    faces: Predictions  # the N faces in the order of the score


@dataclass(frozen=True)
class Cases:
    """The faces of a column, and the trained rows that were tested on them, best first."""

    report: Report
    column: str
    predicted: tuple[Predicted, ...]  # R
    lengths_px: Floats  # (N,) by which the protocol divides errors

    @property
    def faces(self) -> Predictions:
        """The faces; their truth is that of all rows."""
        return self.predicted[0].faces

    def apart(self, a: Floats, b: Floats) -> Floats:
        """(…, N) mean distance of points (…, N, L, 2) from others, in percent of the length."""
        distances: Floats = 100 * np.linalg.norm(a - b, axis=-1).mean(axis=-1) / self.lengths_px
        return distances


def with_hard_cases(document: Document, report: Report) -> Document:
    """The document with a section of hard cases before its first folded section; without one where
    no trained row has scores.
    """
    cases = _cases_of(report)
    if cases is None:
        return document
    own = [largest_error(cases), largest_disagreement(cases), against_annotation(cases)]
    section = Section("Hard cases", tuple(found for found in own if found is not None))
    folded = [index for index, held in enumerate(document.sections) if held.folded]
    place = folded[0] if folded else len(document.sections)
    sections = (*document.sections[:place], section, *document.sections[place:])
    return dataclasses.replace(document, sections=sections)


def largest_error(cases: Cases) -> Section:
    """The faces on which the report's exemplary row, or the best one, errs most."""
    shown = _exemplar(cases)
    worst = np.argsort(-shown.score.nme, kind="stable")[:_SHOWN]
    caption = (
        "The faces of ", Code(cases.column), " with the largest error of ",
        Strong(shown.row.title), _seed(shown),
    )  # fmt: skip
    tiles = _tiles(
        cases,
        worst,
        {shown.row.title: shown.faces.predicted},
        lambda face: (Strong(f"NME {100 * shown.score.nme[face]:.1f} %"),),
    )
    return Section("Largest error", (Gallery("largest-error", caption, tiles),))


def largest_disagreement(cases: Cases) -> Section | None:
    """The faces on which that row and the best other one differ most; None for a single row."""
    first = _exemplar(cases)
    others = [one for one in cases.predicted if one is not first]
    if not others:
        return None
    second = others[0]
    apart = cases.apart(first.faces.predicted, second.faces.predicted)

    def facts(face: int) -> Phrase:
        errors = " and ".join(f"{100 * one.score.nme[face]:.1f} %" for one in (first, second))
        return Strong(f"apart by {apart[face]:.1f} %"), f"; NME {errors}"

    caption = (
        "The faces of ", Code(cases.column), " on which ", Strong(first.row.title), " and ",
        Strong(second.row.title), " are farthest apart: the mean distance of their points, over "
        f"the {first.score.protocol.normaliser} length; their errors in this order",
        _seed(first),
    )  # fmt: skip
    tiles = _tiles(
        cases,
        np.argsort(-apart, kind="stable")[:_SHOWN],
        {one.row.title: one.faces.predicted for one in (first, second)},
        facts,
    )
    return Section("Largest disagreement", (Gallery("largest-disagreement", caption, tiles),))


def against_annotation(cases: Cases) -> Section | None:
    """The faces whose annotation is farthest from the networks' mean prediction, among that half of
    the faces on which the networks agree best; None for too few networks.
    """
    networks = cases.predicted[:_NETWORKS]
    if len(networks) < _FEWEST_NETWORKS:
        return None
    points = np.stack([one.faces.predicted for one in networks])  # (R, N, L, 2)
    mean = points.mean(axis=0)
    spread = cases.apart(points, mean).mean(axis=0)  # (N,)
    off = np.where(spread <= np.median(spread), cases.apart(mean, cases.faces.true), -np.inf)
    suspected = np.argsort(-off, kind="stable")[: min(_SHOWN, int(np.isfinite(off).sum()))]
    name = f"mean of {len(networks)} rows"
    tiles = _tiles(
        cases,
        suspected,
        {name: mean},
        lambda face: (
            Strong(f"off by {off[face]:.1f} %"),
            f"; the rows differ from their mean by {spread[face]:.1f} %",
        ),
    )
    rendered = networks[0].score.coverage.rendered
    why = (
        "These faces are rendered and annotated exactly, so that all networks err here"
        if rendered
        else "The annotation may be wrong here; or all networks are, as they learnt from the same "
        "faces. A person must look"
    )
    return Section(
        "Networks agree, the annotation differs" if rendered else "Suspected annotation errors",
        (
            Paragraph((f"{why}.",)),
            Gallery(
                "against-annotation",
                (
                    "The half of the faces of ", Code(cases.column), f" on which {len(networks)} "
                    "rows agree best; of these, the faces on which their mean prediction is "
                    "farthest from the annotation, over the "
                    f"{networks[0].score.protocol.normaliser} length",
                    _seed(networks[0]),
                ),
                tiles,
            ),
        ),
    )  # fmt: skip


def _exemplar(cases: Cases) -> Predicted:
    own = cases.report.exemplar_row
    return next((one for one in cases.predicted if one.row is own), cases.predicted[0])


def _seed(predicted: Predicted) -> str:
    """The end of a caption that says of which seed the predictions are."""
    trials = predicted.row.trials
    return f" (seed {trials[0].trial.spec.seed})." if len(trials) > 1 else "."


def _cases_of(report: Report) -> Cases | None:
    """The main column's faces and rows; rows that cannot be compared on it are left out."""
    column = report.main_column
    if column is None:
        return None
    rows = [
        row
        for row in report.rows
        if row.is_trained and column in row.trials[0].scores and report.is_alike(row, column)
    ]
    rows.sort(key=lambda row: row.trials[0].scores[column].nme_percent)
    # A search has hundreds of rows; no more of them are shown than these.
    best = rows[: _NETWORKS + 1]
    best += [row for row in rows[len(best) :] if row is report.exemplar_row]
    scored = [(row, row.trials[0].scores[column]) for row in best]
    ids = next((score.face_ids for _, score in scored), ())
    predicted = tuple(
        Predicted(row, score, _chosen(row.trials[0].folder.predictions, ids))
        for row, score in scored
        if score.face_ids == ids
    )
    if not predicted:
        return None
    trial, faces = predicted[0].row.trials[0].trial, predicted[0].faces
    lengths = normaliser_px(faces.true, trial.protocol, trial.scheme, faces.boxes)
    return Cases(report, column, predicted, lengths)


def _chosen(predictions: Predictions, ids: Sequence[str]) -> Predictions:
    """Points, flags and boxes of the faces of these ids, in that order."""
    place = {identity: index for index, identity in enumerate(predictions.ids)}
    rows = np.array([place[identity] for identity in ids])
    return Predictions(
        ids=tuple(map(str, ids)),
        parts=tuple(predictions.parts[row] for row in rows),
        predicted=predictions.predicted[rows],
        true=predictions.true[rows],
        occluded=predictions.occluded[rows],
        boxes=predictions.boxes[rows],
        labels=tuple(predictions.labels[row] for row in rows),
    )


def _tiles(
    cases: Cases, faces: Rows, shown: dict[str, Floats], facts: Callable[[int], Phrase]
) -> tuple[Tile, ...]:
    """Tiles of the faces at these indices. shown: title → (N, L, 2) predicted points."""
    held, picture_of = cases.faces, cases.report.picture_of
    tiles = []
    for face in faces.tolist():
        name = held.ids[face]
        points = np.stack([held.true[face], *(predicted[face] for predicted in shown.values())])
        pictured = None if picture_of is None else picture_of(held.parts[face], name, points)
        picture, placed = pictured or (None, _without_picture(points))
        true, *predicted = ([(float(x), float(y)) for x, y in one] for one in placed)
        hidden = int(held.occluded[face].sum())
        occluded = f"; {hidden} of {len(true)} points occluded" if hidden else ""
        by_title = dict(zip(shown, predicted, strict=True))
        tiles.append(Tile(name, (*facts(face), occluded), true, by_title, picture))
    return tuple(tiles)


def _without_picture(points: Floats) -> Floats:
    """Points (K, L, 2), the first of them true, in units of a tile around the true ones."""
    low, high = points[0].min(axis=0), points[0].max(axis=0)
    side = _SIDE * max(float((high - low).max()), 1.0)
    placed: Floats = (points - (low + high) / 2) / side + 0.5
    return placed
