"""The protocol of one number: all that must agree before the number is set beside another one."""

from collections.abc import Mapping
from typing import TypeAlias

from odnbench.plan.ids import content_id
from odnbench.plan.trials import Coverage
from odnbench.reports.rows import Row

Scalar: TypeAlias = str | int | float | bool | None


def protocol_of(row: Row, column: str) -> Mapping[str, Scalar]:
    """Name → value, of the protocol by which `row` was scored on `column`, on which it has scores.

    None stands for what is not known: of a file of another tool, how the tool was trained and how
    it cropped the pictures. `face_list` is a hash of the ids of the faces, in any order.
    """
    score = row.scores_of(column)[0]
    protocol = score.protocol
    dataset, _, split = column.partition("/")
    facts: dict[str, Scalar] = {
        "dataset": dataset,
        "split": split,
        **_covered("test", score.coverage),
        "face_list": content_id(sorted(score.face_ids)),
        "protocol": protocol.name,
        "scheme": protocol.scheme,
        "error": protocol.error,
        "normaliser": protocol.normaliser,
        "visibility": protocol.visibility,
        "averaging": protocol.averaging,
        "failure_threshold_percent": protocol.failure_percent,
    }
    if not row.trials:
        unknown = ("box_rule", "box", "checkpoint_rule", "flip_test", "train_split",
                   "train_faces", "train_official_faces", "train_is_partial",
                   "train_is_rendered")  # fmt: skip
        return {**facts, **dict.fromkeys(unknown)}
    trial = row.trials[0].trial
    return {
        **facts,
        "box_rule": trial.box.name,
        "box": trial.box.describe(),
        "checkpoint_rule": trial.spec.train.select,
        "flip_test": trial.spec.data.flip_test,
        "train_split": trial.coverage[0].split,
        **_covered("train", trial.coverage[0]),
    }


def _covered(faces: str, coverage: Coverage) -> dict[str, Scalar]:
    official = coverage.official or None
    is_partial = not coverage.rendered and official not in (None, coverage.faces)
    return {
        f"{faces}_faces": coverage.faces,
        f"{faces}_official_faces": official,
        f"{faces}_is_partial": is_partial or not coverage.whole,
        f"{faces}_is_rendered": coverage.rendered,
    }
