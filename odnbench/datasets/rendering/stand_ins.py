"""Rendered faces as a loader yields faces.

They stand in for an absent data set, and fill the official layouts (`odnbench data render`).
"""

import itertools
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

from odnbench.arrays import Bytes
from odnbench.datasets.faces import Face
from odnbench.datasets.frontal import frontal_labels
from odnbench.datasets.rendering.face_model import SCHEME_POINTS
from odnbench.datasets.rendering.face_parameters import DIFFICULTIES
from odnbench.datasets.rendering.render import render_face
from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.entries import Dataset

_BOX_FACTOR = 1.15  # side of the annotated box over that of the landmarks' tight box
_DETECTOR_SPREAD = 0.04  # sd of a detector's error in place and size, as a share of the box's side
_MOST_TRIES = 200  # faces drawn in a row without one that has the label


def draw_faces(
    dataset: Dataset, part: str, size: int, *, seed: int, label: str = ""
) -> Iterator[Face]:
    """Faces for `part` without end, with `label` if one is given: the same for the same arguments.

    Pictures are size × size px; those of scenes without colour are grey. Boxes are whole pixels.
    Parts share no face. Raises OdnbenchError at once for a point scheme or a difficulty that the
    renderer does not know, and, while faces are drawn, where those with `label` are too rare.
    """
    if dataset.scheme not in SCHEME_POINTS:
        raise OdnbenchError(
            f"data set '{dataset.name}': faces are rendered with the points of scheme "
            f"{', '.join(SCHEME_POINTS)} alone, got scheme '{dataset.scheme}'; give the data set "
            "itself (--data-root or ODNBENCH_DATA), or choose one with the points of these schemes"
        )
    difficulty = dataset.parts[part].rendered
    if difficulty not in DIFFICULTIES:
        raise OdnbenchError(
            f"data set '{dataset.name}': parts.{part}.rendered: "
            f"{unknown('difficulty', difficulty, DIFFICULTIES)}"
        )
    return _endless_faces(dataset, part, size, seed, label)


def _endless_faces(dataset: Dataset, part: str, size: int, seed: int, label: str) -> Iterator[Face]:
    name = f"{dataset.name}/{part}"
    stream = zlib.crc32(name.encode()) ^ seed
    tries = 0
    for index in itertools.count():
        drawn = render_face(
            stream,
            index,
            scheme=dataset.scheme,
            size=size,
            difficulty=dataset.parts[part].rendered,
        )
        labels = drawn.attributes
        if dataset.scheme == "19":
            labels |= frontal_labels(drawn.points, all_visible=not drawn.occluded.any())
        if label and label not in labels:
            tries += 1
            if tries > _MOST_TRIES:
                raise OdnbenchError(f"{name}: rendered faces with the label '{label}' are too rare")
            continue
        tries = 0
        low, high = drawn.points.min(axis=0), drawn.points.max(axis=0)
        middle, half = (low + high) / 2, _BOX_FACTOR * (high - low) / 2
        off = np.random.default_rng([stream, index]).normal(0, _DETECTOR_SPREAD, 3)
        found, reach = middle + 2 * off[:2] * half, (1 + off[2]) * half.max()
        yield Face(
            id=f"rendered/{name}/{index}",
            part=name,
            image=_without_colour(drawn.image) if drawn.grey else drawn.image,
            points=drawn.points,
            occluded=drawn.occluded,
            box=np.rint(np.concatenate([middle - half, middle + half])),
            detector_box=np.rint(np.concatenate([found - reach, found + reach])),
            labels=labels,
            occlusion_mask=drawn.occlusion_mask,
        )


def _without_colour(picture: Bytes) -> Bytes:
    """(H, W, 3) → (H, W)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
