"""The data doctor: the faults of a data set on disk, each with its cure.

    diagnosis = examine(open_archive(dataset, root), scheme)
    print(diagnosis.text())

A check is a function from the survey of a part (survey.py) to findings. Whoever does what the cure
of a fault says must not get another fault by it.
"""

# N faces, L landmarks

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.inspection.diagnosis import (
    Diagnosis,
    Finding,
    PartCount,
    counted,
    examples,
)
from odnbench.datasets.inspection.picture_checks import (
    grey_pictures,
    missing_pictures,
    names_with_blanks,
    odd_pictures,
    rescaled_pictures,
    turned_pictures,
    unreadable_pictures,
)
from odnbench.datasets.inspection.survey import Look, Survey, survey
from odnbench.datasets.inspection.symmetry import LEAST_FACES
from odnbench.datasets.photographs import unit_rows
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import Scheme

# Correlation of thumbnails: 300W's own doubles have 0.99, pictures of other faces at most 0.9.
_SAME_PICTURE = 0.97
# Share of the side of the landmarks' box: annotators follow a face a little over the edge.
_FAR_OUTSIDE = 0.2
# Limits of the side of the annotated box over the side of the landmarks' box.
_BOX_RATIO = (0.6, 3.5)
# Cures of a test face in the training part.
_FROM_TRAINING = "take them out of the training part: test errors come out too small"
_FROM_TEST = "take them out of the test part: they do not belong to it"
_REPLACE = "get these faces of the training part again: test faces stand in their place"
# (a, b): the mean shape of n faces, of which some are turned, may be asymmetric by a + b / n of its
# radius.
_FLIP_SLACK = (0.02, 6.0)


def examine(
    archive: Archive, scheme: Scheme, advance: Callable[[], None] = lambda: None
) -> Diagnosis:
    """The diagnosis of `archive`, from a look at every face. scheme: that of its points.

    `advance` is called after each face.
    """
    surveys = [survey(archive, part, scheme, advance) for part in archive.dataset.parts]
    findings = [
        finding
        for seen in surveys
        for check in (
            missing_faces,
            missing_pictures,
            unreadable_pictures,
            faulty_annotations,
            points_not_annotated,
            points_outside,
            off_by_one,
            box_order,
            box_ratio,
            odd_pictures,
            turned_pictures,
            grey_pictures,
            names_with_blanks,
            rescaled_pictures,
        )
        for finding in check(seen)
    ]
    findings += flip_table(surveys, scheme, archive.dataset.name)
    findings += doubles(surveys, archive.dataset, bool(archive.rendered))
    counts = [
        PartCount(seen.part, sum(look.size is not None for look in seen.looks), seen.official)
        for seen in surveys
        if seen.looks or not seen.optional
    ]
    return Diagnosis(
        archive.dataset.name,
        str(archive.root),
        bool(archive.rendered),
        tuple(counts),
        tuple(findings),
    )


def missing_faces(seen: Survey) -> Iterator[Finding]:
    """Fewer or more annotated faces than the official archive has."""
    annotated, absent = len(seen.looks), not (seen.looks or seen.faults)
    # A faulty annotation is a finding of its own: it may be one face, or the file of all faces.
    if annotated + len(seen.faults) < seen.official and not (seen.optional and absent):
        what = f"not there: {seen.absent}" if absent else f"{seen.official - annotated} missing"
        yield Finding(
            "missing faces", True, seen.part, f"{annotated} of {seen.official} faces, {what}",
            "get the rest of the official archive, or go on without them: --allow-partial",
        )  # fmt: skip
    elif annotated > seen.official:
        yield Finding(
            "too many faces", True, seen.part,
            f"{annotated} faces where the official archive has {seen.official}",
            "take away what does not belong to it: numbers would not be comparable",
        )  # fmt: skip


def faulty_annotations(seen: Survey) -> Iterator[Finding]:
    """Annotation files, or lines of one, in another format than the official one."""
    if seen.faults:
        yield Finding(
            "faulty annotations", True, seen.part, f"{len(seen.faults)} cannot be used",
            "get them again, mend them, or make them readable; take away what is there twice",
            examples(seen.faults),
        )  # fmt: skip


def points_not_annotated(seen: Survey) -> Iterator[Finding]:
    """Points that stand for hidden ones (placeholders.py); the other checks leave them out."""
    found = [
        f"{look.face.id}: points {', '.join(map(str, np.flatnonzero(look.placeholders)))}"
        for look in seen.looks
        if not look.is_whole and look.placeholders is not None
    ]
    if found:
        yield Finding(
            "points not annotated", False, seen.part,
            f"{counted(found)} with points at 0 0, at -1 -1, or at one place, as some tools write "
            "for hidden points",
            "annotate them, or take these faces out: training and scores take them as they stand",
            examples(found),
        )  # fmt: skip


