"""Checksums of whole files."""

import hashlib
import os
from pathlib import Path

import pytest

from odnbench.files.digest import sha256_of


def test_a_file_is_read_again_only_once_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "weights.npz", []
    opened = Path.open

    def counted(self: Path, mode: str) -> object:
        read.append(self)
        return opened(self, mode)

    path.write_bytes(b"one")
    monkeypatch.setattr(Path, "open", counted)
    assert sha256_of(path) == sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    assert read == [path]
    monkeypatch.undo()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert sha256_of(path) == hashlib.sha256(b"two").hexdigest()


def test_an_absent_file_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "weights.npz")
