"""`odnbench registry check`: a line for each entry, and an exit status that scripts can read."""

from pathlib import Path

from helpers import Run

MODULES = """
[{name}]
title = "Mine"
slot = "{slot}"
target = "{target}"
options = {{ {options} }}
"""
GM = "odnbench.networks.modules.geometry:GeometryModule"


def modules_in(folder: Path, **values: str) -> None:
    fields = {"name": "mine", "slot": "geometry", "target": GM, "options": ""} | values
    with (folder / "modules.toml").open("a") as file:
        file.write(MODULES.format(**fields))


def test_entries_that_were_added_are_checked_a_line_each(odnbench: Run, tmp_path: Path) -> None:
    options = 'product = "matmul", hidden = 0.5, out = 0.5'
    modules_in(tmp_path, options=options)
    modules_in(tmp_path, name="gm", options=options)
    done = odnbench("registry", "check", "--registry", ".")
    assert done.returncode == 0, done.stderr
    first, second = sorted(done.stdout.splitlines())
    assert first.startswith("modules gm: ok (takes the place of the one in ")
    assert second == "modules mine: ok"


def test_each_mistake_is_told_in_its_line_and_the_status_is_1(
    odnbench: Run, tmp_path: Path
) -> None:
    modules_in(tmp_path, name="typo", options='produkt = "matmul"')
    modules_in(tmp_path, name="absent", target="no_such_package:Gate")
    modules_in(tmp_path, name="elsewhere", target=GM.replace("Geometry", "Geomtry"))
    done = odnbench("registry", "check", "--registry", ".")
    assert done.returncode == 1
    assert not done.stderr
    typo, absent, elsewhere = done.stdout.splitlines()
    assert typo.startswith("modules typo: fault: modules.toml: typo: ")
    assert "unknown option 'produkt'; did you mean 'product'? Known: hidden, out, product" in typo
    assert "'no_such_package:Gate' cannot be imported: No module named" in absent
    assert "has no attribute 'GeomtryModule'" in elsewhere


def test_the_list_says_where_an_added_entry_comes_from(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    modules_in(tmp_path / "mine")
    lines = odnbench("registry", "list", "modules", "--registry", "mine").stdout.splitlines()
    assert [line.split()[-1] for line in lines if line.split()[1] == "mine"] == ["mine"]
    assert not any(line.rstrip().endswith(" mine") for line in lines if line.split()[1] == "gm")


def test_a_folder_without_an_entry_ends_with_status_2(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "module.toml").touch()
    done = odnbench("registry", "check", "--registry", ".")
    assert done.returncode == 2
    assert "no entry was read from it" in done.stderr
