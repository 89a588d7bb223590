"""How well the occlusion map P of a network tells what is occluded.

The paper (Zhu et al., CVPR 2019, Sec. 3.2) intends 1 − P as the probability of occlusion. Its
objective, Eq. (3), does not determine P: only the product P ⊙ C of the map and the features C
enters the data term, so that a network loses nothing by a small P and large features. Whether 1 − P
is larger in occluded places is therefore a question, and these scores are the answer.
"""

# N faces, L landmarks, F faces that have both kinds of places

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.metrics.occlusion import ProbabilityScore, face_aurocs, score_probabilities
from odnbench.plan.registry import Registry
from odnbench.results.predictions import Occlusion, Predictions
from odnbench.scoring.scores import is_in_split

# What 1 − P is compared with. "landmarks" are flagged as occluded by whatever hides them; where the
# masks of occluders are known, landmarks under an occluder and landmarks that the head itself hides
# are told apart, each against the landmarks that are not occluded at all.
Truth = Literal["landmarks", "covered landmarks", "self-occluded landmarks", "cells"]
TRUTHS: tuple[Truth, ...] = (
    "covered landmarks", "self-occluded landmarks", "landmarks", "cells",
)  # fmt: skip

# Cells of a map of 4×4. In a smaller map a cell is as large as an eye or a mouth, and most cells
# hold occluded and visible places together.
SMALLEST_MAP = 16


@dataclass(frozen=True)
class OcclusionScore:
    """1 − P of one trial against one truth, on the faces of one split."""

    pooled: ProbabilityScore  # over the places of all faces together
    face_ids: tuple[str, ...]  # (F,) of the faces that have occluded and visible places
    aurocs: Floats  # (F,) over the places of each of these faces


def map_cells(predictions: Predictions) -> int | None:
    """The number of cells of the occlusion map P; None where the network has none."""
    occlusion = predictions.occlusion
    return None if occlusion is None else occlusion.cells.shape[1]


def occlusion_scores(
    predictions: Predictions, registry: Registry, columns: Iterable[str]
) -> dict[str, dict[Truth, OcclusionScore]]:
    """Column (split) → truth → how well 1 − P tells it.

    1 − P in the cells of the map is compared with whether occluders cover more than half of the
    cell. A truth is left out where masks are unknown, and where all or none of the places are
    occluded. There are no scores of a map of fewer than SMALLEST_MAP cells.
    """
    found: dict[str, dict[Truth, OcclusionScore]] = {}
    occlusion = predictions.occlusion
    if occlusion is None or occlusion.cells.shape[1] < SMALLEST_MAP:
        return found
    questions = _questions(predictions, occlusion)
    for column in columns:
        chosen = is_in_split(column, predictions, registry)
        ids = np.array(predictions.ids)[chosen]
        for truth, (probability, true, counted) in questions.items():
            score = _score(probability[chosen], true[chosen], counted[chosen], ids)
            if score is not None:
                found.setdefault(column, {})[truth] = score
    return found


def _questions(
    predictions: Predictions, occlusion: Occlusion
) -> Mapping[Truth, tuple[Floats, Flags, Flags]]:
    """Truth → probabilities, flags of what is occluded and of what counts, each (N, places)."""
    occluded, covered = predictions.occluded, occlusion.covered_landmarks
    everything = np.ones_like(occluded)
    found: dict[Truth, tuple[Floats, Flags, Flags]]
    if covered is None:
        found = {"landmarks": (occlusion.landmarks, occluded, everything)}
    else:
        found = {
            "covered landmarks": (occlusion.landmarks, covered, covered | ~occluded),
            "self-occluded landmarks": (occlusion.landmarks, occluded & ~covered, ~covered),
        }
    if occlusion.covered is not None:
        cells = occlusion.covered > 0.5
        found["cells"] = (occlusion.cells, cells, np.ones_like(cells))
    return found


def _score(probability: Floats, true: Flags, counted: Flags, ids: Flags) -> OcclusionScore | None:
    """The score of some faces; None where there are not both kinds of places."""
    flags = true[counted]
    if not flags.any() or flags.all():
        return None
    aurocs = face_aurocs(probability, true, counted)
    has_both = ~np.isnan(aurocs)
    pooled = score_probabilities(probability[counted], flags)
    return OcclusionScore(pooled, tuple(ids[has_both].tolist()), aurocs[has_both])
