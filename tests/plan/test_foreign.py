"""A content id covers the source code of targets that are not ours."""

import sys
from pathlib import Path

import pytest

from odnbench.plan.foreign import source_digest

FILES = {
    "mine/__init__.py": "",
    "mine/net.py": "from mine.parts import layer\nfrom . import far\nimport os, beside\n",
    "mine/parts/__init__.py": "",
    "mine/parts/layer.py": "def f():\n    from ..deep import depth\n",
    "mine/deep.py": "depth = 1\n",
    "mine/far.py": "",
    "mine/other.py": "unused = 1\n",
    "beside.py": "import odnbench.errors\n",
    "lone.py": "import beside\n",
    "open/net.py": "from open.sub import part\n",  # packages without __init__.py
    "open/sub/part.py": "import beside\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        "mine/net.py", "mine/__init__.py", "mine/parts/__init__.py", "mine/parts/layer.py",
        "mine/deep.py", "mine/far.py", "beside.py",
    ],
)  # fmt: skip
def test_an_edit_anywhere_below_the_target_changes_the_digest(project: Path, file: str) -> None:
    before = source_digest("mine.net:Network")
    assert before == source_digest("mine.net:Other") != ""
    (project / file).write_text(f"{FILES[file]}# edited\n")
    assert source_digest("mine.net:Network") != before


@pytest.mark.parametrize("file", ["mine/other.py", "lone.py"])
def test_what_the_target_does_not_import_does_not(project: Path, file: str) -> None:
    before = source_digest("mine.net:Network")
    (project / file).write_text("edited = True\n")
    assert source_digest("mine.net:Network") == before


def test_a_module_outside_of_a_package_counts_with_what_lies_beside_it(project: Path) -> None:
    before = source_digest("lone:f")
    (project / "beside.py").write_text("x = 2\n")
    assert source_digest("lone:f") != before


@pytest.mark.parametrize("file", ["open/net.py", "open/sub/part.py", "beside.py"])
def test_a_package_without_init_counts_as_one(project: Path, file: str) -> None:
    before = source_digest("open.net:Network")
    assert before
    (project / file).write_text(f"{FILES[file]}# edited\n")
    assert source_digest("open.net:Network") != before


def test_of_an_installed_package_its_own_modules_count_also_by_way_of_a_link(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path_factory.mktemp("home") / "site-packages"
    link.symlink_to(project)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(link)})
    monkeypatch.syspath_prepend(link)
    before = source_digest("mine.net:Network")
    (project / "beside.py").write_text("x = 2\n")
    assert source_digest("mine.net:Network") == before
    (project / "mine/far.py").write_text("x = 2\n")
    assert source_digest("mine.net:Network") != before


def test_the_code_is_not_run_and_our_own_has_no_digest(project: Path) -> None:
    (project / "mine/__init__.py").write_text("raise RuntimeError('it was run')\n")
    assert source_digest("mine.net:Network")
    assert "mine" not in sys.modules
    assert source_digest("odnbench.losses.wing:wing") == ""
    assert [source_digest(target) for target in ("", "no_such:x", "mine.absent:x")] == ["", "", ""]


def test_of_an_installed_package_only_its_own_modules_count() -> None:
    """Its neighbours in site-packages are other people's."""
    assert source_digest("filelock:FileLock") != ""
