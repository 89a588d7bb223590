"""Installed packages that bring registry entries: where their folders are, and what is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Variant
from odnbench.plan.plugins import GROUP, installed_plugins
from odnbench.plan.registry import Registry

MINE = '[mine]\ntitle = "Mine"\nchanges = {}\n'


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site_packages: Path, name: str, variants: str = MINE, value: str = "") -> Path:
    """Makes a package of a registry folder with `variants`; returns that folder."""
    folder = site_packages / name / "registry"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('it was run')\n")
    (folder / "variants.toml").write_text(variants)
    about = site_packages / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value or f'{name}:registry'}\n")
    return folder


def test_an_entry_of_a_plugin_is_there_with_its_source(site_packages: Path) -> None:
    folder = install(site_packages, "first")
    registry = Registry.load()
    assert registry.get(Variant, "mine").title == "Mine"
    origin = registry.origins["variants", "mine"]
    assert origin.file == folder / "variants.toml"
    assert origin.source == "plug-in first"
    assert registry.added == [("variants", "mine")]


def test_a_plugins_code_is_not_run_for_its_folder(site_packages: Path) -> None:
    install(site_packages, "first")
    assert [plugin.name for plugin in installed_plugins()] == ["first"]
    assert "first" not in sys.modules


def test_two_plugins_with_an_entry_of_one_name_are_told_with_both_files(
    site_packages: Path,
) -> None:
    first, second = (install(site_packages, name) / "variants.toml" for name in ("first", "second"))
    with pytest.raises(OdnbenchError) as caught:
        Registry.load()
    assert str(caught.value) == (
        f"{second}: mine: variants has an entry of that name from {first}; give one of them "
        "another name"
    )


def test_a_plugin_may_not_take_the_place_of_a_shipped_entry(site_packages: Path) -> None:
    install(site_packages, "first", MINE.replace("mine", "odn"))
    with pytest.raises(
        OdnbenchError, match=r"odn: variants has an entry of that name from .*\.toml"
    ):
        Registry.load()


def test_a_folder_that_is_asked_for_may_take_the_place_of_an_entry_of_a_plugin(
    site_packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = install(site_packages, "first")
    asked = tmp_path_factory.mktemp("asked")
    (asked / "variants.toml").write_text(MINE.replace("Mine", "Asked"))
    registry = Registry.load([asked])
    assert registry.get(Variant, "mine").title == "Asked"
    origin = registry.origins["variants", "mine"]
    assert (origin.source, origin.replaced) == (str(asked), folder / "variants.toml")


@pytest.mark.parametrize("value", ["first:regisrty", "absent:registry", "first.deeper:registry"])
def test_an_entry_point_that_names_no_folder_is_told(site_packages: Path, value: str) -> None:
    install(site_packages, "first", value=value)
    with pytest.raises(
        OdnbenchError, match=rf"plug-in 'first': its entry point '{value}' must name"
    ):
        installed_plugins()


@pytest.mark.slow
def test_a_plugin_that_cannot_be_read_ends_a_command_with_a_line_and_status_2(
    site_packages: Path, user_environment: dict[str, str]
) -> None:
    install(site_packages, "first", value="first:absent")
    path = f"{site_packages}:{user_environment.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "odnbench", "registry", "check"],
        cwd=site_packages,
        env={**user_environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'first' has no folder 'absent'" in done.stderr