def points_outside(seen: Survey) -> Iterator[Finding]:
    """Points outside of the picture. Far outside, they annotate another picture: a fault."""
    far_outside, over_the_edge = [], []
    for look in seen.looks:
        if look.size is None:
            continue
        points = look.points
        beyond = np.maximum(-0.5 - points, points - (np.array(look.size) - 0.5)).max()
        if beyond > _FAR_OUTSIDE * np.ptp(points, axis=0).max():
            far_outside.append(look.face.id)
        elif beyond > 0:
            over_the_edge.append(look.face.id)
    if far_outside:
        yield Finding(
            "points outside", True, seen.part,
            f"{counted(far_outside)} with points far outside the picture",
            "picture and annotation do not belong together: get both again", examples(far_outside),
        )  # fmt: skip
    if over_the_edge:
        yield Finding(
            "points outside", False, seen.part,
            f"{counted(over_the_edge)} with points over the edge", "", examples(over_the_edge),
        )  # fmt: skip


def off_by_one(seen: Survey) -> Iterator[Finding]:
    """0-based coordinates that were read as 1-based, or the reverse (symmetry.py)."""
    offset = seen.mirror.offset()
    if seen.mirror.face_count and (offset is None or not offset.tells):
        why = (
            f"{seen.mirror.face_count} faces, where {LEAST_FACES} are needed"
            if offset is None
            else f"faces of {offset.face_px:.0f} px, on which one pixel is too little to tell"
        )
        yield Finding(
            "off by one", False, seen.part, f"cannot be told from these pictures: {why}", "",
        )  # fmt: skip
    if offset is None or not (off := offset.pixels_off):  # none is found where none can be told
        return
    side = "right and down" if off > 0 else "left and up"
    usual = ", beyond the offset that is known of the official files" if seen.offset.px[0] else ""
    yield Finding(
        "off by one", True, seen.part,
        f"landmarks lie {offset.offset_px:+.2f} ± {offset.standard_error_px:.2f} px off mirror "
        f"symmetry{usual}: about a pixel too far {side}",
        "this copy seems to have been rewritten with pixels counted from another base; get the "
        "official files",
    )  # fmt: skip


def box_order(seen: Survey) -> Iterator[Finding]:
    """Boxes whose four numbers stand in another order than the official one."""
    looks, boxes = _boxed(seen)
    if not len(boxes):
        return
    middles = np.stack([look.points.mean(axis=0) for look in looks])
    swapped = boxes[:, [0, 2, 1, 3]]
    now, then = _holds(boxes, middles).mean(), _holds(swapped, middles).mean()
    if now < 0.5 and then > 0.9:
        yield Finding(
            "box order", True, seen.part,
            f"{now:.0%} of the boxes hold their face; with the two middle numbers swapped, "
            f"{then:.0%} do",
            "this copy has left, top, right, bottom where left, right, top, bottom is official, or "
            "the reverse: get the official file",
        )  # fmt: skip


def box_ratio(seen: Survey) -> Iterator[Finding]:
    """Boxes that do not fit their landmarks in place or size."""
    looks, boxes = _boxed(seen)
    if not len(boxes) or next(box_order(seen), None):
        return
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    spans = np.array([np.ptp(look.points, axis=0).max() for look in looks])
    ratios = sides / np.maximum(spans, 1e-9)
    fits = (ratios > _BOX_RATIO[0]) & (ratios < _BOX_RATIO[1])
    fits &= _holds(boxes, np.stack([look.points.mean(axis=0) for look in looks]))
    odd = [
        f"{look.face.id}: box {' '.join(f'{n:g}' for n in box)}, {ratio:.2f} times its landmarks'"
        for look, box, ratio, fit in zip(looks, boxes, ratios, fits, strict=True)
        if not fit
    ]
    if odd:
        yield Finding(
            "box ratio", True, seen.part,
            f"{counted(odd)} whose box does not fit the landmarks (median of all: "
            f"{np.median(ratios):.2f} times their box)",
            "choose a protocol whose box rule is 'landmarks', or mend the boxes", examples(odd),
        )  # fmt: skip


