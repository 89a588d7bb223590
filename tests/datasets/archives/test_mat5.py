"""The MATLAB 5 reader, beside SciPy's on whole files."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from odnbench.datasets.archives.mat5 import read_variables

VALUES = {
    "doubles": np.arange(12.0).reshape(3, 4) / 7,
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "small": np.array([[1, -2]], np.int16),
    "flags": np.array([[True, False]]),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "empty": np.empty((0, 5)),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, VALUES, do_compression=compressed)
    found, expected = read_variables(path.read_bytes()), scipy.io.loadmat(path)
    for name in VALUES:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].shape == expected[name].shape


def test_texts_cells_and_structs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    names = np.array([["0/a.jpg"], ["2/ä.jpg"]], object)
    scipy.io.savemat(path, {"names": names, "box": {"imgName": "a b.png", "sides": [1.0, 2.0]}})
    found = read_variables(path.read_bytes())
    assert [str(cell[0]) for cell in found["names"].ravel()] == ["0/a.jpg", "2/ä.jpg"]
    box = found["box"][0, 0]
    assert str(box["imgName"][0]) == "a b.png"
    assert box["sides"].tolist() == [[1.0, 2.0]]


def test_real_files_are_read_as_scipy_reads_them(shared_data: Path) -> None:
    paths = [
        shared_data / "300w-annotations" / "raw_300W_release.mat",
        shared_data / "cofw68" / "cofw68_test_bboxes.mat",
        *sorted((shared_data / "cofw68" / "test_annotations").glob("*.mat"))[:40],
    ]
    for path in paths:
        found, expected = read_variables(path.read_bytes()), scipy.io.loadmat(path)
        for name, value in expected.items():
            if name.startswith("__"):
                continue
            if value.dtype == object:
                ours = [str(cell[0]) for cell in found[name].ravel()]
                assert ours == [str(cell[0]) for cell in value.ravel()]
            else:
                np.testing.assert_array_equal(found[name], value)
