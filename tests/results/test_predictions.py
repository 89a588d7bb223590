"""predictions.parquet: what is written is read back."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from odnbench.errors import OdnbenchError
from odnbench.results.predictions import (
    Occlusion,
    Predictions,
    read_predictions,
    write_predictions,
)

RNG = np.random.default_rng(0)
PLAIN = Predictions(
    ids=("300w/a", "300w/b é"),
    parts=("300w/ibug", "300w/afw"),
    predicted=RNG.normal(size=(2, 5, 2)),
    true=RNG.normal(size=(2, 5, 2)),
    occluded=RNG.random((2, 5)) < 0.5,
    boxes=np.array([[0.0, 1.0, 2.0, 3.0], [np.nan] * 4]),
    labels=("pose blur", ""),
)
MAP = Occlusion(RNG.random((2, 5)), RNG.random((2, 4)), None)


def test_confidence_is_a_column_where_there_is_one(tmp_path: Path) -> None:
    path, confidence = tmp_path / "predictions.parquet", RNG.random((2, 5))
    write_predictions(dataclasses.replace(PLAIN, confidence=confidence), path)
    np.testing.assert_array_equal(read_predictions(path).confidence, confidence)
    write_predictions(PLAIN, path)
    assert read_predictions(path).confidence is None


@pytest.mark.parametrize(
    "occlusion",
    [None, MAP, dataclasses.replace(MAP, covered=RNG.random((2, 4)))],
    ids=["no map", "a map", "a map and masks"],
)
def test_what_is_written_is_read_back(tmp_path: Path, occlusion: Occlusion | None) -> None:
    written = dataclasses.replace(PLAIN, occlusion=occlusion)
    path = tmp_path / "predictions.parquet"
    write_predictions(written, path)
    found = read_predictions(path)
    for name in ("ids", "parts", "labels"):
        assert getattr(found, name) == getattr(written, name)
    for name in ("predicted", "true", "occluded", "boxes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    assert (found.occlusion is None) == (occlusion is None)
    if occlusion is not None and found.occlusion is not None:
        np.testing.assert_array_equal(found.occlusion.landmarks, occlusion.landmarks)
        np.testing.assert_array_equal(found.occlusion.cells, occlusion.cells)
        assert (found.occlusion.covered is None) == (occlusion.covered is None)
        if occlusion.covered is not None and found.occlusion.covered is not None:
            np.testing.assert_array_equal(found.occlusion.covered, occlusion.covered)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(OdnbenchError, match=r"predictions\.parquet: cannot be read"):
        read_predictions(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(OdnbenchError, match=r"predictions\.parquet: cannot be read"):
        read_predictions(path)