def flip_table(surveys: Sequence[Survey], scheme: Scheme, name: str) -> Iterator[Finding]:
    """Landmarks with another mirror image in the mean shape than in the scheme's flip table."""
    with_faces = [seen.points for seen in surveys if any(look.is_whole for look in seen.looks)]
    if not with_faces:
        return
    points = np.concatenate(with_faces)
    mean = _mean_shape(points)
    slack = _FLIP_SLACK[0] + _FLIP_SLACK[1] / len(points)
    mirrored = mean * [-1, 1]
    # The affine map that brings each mirrored landmark closest to its partner in the table.
    homogeneous = np.column_stack([mirrored, np.ones(len(mean))])
    fit, *_ = np.linalg.lstsq(homogeneous[list(scheme.flip)], mean, rcond=None)
    # (L, L) from mirrored landmark j to landmark i.
    distances = np.linalg.norm((homogeneous @ fit)[:, None] - mean, axis=-1)
    wrong = [
        f"landmark {i}: the table says {j}, the mean shape says {nearest}"
        for i, j in enumerate(scheme.flip)
        if distances[j, i] > distances[nearest := int(distances[:, i].argmin()), i] + slack
    ]
    if wrong:
        yield Finding(
            "flip table", True, name, f"{len(wrong)} landmarks are not mirrored onto their partner",
            f"the order of the points differs from scheme {scheme.name}, or its flip table in "
            "registry/schemes.toml is wrong", examples(wrong),
        )  # fmt: skip


def doubles(surveys: Sequence[Survey], dataset: Dataset, rendered: bool) -> Iterator[Finding]:
    """Faces that are in the training part and in a test part, found by comparing thumbnails.

    Those of the official archive, and those that may be of it, are only noted: without them, faces
    would be missing.
    """
    too_many = {seen.part for seen in surveys if len(seen.looks) > seen.official}
    official = () if rendered else dataset.doubles
    noted, faults = [], defaultdict[str, list[str]](list)
    for test, train in _pairs_of_test_and_training(surveys, dataset):
        test_part, train_part = (look.face.part.partition("/")[2] for look in (test, train))
        pair = f"{test.face.id} = {train.face.id}"
        if test.face.id in (official or ()):
            noted.append(pair)
        elif train_part in too_many:
            faults["take them out of the training part: test errors come out too small"].append(
                pair
            )
        elif test_part in too_many:
            faults["take them out of the test part: they do not belong to it"].append(pair)
        elif official is None:
            noted.append(pair)
        else:
            faults["get these faces of the training part again: others stand there"].append(pair)
    for cure, pairs in faults.items():
        yield Finding(
            "doubles", True, dataset.name,
            f"{counted(pairs)} of the test part in the training part", cure, examples(pairs),
        )  # fmt: skip
    if noted:
        where = "as in" if official else "perhaps as in"
        yield Finding(
            "doubles", False, dataset.name,
            f"{counted(noted)} of the test part in the training part, {where} the official files",
            "", examples(noted),
        )  # fmt: skip


def _pairs_of_test_and_training(
    surveys: Sequence[Survey], dataset: Dataset
) -> Iterator[tuple[Look, Look]]:
    """Each test face that is in the training part, with the training face that is most like it."""
    training = dataset.split("train").parts if "train" in (*dataset.splits, *dataset.parts) else ()
    train = [look for seen in surveys if seen.part in training for look in _with_thumbnail(seen)]
    test = [look for seen in surveys if seen.part not in training for look in _with_thumbnail(seen)]
    if not train or not test:
        return
    of_train, of_test = (unit_rows(np.stack([k.thumbnail for k in t])) for t in (train, test))  # type: ignore[misc]
    for start in range(0, len(test), 1000):
        alike = of_test[start : start + 1000] @ of_train.T
        for row in np.flatnonzero(alike.max(axis=1) > _SAME_PICTURE):
            yield test[start + row], train[alike[row].argmax()]


def _mean_shape(points: Floats) -> Floats:
    """(N, L, 2) → (L, 2), each shape centred and scaled to a mean radius of 1."""
    centred = points - points.mean(axis=1, keepdims=True)
    radius = np.linalg.norm(centred, axis=-1).mean(axis=1)
    mean: Floats = (centred / np.maximum(radius, 1e-9)[:, None, None]).mean(axis=0)
    return mean


def _boxed(seen: Survey) -> tuple[list[Look], Floats]:
    """The looks at faces with an annotated box, and these boxes (N, 4)."""
    looks = [look for look in seen.looks if look.face.box is not None]
    return looks, np.array([look.face.box for look in looks]).reshape(-1, 4)


def _holds(boxes: Floats, points: Floats) -> Flags:
    """Whether each of `boxes` (N, 4) holds the point of the same row (N, 2): (N,)."""
    inside: Flags = np.all((boxes[:, :2] < points) & (points < boxes[:, 2:]), axis=1)
    return inside


def _with_thumbnail(seen: Survey) -> list[Look]:
    return [look for look in seen.looks if look.thumbnail is not None]
