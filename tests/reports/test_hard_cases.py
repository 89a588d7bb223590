"""Which faces a report shows as hard, and of which it shows pictures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_document import made_document
from made_results import Faces, Made, report_of

from odnbench.datasets.album import Album
from odnbench.datasets.sources import FaceSource
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import Protocol
from odnbench.reports.document import Gallery, Section, plain
from odnbench.reports.hard_cases import with_hard_cases
from odnbench.sweep.plan import Plan

COUNT = 20

Errors = dict[str, list[float]]  # of each variant, a share of the inter-ocular distance per face


def section_of(errors: Errors, folder: Path, rendered: bool = True) -> Section:
    """The hard cases of networks whose points are all off to the right by `errors`."""
    made = [Made(variant, Faces(errors=off)) for variant, off in errors.items()]
    report = report_of(folder, *made, rendered=rendered)
    empty = dataclasses.replace(made_document(folder), sections=())
    (section,) = with_hard_cases(empty, report).sections
    return section


def shown(errors: Errors, folder: Path) -> dict[str, Gallery]:
    """The galleries of `section_of` by their names."""
    parts = [part for part in section_of(errors, folder).blocks if isinstance(part, Section)]
    found = [block for part in parts for block in part.blocks if isinstance(block, Gallery)]
    return {gallery.name: gallery for gallery in found}


def test_hard_faces_are_those_that_numbers_say(tmp_path: Path) -> None:
    usual = {"odn": 0.05, "brnet": 0.05, "cut": 0.08}  # so that BRNet is the best beside ODN
    errors = {name: [error] * COUNT for name, error in usual.items()}
    errors["odn"][3] = 0.50  # the reference errs most, and alone
    for name in errors:
        errors[name][7] = 0.30  # all err alike
    errors["brnet"][11], errors["odn"][11] = 0.12, 0.02  # apart, and no error is large
    found = shown(errors, tmp_path)
    assert [tile.title for tile in found["largest-error"].tiles[:2]] == ["face/3", "face/7"]
    assert plain(found["largest-error"].tiles[0].facts) == "NME 50.0 %"
    worst = found["largest-disagreement"].tiles
    assert [tile.title for tile in worst[:2]] == ["face/3", "face/11"]
    assert plain(worst[1].facts) == "apart by 10.0 %; NME 2.0 % and 12.0 %"
    suspected = found["against-annotation"].tiles
    assert suspected[0].title == "face/7"
    told = "off by 30.0 %; the rows differ from their mean by 0.0 %"
    assert plain(suspected[0].facts) == told
    assert {"face/3", "face/11"}.isdisjoint(tile.title for tile in suspected)
    assert all(len(gallery.tiles) <= 8 for gallery in found.values())


def test_a_drawing_keeps_the_distances_of_the_points(tmp_path: Path) -> None:
    tile = shown({"odn": [0.1] * COUNT}, tmp_path)["largest-error"].tiles[0]
    (predicted,) = map(np.array, tile.predicted.values())
    true = np.array(tile.true)
    eyes = np.linalg.norm(true[36] - true[45])
    assert predicted - true == pytest.approx(np.tile([0.1 * eyes, 0.0], (68, 1)))
    assert true.min() > 0 and true.max() < 1
    assert tile.picture is None


def test_networks_are_compared_where_there_are_enough(tmp_path: Path) -> None:
    assert set(shown({"odn": [0.1] * COUNT}, tmp_path / "one")) == {"largest-error"}
    two = {"odn": [0.1] * COUNT, "brnet": [0.2] * COUNT}
    assert set(shown(two, tmp_path / "two")) == {"largest-error", "largest-disagreement"}


def test_faces_of_a_row_that_cannot_be_compared_are_not_shown(tmp_path: Path) -> None:
    pupils = dataclasses.replace(REGISTRY.get(Protocol, "300w-paper"), normaliser="inter-pupil")
    made = [
        Made("odn", Faces([0.10] * COUNT)), Made("dm", Faces([0.12] * COUNT)),
        Made("brnet", Faces([0.02] * COUNT), protocol=pupils), Made("cut", Faces([0.01] * 3)),
    ]  # fmt: skip
    empty = dataclasses.replace(made_document(tmp_path), sections=())
    (section,) = with_hard_cases(empty, report_of(tmp_path, *made)).sections
    worst, apart = (part.blocks[0] for part in section.blocks if isinstance(part, Section))
    assert isinstance(worst, Gallery) and isinstance(apart, Gallery)
    assert len(worst.tiles) == 8  # of the faces of the reference, not of the 3 of the lowest NME
    assert list(apart.tiles[0].predicted) == ["BRNet+GM+LM+DM (ODN)", "BRNet+DM"]


def test_an_annotation_is_suspected_only_where_people_annotated(tmp_path: Path) -> None:
    errors = {name: [0.1] * COUNT for name in ("odn", "brnet", "cut")}
    for rendered, title in (
        (False, "Suspected annotation errors"),
        (True, "Networks agree, the annotation differs"),
    ):
        *_, last = section_of(errors, tmp_path / title, rendered).blocks
        assert isinstance(last, Section) and last.title == title


def test_the_section_stands_before_what_is_folded(tmp_path: Path) -> None:
    document = made_document(tmp_path)
    report = report_of(tmp_path, Made("odn", Faces(errors=[0.1] * COUNT)))
    sections = with_hard_cases(document, report).sections
    (place,) = [i for i, section in enumerate(sections) if section not in document.sections]
    assert sections[place + 1].folded
    assert not any(section.folded for section in sections[:place])


def test_an_album_shows_rendered_faces_and_real_ones_only_if_asked(
    finished: Plan, cache: Path
) -> None:
    trial = finished.trials[-1]
    predictions = finished.folder(trial).predictions
    source = FaceSource(trial.spec.data, finished.registry, None, cache)
    splits = trial.spec.data.test
    points = np.stack([predictions.true[0], predictions.predicted[0]])
    face = predictions.parts[0], predictions.ids[0]
    found = Album(source, splits, splits).tile(*face, points)
    assert found is not None
    file, placed = found
    assert file.startswith(b"\xff\xd8")
    assert placed.shape == points.shape and placed[0].min() > 0 and placed[0].max() < 1
    # A similarity: crops are cut out of pictures and resized, not turned.
    moved = placed[0] - placed[0, 0]
    scale = np.linalg.norm(moved[-1]) / np.linalg.norm(points[0, -1] - points[0, 0])
    assert moved == pytest.approx(scale * (points[0] - points[0, 0]), abs=1e-6)
    assert Album(source, splits, splits).tile(*face, points + 3) is None  # another face of that id
    assert Album(source, splits, splits).tile(face[0], "unknown", points) is None
    assert Album(source, splits, ()).tile(*face, points) is None
    with pytest.raises(OdnbenchError, match="--with-faces: 300w is not on this machine; give --da"):
        Album(source, splits, (), with_real=True).tile(*face, points)
