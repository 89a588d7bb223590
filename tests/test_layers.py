"""The one-way flow: which file may import what (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

import odnbench

PACKAGE = Path(odnbench.__file__).parent
ONLY_IMPORTER = {"ray": "sweep/on_ray.py", "optuna": "sweep/study.py", "mlflow": "tracking/"}
ABOVE_A_TRIAL = {
    "sweep",
    "forecast",
    "status",
    "orchestrate",
    "search",
    "tracking",
    "reports",
    "figures",
    "progress",
    "cli",
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("library", ONLY_IMPORTER)
def test_a_large_library_is_imported_by_one_file_or_room_alone(library: str) -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert importers and all(name.startswith(ONLY_IMPORTER[library]) for name in importers)


@pytest.mark.parametrize("layer", ["engine", "networks", "losses", "datasets", "metrics"])
def test_a_trial_knows_nothing_of_what_is_above_it(layer: str) -> None:
    for path in (PACKAGE / layer).rglob("*.py"):
        above = {f"odnbench.{name}" for name in ABOVE_A_TRIAL} & imports(path)
        assert not above, f"{path.name} imports {above}"


def test_folders_of_data_hold_no_python() -> None:
    root = PACKAGE.parent
    for folder in ("registry", "pipelines", "reports"):
        assert not list((root / folder).rglob("*.py"))
